"""What an installation keeps in its data directory besides the records: its CA, its server certificate, its secrets.

    ca/root.pem, root.key            the root: devices and SDKs trust it
    ca/issuing.pem, issuing.key      signs device certificates and the server's
    ca/bridge.pem                    beside a new root, while not every device has it: the old one's word for it
    ca/former/<fingerprint>/         issuing CAs that were replaced, with their keys: they revoke what they issued
    tls/server.pem, server.key       what the device listener shows
    secrets/passphrase               opens the two CA keys, unless the configuration names another file
    secrets/sealing.key              seals operators' secret keys in the database

Everything is made at first start, and every key in a file of its own with mode 0600.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from fleetgate.config import Config
from fleetgate.errors import Unavailable
from fleetgate.pki import certificate, chain
from fleetgate.pki.exchange import finish
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.keys import KeyKind, PublicKey
from fleetgate.pki.profile import (
    AWS_DEVICE,
    DAY,
    ISSUING_CA,
    ROOT_CA,
    SERVER,
    STRICT_DEVICE,
    Profile,
    Validity,
    common_name,
)
from fleetgate.pki.seal import Vault
from fleetgate.pki.signer import KeyFileSigner
from fleetgate.runtime import OCSP_PATH, Issuer, crl_path

# A server certificate with less than this left is made anew, at start and while running.
RENEW_BEFORE = 30 * DAY


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation's own files, opened."""

    folder: Path
    issuer: Issuer
    former: tuple[Issuer, ...]
    """Issuing CAs that were replaced, the last one first."""
    vault: Vault
    founded: bool
    """Whether this start made them."""
    entropy: Callable[[int], bytes]

    def authorities(self) -> dict[str, str]:
        """Role (root, issuing) -> fingerprint of its certificate."""
        return {
            role: certificate.fingerprint(certificate.load((self.folder / "ca" / f"{role}.pem").read_text()))
            for role in ("root", "issuing")
        }

    @property
    def root_file(self) -> Path:
        return self.folder / "ca" / "root.pem"

    @property
    def server_chain(self) -> Path:
        return self.folder / "tls" / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.folder / "tls" / "server.key"

    def prepare_server_certificate(
        self, names: Sequence[str], now: int
    ) -> tuple[certificate.Prepared, PublicKey] | None:
        """None while `server_chain` is good for *names* and for some time; else the next one, for a key of its own.

        Write the intent down, then `complete_server_certificate`.
        """
        if self.server_chain.exists() and _still_good(self.server_chain, names, now, self.issuer):
            return None
        self._next_key.unlink(missing_ok=True)
        signer = KeyFileSigner.create(self._next_key, KeyKind.EC_P256)
        serial = certificate.serial_number(self.entropy(20))
        prepared = certificate.prepare(
            SERVER, self.issuer.certificate, common_name(names[0]), signer.public_key, serial, now, names
        )
        return prepared, signer.public_key

    def complete_server_certificate(self, prepared: certificate.Prepared) -> str:
        """Sign it and put it in place of the one before. Its fingerprint."""
        signed = certificate.complete(prepared, self.issuer.signer.sign(prepared.tbs))
        # Key first: with a crash in between the two do not fit, which `_still_good` notices at the next start.
        self._next_key.replace(self.server_key)
        _write(self.server_chain, certificate.pem(signed) + self.issuer.chain_pem, 0o644)
        return certificate.fingerprint(signed)

    @property
    def _next_key(self) -> Path:
        return self.server_key.with_suffix(".next")


def open_installation(folder: Path, config: Config, entropy: Callable[[int], bytes], now: int) -> Installation:
    """Open the installation in *folder*, founding it where there is none. Raises Unavailable with what to mend."""
    founded = not (folder / "ca" / "issuing.pem").exists()
    try:
        for part in ("", "ca", "tls", "secrets"):
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        finish(folder)
        passphrase = read_passphrase(folder, config, entropy)
        if founded:
            _found(folder, config, passphrase, entropy, now)
        issuer = _issuer(folder / "ca", config, passphrase)
        former = tuple(_issuer(each, config, passphrase) for each in _replaced(folder))
        sealing = folder / "secrets" / "sealing.key"
        vault = Vault.open(sealing) if sealing.exists() else Vault.create(sealing)
    except OSError as error:
        raise Unavailable(f"The data directory {folder} cannot be used: {error}") from error
    return Installation(folder, issuer, former, vault, founded, entropy)


def _issuer(place: Path, config: Config, passphrase: bytes) -> Issuer:
    """The issuing CA whose files are in *place*."""
    text = (place / "issuing.pem").read_text()
    own = certificate.load(text)
    fingerprint = certificate.fingerprint(own)
    return Issuer(
        certificate=IssuerCertificate.of(own),
        fingerprint=fingerprint,
        signer=KeyFileSigner.open(place / "issuing.key", passphrase),
        profile=_device_profile(config, fingerprint),
        chain_pem=text + above(place),
    )


def above(place: Path) -> str:
    """What vouches for the issuing CA in *place*, up to and with the root that every device trusts."""
    bridge = place / "bridge.pem"
    return (bridge if bridge.exists() else place / "root.pem").read_text()


def _replaced(folder: Path) -> list[Path]:
    """Where former issuing CAs are, the last one first."""
    found = (folder / "ca" / "former").glob("*/issuing.pem")
    return [each.parent for each in sorted(found, key=lambda each: each.stat().st_mtime_ns, reverse=True)]


def _device_profile(config: Config, issuer: str) -> Profile:
    profile = AWS_DEVICE
    if config.authority.profile != "aws":
        validity = Validity(duration=config.authority.device_validity, cut_to_issuer=True)
        profile = replace(STRICT_DEVICE, validity=validity)
    if config.authority.status_url is None:
        return profile
    base = config.authority.status_url.rstrip("/")
    return profile.with_status_at(f"{base}{crl_path(issuer)}", f"{base}{OCSP_PATH}")


def read_passphrase(folder: Path, config: Config, entropy: Callable[[int], bytes]) -> bytes:
    """From the configured file; else from the installation's own, made at first start."""
    file = passphrase_file(folder, config)
    if not file.exists() and config.authority.passphrase_file is None:
        _write(file, new_passphrase(entropy) + "\n", 0o600)
    return read_secret(file)


def passphrase_file(folder: Path, config: Config) -> Path:
    return config.authority.passphrase_file or folder / "secrets" / "passphrase"


def new_passphrase(entropy: Callable[[int], bytes]) -> str:
    return base64.b64encode(entropy(32)).decode()


def read_secret(file: Path) -> bytes:
    """The passphrase on the first line of *file*. Raises Unavailable, also where others may read it."""
    try:
        mode, first = file.stat().st_mode, file.read_bytes().partition(b"\n")[0].strip()
    except OSError as error:
        raise Unavailable(
            f"The passphrase file {file} (authority.passphrase_file) cannot be read: {error.strerror}. Without it the "
            "CA's keys cannot be opened."
        ) from error
    if mode & 0o077:
        raise Unavailable(f"The passphrase file {file} is open to others than its owner; run: chmod 600 {file}")
    if not first:
        raise Unavailable(f"The passphrase file {file} has no passphrase on its first line.")
    return first


def _found(folder: Path, config: Config, passphrase: bytes, entropy: Callable[[int], bytes], now: int) -> None:
    """A root that signs itself and an issuing CA below it. What an earlier attempt left half made is made anew."""
    for leftover in ("root.pem", "root.key", "issuing.key"):
        (folder / "ca" / leftover).unlink(missing_ok=True)
    kind = KeyKind(config.authority.ca_key)
    tag = entropy(4).hex()
    root_key = KeyFileSigner.create(folder / "ca" / "root.key", kind, passphrase)
    own = IssuerCertificate.self_signed(common_name(f"fleetgate root {tag}"), root_key.public_key)
    root = sign_authority(ROOT_CA, own, root_key, own.name, root_key, entropy, now)
    issuing_key = KeyFileSigner.create(folder / "ca" / "issuing.key", kind, passphrase)
    name = common_name(f"fleetgate issuing CA {tag}")
    issuing = sign_authority(ISSUING_CA, IssuerCertificate.of(root), root_key, name, issuing_key, entropy, now)
    _write(folder / "ca" / "root.pem", certificate.pem(root), 0o644)
    _write(folder / "ca" / "issuing.pem", certificate.pem(issuing), 0o644)


def sign_authority(
    profile: Profile,
    issuer: IssuerCertificate,
    signer: KeyFileSigner,
    name: x509.Name,
    subject: KeyFileSigner,
    entropy: Callable[[int], bytes],
    now: int,
) -> x509.Certificate:
    serial = certificate.serial_number(entropy(20))
    prepared = certificate.prepare(profile, issuer, name, subject.public_key, serial, now)
    return certificate.complete(prepared, signer.sign(prepared.tbs))


def _still_good(chain_file: Path, names: Sequence[str], now: int, issuer: Issuer) -> bool:
    """Whether the server certificate is *issuer*'s, speaks for *names*, fits its key, and is good for longer than
    `RENEW_BEFORE`.
    """
    key, text = KeyFileSigner.open(chain_file.with_suffix(".key")), chain_file.read_text()
    if not text.endswith(issuer.chain_pem):
        return False
    leaf = chain.parse_bundle(text)[0]
    extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    carried = {*extension.get_values_for_type(x509.DNSName), *map(str, extension.get_values_for_type(x509.IPAddress))}
    ends = int(leaf.not_valid_after_utc.timestamp() * 1000)
    return carried == set(names) and leaf.public_key() == key.public_key and ends - now > RENEW_BEFORE


def _write(path: Path, text: str, mode: int) -> None:
    """*path* with all of *text*, on the disk, or as it was before."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
