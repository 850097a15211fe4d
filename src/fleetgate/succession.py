"""The installation's CA is replaced, and its keys get another passphrase. Both are done whole or not at all.

A new issuing CA comes under the same root, which devices trust already: nothing changes for them. A new root comes with
the old root's word for it (a cross certificate), which the server shows: devices that know only the old root go on as
well as those that know only the new one, until `retire_root`. Former issuing CAs keep their keys, to revoke what they
issued. A server that is running goes on with what it began with, until it is started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fleetgate import authority
from fleetgate.errors import InvalidRequest, Unavailable
from fleetgate.installation import (
    Installation,
    above,
    new_passphrase,
    passphrase_file,
    read_passphrase,
    read_secret,
    sign_authority,
)
from fleetgate.names import Act
from fleetgate.pki import certificate, keys
from fleetgate.pki.exchange import Content, alone, exchange
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.profile import ISSUING_CA, ROOT_CA, Profile, common_name
from fleetgate.pki.signer import KeyFileSigner
from fleetgate.registry import audit, issuances
from fleetgate.runtime import Issuer, Runtime

_BRIDGE: Final = replace(ROOT_CA, name="bridge-ca", validity=replace(ROOT_CA.validity, cut_to_issuer=True))
"""A new root as an old one vouches for it."""
_SHORT: Final = 16
_PUBLIC: Final = 0o644


@dataclass(frozen=True, slots=True)
class Succession:
    """What was replaced by what: fingerprints."""

    former: str
    issuing: str
    root: str
    new_root: bool


@dataclass(frozen=True, slots=True)
class _Root:
    issuer: Issuer
    key: KeyFileSigner
    files: Mapping[str, Content]
    """To be written beside the issuing CA's."""


async def replace_authority(runtime: Runtime, installation: Installation, act: Act, *, new_root: bool) -> Succession:
    """A new issuing CA with a new key; with *new_root* under a new root as well.

    Raises Unavailable where the files cannot be changed, or somebody else is at it; then nothing has.
    """
    with alone(installation.folder / "ca"):
        return await _replace(runtime, installation, act, new_root)


async def _replace(runtime: Runtime, installation: Installation, act: Act, new_root: bool) -> Succession:
    folder = installation.folder / "ca"
    passphrase = read_passphrase(installation.folder, runtime.config, runtime.entropy)
    root = _current_root(folder, passphrase)
    if new_root:
        root = await _found_root(runtime, act, folder, root, passphrase)
    key = keys.generate(KeyKind(runtime.config.authority.ca_key))
    name = f"fleetgate issuing CA {runtime.entropy(4).hex()}"
    issuing = await _signed(runtime, act, ISSUING_CA, root, name, key.public_key())
    # By the file, not by what this process began with: another one may have replaced the CA since.
    former = certificate.fingerprint(certificate.load((folder / "issuing.pem").read_text()))
    files = {
        **_kept(folder, former),
        **root.files,
        "ca/issuing.pem": Content(issuing.encode(), _PUBLIC),
        "ca/issuing.key": Content(keys.sealed_pem(key, passphrase)),
    }
    _exchange(installation.folder, files)
    made = Succession(former, certificate.fingerprint(certificate.load(issuing)), root.issuer.fingerprint, new_root)
    details = {"former": former, "root": made.root, "newRoot": new_root}
    target = act.realm.arn("cacert", made.issuing)
    await runtime.write(lambda tx: audit.add(tx, act, "ReplaceAuthority", target, "ok", details=details))
    return made


async def retire_root(runtime: Runtime, installation: Installation, act: Act) -> str:
    """The former root is shown no more: from the next start on, devices that know only that one do not get in.

    The fingerprint of the root that is left. Raises InvalidRequest where there is no former root.
    """
    folder = installation.folder / "ca"
    if not (folder / "bridge.pem").exists():
        raise InvalidRequest("There is no former root that is still shown.")
    fingerprint = certificate.fingerprint(certificate.load((folder / "root.pem").read_text()))
    former = certificate.load_all((folder / "bridge.pem").read_text(), 16)[-1]
    (folder / "bridge.pem").unlink()
    details = {"former": certificate.fingerprint(former)}
    target = act.realm.arn("cacert", fingerprint)
    await runtime.write(lambda tx: audit.add(tx, act, "RetireRoot", target, "ok", details=details))
    return fingerprint


async def change_passphrase(runtime: Runtime, installation: Installation, act: Act, to: Path | None) -> Path:
    """Every key of the CA is sealed anew: with the passphrase in *to*, or with a new one of the installation's own. The
    file that holds it.

    Raises InvalidRequest where the configuration names a passphrase file and *to* is None; Unavailable.
    """
    folder, config = installation.folder, runtime.config
    if to is None and config.authority.passphrase_file is not None:
        raise InvalidRequest(
            "The configuration names a passphrase file (authority.passphrase_file). Write the new passphrase into "
            "another file, mode 0600, and give that one with --to."
        )
    with alone(folder / "ca"):
        old = read_passphrase(folder, config, runtime.entropy)
        new = new_passphrase(runtime.entropy).encode() if to is None else read_secret(to)
        files = {str(each.relative_to(folder)): Content(_resealed(each, old, new)) for each in _key_files(folder)}
        if to is None:
            files["secrets/passphrase"] = Content(new + b"\n")
        _exchange(folder, files)
        if to is not None and config.authority.passphrase_file is None:
            passphrase_file(folder, config).unlink(missing_ok=True)
    details = {"keys": sorted(name for name in files if name.endswith(".key"))}
    target = act.realm.arn("cacert", runtime.issuer.fingerprint)
    await runtime.write(lambda tx: audit.add(tx, act, "ChangePassphrase", target, "ok", details=details))
    return to or passphrase_file(folder, config)


# --- roots ------------------------------------------------------------------------------------------------------------


def _current_root(folder: Path, passphrase: bytes) -> _Root:
    own = certificate.load((folder / "root.pem").read_text())
    signer = KeyFileSigner.open(folder / "root.key", passphrase)
    return _Root(_as_issuer(IssuerCertificate.of(own), signer, ROOT_CA), signer, {})


async def _found_root(runtime: Runtime, act: Act, folder: Path, old: _Root, passphrase: bytes) -> _Root:
    """A root with a key of its own, and a bridge to it: the old root's certificate for it, and what is above that."""
    key = keys.generate(KeyKind(runtime.config.authority.ca_key))
    signer, name = KeyFileSigner(key), f"fleetgate root {runtime.entropy(4).hex()}"
    own = IssuerCertificate.self_signed(common_name(name), signer.public_key)
    made = sign_authority(ROOT_CA, own, signer, own.name, signer, runtime.entropy, act.now)
    bridge = await _signed(runtime, act, _BRIDGE, old, name, signer.public_key)
    files = {
        "ca/root.pem": Content(certificate.pem(made).encode(), _PUBLIC),
        "ca/root.key": Content(keys.sealed_pem(key, passphrase)),
        "ca/bridge.pem": Content((bridge + above(folder)).encode(), _PUBLIC),
    }
    issuer = _as_issuer(IssuerCertificate.of(made), signer, ROOT_CA)
    target, details = act.realm.arn("cacert", issuer.fingerprint), {"role": "root"}
    await runtime.write(lambda tx: audit.add(tx, act, "FoundAuthority", target, "ok", details=details))
    return _Root(issuer, signer, files)


def _as_issuer(found: IssuerCertificate, signer: KeyFileSigner, profile: Profile) -> Issuer:
    return Issuer(found, found.fingerprint, signer, profile, "")


async def _signed(
    runtime: Runtime, act: Act, profile: Profile, root: _Root, name: str, public_key: keys.PublicKey
) -> str:
    """A CA certificate by *root*, as PEM: written down, linted, signed, noted."""
    serial = certificate.serial_number(runtime.entropy(20))
    prepared = certificate.prepare(profile, root.issuer.certificate, common_name(name), public_key, serial, act.now)
    intent = authority.intent(prepared, root.issuer, public_key, profile.name)
    await runtime.write(lambda tx: issuances.begin(tx, act, intent))
    signed = certificate.complete(prepared, root.key.sign(prepared.tbs))
    fingerprint = certificate.fingerprint(signed)
    await runtime.write(lambda tx: authority.note(tx, act, intent, fingerprint, profile.name))
    return certificate.pem(signed)


# --- files ------------------------------------------------------------------------------------------------------------


def _kept(folder: Path, fingerprint: str) -> dict[str, Content]:
    """What stays of the CA that is replaced: its keys, and what vouches for it."""
    place = f"ca/former/{fingerprint[:_SHORT]}"
    kept = {
        f"{place}/{name}": Content((folder / name).read_bytes(), _PUBLIC if name.endswith("pem") else 0o600)
        for name in ("issuing.pem", "issuing.key", "root.pem", "root.key")
    }
    return kept | {f"{place}/bridge.pem": Content(above(folder).encode(), _PUBLIC)}


def _key_files(folder: Path) -> list[Path]:
    return sorted((folder / "ca").rglob("*.key"))


def _resealed(file: Path, old: bytes, new: bytes) -> bytes:
    try:
        return keys.sealed_pem(keys.load_private_key(file.read_bytes(), old), new)
    except InvalidRequest as error:
        raise Unavailable(f"The key file {file} cannot be used. {error.message}") from error


def _exchange(folder: Path, files: Mapping[str, Content]) -> None:
    try:
        exchange(folder, files)
    except OSError as error:
        raise Unavailable(f"The data directory {folder} cannot be changed: {error}") from error
