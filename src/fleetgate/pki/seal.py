"""Secrets that must be read again (an operator's secret access key is needed to check signatures) are kept sealed."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fleetgate.errors import Unavailable
from fleetgate.pki.new_file import write_new


class Vault:
    """Seals and opens short texts with one key (Fernet: AES-128-CBC, then HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        """*key* is 32 bytes in URL-safe base64, as `create` writes it."""
        self._fernet = Fernet(key)
        self._key = key
        # One key's secret is asked for at every request that it signs.
        self._opened = lru_cache(maxsize=4096)(self._decrypt)

    @classmethod
    def create(cls, path: Path) -> Vault:
        """A new key in a new file, readable by its owner alone. Raises OSError as `write_new` does."""
        write_new(path, Fernet.generate_key())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Vault:
        """Raises `Unavailable` where the file is missing, readable by others, or no key."""
        try:
            if path.stat().st_mode & 0o077:
                raise Unavailable(f"{path} can be read by others than its owner; run: chmod 600 {path}")
            return cls(path.read_bytes().strip())
        except (OSError, ValueError) as error:
            raise Unavailable(f"The sealing key {path} cannot be used: {error}") from error

    def derived(self, purpose: str) -> bytes:
        """32 bytes for *purpose* alone, the same each time (HKDF-SHA256, RFC 5869)."""
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(urlsafe_b64decode(self._key))

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def open_sealed(self, sealed: str) -> str:
        """Raises `Unavailable` when *sealed* was made with another key or altered."""
        return self._opened(sealed)

    def _decrypt(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise Unavailable("A stored secret does not open with this installation's sealing key.") from error
