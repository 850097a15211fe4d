"""Which installation a command is about, and as whom it speaks: the options that all such commands share."""

from __future__ import annotations

import inspect
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, Generic, ParamSpec, TypeVar

import typer

from fleetgate.cli.options import option, sharing
from fleetgate.config import Config, load
from fleetgate.database.port import Tx
from fleetgate.errors import Unavailable
from fleetgate.names import Act, Realm
from fleetgate.registry import audit
from fleetgate.registry.pages import LARGEST, Page
from fleetgate.runtime import Runtime
from fleetgate.works import Works, works

T = TypeVar("T")
P = ParamSpec("P")

_PANEL: Final = "Installation"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", envvar="FLEETGATE_CONFIG", rich_help_panel=_PANEL, help="Configuration file (TOML)."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        envvar="FLEETGATE_DATA_DIR",
        rich_help_panel=_PANEL,
        help="Data directory, over what the configuration says (fleetgate-data).",
    ),
]
Account = Annotated[
    str,
    typer.Option(metavar="DIGITS", envvar="FLEETGATE_ACCOUNT", rich_help_panel=_PANEL, help="Account, 12 digits."),
]
Region = Annotated[
    str,
    typer.Option(metavar="NAME", envvar="FLEETGATE_REGION", rich_help_panel=_PANEL, help="Region, as AWS names it."),
]
ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True)
class Place:
    """An installation that was named, not opened yet."""

    config_file: Path | None
    data_dir: Path | None
    realm: Realm

    def config(self, overrides: Mapping[str, Any] | None = None) -> Config:
        """Raises ConfigInvalid."""
        given = {} if self.data_dir is None else {"server.data_dir": str(self.data_dir)}
        return load(self.config_file, {**given, **(overrides or {})})

    @asynccontextmanager
    async def open(self, *, found: bool = False) -> AsyncIterator[Here]:
        """The installation, open. Raises Unavailable where there is none, unless *found*: then it is founded."""
        # No keys ahead of time: a command that needs one makes it.
        config = self.config({"authority.key_pool": 0})
        if not found:
            _check_founded(config.server.data_dir)
        async with works(config) as opened:
            yield Here(self, config, opened)


def _check_founded(folder: Path) -> None:
    if not (folder / "ca" / "issuing.pem").exists():
        raise Unavailable(
            f"There is no installation in {folder}. Name another directory with --data-dir, or found one with: "
            "fleetgate init"
        )


@dataclass(frozen=True, slots=True)
class Some(Generic[T]):
    """The beginning of a list, or all of it."""

    items: list[T]
    more: bool


@dataclass(frozen=True, slots=True)
class Here:
    """An open installation. It may be in use by a running server, which notices changes within a second."""

    place: Place
    config: Config
    works: Works

    @property
    def realm(self) -> Realm:
        return self.place.realm

    @property
    def runtime(self) -> Runtime:
        return self.works.runtime

    def act(self) -> Act:
        return self.runtime.act(self.realm, f"cli/{pwd.getpwuid(os.getuid()).pw_name}")

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self.runtime.database.read(work)

    async def change(
        self, action: str, target: str, work: Callable[[Tx, Act], T], details: Mapping[str, Any] | None = None
    ) -> T:
        """*work* and its entry in the audit trail, in one transaction. *target* is an ARN."""
        act = self.act()

        def whole(tx: Tx) -> T:
            result = work(tx, act)
            audit.add(tx, act, action, target, "ok", details=details)
            return result

        return await self.runtime.write(whole)

    async def pages(self, read: Callable[[Tx, str | None, int], Page[T]], most: int | None) -> Some[T]:
        """The first *most* items of a list (None: all of them), read as of one moment."""

        def collect(tx: Tx) -> Some[T]:
            found: list[T] = []
            after: str | None = None
            while most is None or len(found) < most:
                page = read(tx, after, LARGEST if most is None else min(LARGEST, most - len(found)))
                found += page.items
                after = page.next_key
                if after is None:
                    break
            return Some(found, after is not None)

        return await self.read(collect)


def _place(config: Path | None, data_dir: Path | None, account: str, region: str) -> Place:
    return Place(config, data_dir, Realm(account, region))


at_place = sharing(
    (
        option("config", ConfigFile, None),
        option("data_dir", DataDir, None),
        option("account", Account, ACCOUNT),
        option("region", Region, REGION),
    ),
    _place,
)
"""A command with the options of `Place`; the function is given the place first."""


def here(function: Callable[Concatenate[Here, P], Awaitable[None]]) -> Callable[..., None]:
    """A command on an installation that exists; *function* is given the open installation first."""

    async def opened(place: Place, /, *args: P.args, **own: P.kwargs) -> None:
        async with place.open() as inside:
            await function(inside, *args, **own)

    opened.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined] # as in `sharing`
    opened.__name__, opened.__doc__ = function.__name__, function.__doc__
    return at_place(opened)
