"""The port to an issuer's private key, and the key that lies in a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol, Self

from fleetgate.errors import AlreadyExists, InvalidRequest, Unavailable
from fleetgate.pki import keys
from fleetgate.pki.new_file import write_new


class Signer(Protocol):
    """Holds one private key and never gives it away. Both attributes stay the same for its whole life."""

    @property
    def public_key(self) -> keys.PublicKey: ...

    @property
    def algorithm(self) -> keys.SignatureAlgorithm:
        """Scheme and hash of every signature."""

    def sign(self, tbs: bytes) -> bytes:
        """The signature over *tbs* as it goes into a certificate: PKCS#1 v1.5 octets, or an ECDSA-Sig-Value in DER.

        May be called from several threads. Raises Unavailable when the key cannot be reached.
        """


class KeyFileSigner:
    """A key in a file, read once at `open`: 25 microseconds a signature with P-256, 300 with RSA-2048."""

    def __init__(self, key: keys.PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key()
        self._algorithm = keys.SignatureAlgorithm.of(self._public_key)

    def __repr__(self) -> str:
        return f"KeyFileSigner({keys.kind_of(self._public_key)}, {keys.public_key_fingerprint(self._public_key)})"

    @property
    def public_key(self) -> keys.PublicKey:
        return self._public_key

    @property
    def algorithm(self) -> keys.SignatureAlgorithm:
        return self._algorithm

    def sign(self, tbs: bytes) -> bytes:
        return self._algorithm.sign(self._key, tbs)

    @classmethod
    def open(cls, path: Path, passphrase: bytes | None = None) -> Self:
        """Raises Unavailable: no file, a file that others than its owner may touch, a wrong passphrase, a weak key."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_IMODE(mode) & 0o077:
                    raise Unavailable(
                        f"The key file {path} is open to others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
                    )
                key = keys.load_private_key(file.read(), passphrase)
            keys.check_public_key(key.public_key())
        except OSError as error:
            raise Unavailable(f"The key file {path} cannot be read: {error.strerror}.") from error
        except InvalidRequest as error:
            raise Unavailable(f"The key file {path} cannot be used. {error.message}") from error
        return cls(key)

    @classmethod
    def create(cls, path: Path, kind: keys.KeyKind, passphrase: bytes | None = None) -> Self:
        """A new key in a new file, PKCS#8, mode 0600, whole and on the disk before this returns.

        Raises AlreadyExists when *path* is taken (an issuer's key is never overwritten), Unavailable when it cannot be
        written.
        """
        key = keys.generate(kind)
        try:
            write_new(path, keys.sealed_pem(key, passphrase))
        except FileExistsError as error:
            raise AlreadyExists(
                f"{error.filename} exists already; move it away if its key is needed no more."
            ) from error
        except OSError as error:
            raise Unavailable(f"The key file {path} cannot be written: {error.strerror}.") from error
        return cls(key)
