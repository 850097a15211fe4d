"""What a device keeps: the identity in force, and the one that is being made, resumable after a crash at any moment.

    <folder>/              0700, the agent's alone
      lock                 held while an agent works here
      current -> 2         the identity in force: other programs read current/certificate.pem and current/private.key
      2/                   private.key, request.csr, certificate.pem, state.json, all 0600
      3/                   the next one, while it is being made

A private key is on the disk before anything asks with it, so that whatever a server made for it is never lost; and the
old identity is removed only when the new one is in force.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from fleetgate.agent.errors import StoreUnusable
from fleetgate.agent.tls import Credentials, KeyFiles, KeyTexts


class Step(IntEnum):
    """How far an identity is."""

    NOTHING = 0
    KEY = 1
    """It has a private key."""
    CERTIFIED = 2
    """It has a certificate that is not active yet, and the token to have it provisioned."""
    PROVISIONED = 3
    """The server has accepted it; it has not connected yet, or it is the one in force."""


@dataclass(frozen=True, slots=True)
class Identity:
    private_key: str | None = field(default=None, repr=False)
    """PEM, as are the next two."""
    request: str | None = None
    certificate: str | None = None
    certificate_id: str | None = None
    token: str | None = field(default=None, repr=False)
    """Proves that the certificate was asked for here; for an hour, until the template is applied."""
    registered: bool = False
    thing_name: str | None = None
    device_configuration: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the template was given: whose identity this is."""

    @property
    def step(self) -> Step:
        if self.private_key is None:
            return Step.NOTHING
        if self.certificate is None or not (self.registered or self.token):
            return Step.KEY
        return Step.PROVISIONED if self.registered else Step.CERTIFIED


class Store(Protocol):
    """Where identities are kept. What a method has returned from is kept."""

    def current(self) -> Identity | None:
        """The identity in force."""

    def draft(self) -> Identity:
        """The one that is being made, as it was kept last; an empty one at first."""

    def keep(self, draft: Identity) -> None:
        """The draft as it is now. A crash in between leaves one of the steps before, with the same key."""

    def adopt(self) -> None:
        """The draft is in force from now on, and the one before is forgotten."""

    def credentials(self, *, draft: bool) -> Credentials:
        """Certificate and key of the draft, or of the identity in force."""


class MemoryStore:
    """For simulated devices: nothing outlives the process."""

    def __init__(self) -> None:
        self._current: Identity | None = None
        self._draft = Identity()

    def current(self) -> Identity | None:
        return self._current

    def draft(self) -> Identity:
        return self._draft

    def keep(self, draft: Identity) -> None:
        self._draft = draft

    def adopt(self) -> None:
        self._current, self._draft = self._draft, Identity()

    def credentials(self, *, draft: bool) -> Credentials:
        identity = self._draft if draft else self._current
        if identity is None or identity.certificate is None or identity.private_key is None:
            raise StoreUnusable("There is no certificate yet.")
        return KeyTexts(identity.certificate, identity.private_key)


_KEY, _REQUEST, _CERTIFICATE, _STATE = "private.key", "request.csr", "certificate.pem", "state.json"
_FILES: Final = {"private_key": _KEY, "request": _REQUEST, "certificate": _CERTIFICATE}
_IN_STATE: Final = tuple(each.name for each in fields(Identity) if each.name not in _FILES)
_LATER: Final = {"parameters"}
"""Folders of earlier agents lack these."""
_CURRENT, _LOCK = "current", "lock"


class FolderStore:
    """On disk, for one agent at a time. Blocks for some milliseconds at each `keep`: it waits for the disk.

    >>> with FolderStore(Path("/var/lib/device")) as store:
    ...     await provision(store, options)

    Every method raises StoreUnusable with what to do: others could read it, another agent works there, the disk is
    full, a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    def __enter__(self) -> Self:
        with self._failures():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(self.folder, 0o700)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._unlock()
                raise StoreUnusable(f"Another agent works in {self.folder}. Wait for it to end, or stop it.") from error
            self._tidy()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def current(self) -> Identity | None:
        with self._failures():
            number = self._number()
            return self._read(number) if number else None

    def draft(self) -> Identity:
        with self._failures():
            return self._read(self._number() + 1)

    def keep(self, draft: Identity) -> None:
        """Key, request, certificate, and at last the state that vouches for them."""
        with self._failures():
            number = self._number() + 1
            folder, before = self._place(number), self._read(number)
            if not folder.exists():
                folder.mkdir(mode=0o700)
                _sync(self.folder)
            for name, file in _FILES.items():
                text = getattr(draft, name)
                if text is not None and text != getattr(before, name):
                    _write(folder / file, text)
            state = {name: value for name, value in asdict(draft).items() if name in _IN_STATE}
            _write(folder / _STATE, json.dumps(state, indent=2) + "\n")

    def adopt(self) -> None:
        with self._failures():
            link, fresh = self.folder / _CURRENT, self.folder / ".current.new"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(str(self._number() + 1))
            fresh.replace(link)
            _sync(self.folder)
            self._tidy()

    def credentials(self, *, draft: bool) -> Credentials:
        with self._failures():
            folder = self._place(self._number() + (1 if draft else 0))
        return KeyFiles(folder / _CERTIFICATE, folder / _KEY)

    def _number(self) -> int:
        """Of the identity in force; 0 when there is none."""
        try:
            target = str((self.folder / _CURRENT).readlink())
        except FileNotFoundError:
            return 0
        if not target.isdecimal():
            raise StoreUnusable(f"{self.folder / _CURRENT} points to {target}, which is none of the agent's folders.")
        return int(target)

    def _place(self, number: int) -> Path:
        return self.folder / str(number)

    def _read(self, number: int) -> Identity:
        folder = self._place(number)
        if not folder.exists():
            return Identity()
        _check_private(folder, 0o700)
        texts: dict[str, Any] = {name: _text(folder / file) for name, file in _FILES.items()}
        return Identity(**texts, **_state(folder / _STATE))

    def _tidy(self) -> None:
        """Remove identities that are no longer in force: a crash may have left one."""
        number = self._number()
        for each in self.folder.iterdir():
            if each.name.isdecimal() and int(each.name) < number:
                for file in each.iterdir():
                    file.unlink()
                each.rmdir()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.folder
            raise StoreUnusable(f"{where} cannot be used: {error.strerror or error}.") from error


def _state(path: Path) -> dict[str, Any]:
    """The members of `state.json`; none when a crash came before it."""
    text = _text(path)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        return {name: found.get(name, {}) if name in _LATER else found[name] for name in _IN_STATE}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreUnusable(f"{path} is damaged. Remove the folder {path.parent} to start over.") from error


def _text(path: Path) -> str | None:
    try:
        _check_private(path, 0o600)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise StoreUnusable(f"{path} is damaged. Remove the folder {path.parent} to start over.") from error


def _check_private(path: Path, mode: int) -> None:
    """Refuse what somebody else owns, may read or may write. Raises StoreUnusable, FileNotFoundError."""
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise StoreUnusable(f"{path} belongs to another user (id {found.st_uid}). Run the agent as that user.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StoreUnusable(f"{path} is open to others than its owner. Run: chmod {mode:o} {path}")


def _write(path: Path, text: str) -> None:
    """All of *text*, on the disk, or what was there before."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """A file's name is kept only when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
