"""What every Signer does. A new implementation joins by one line in `SIGNERS`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from fleetgate.pki import certificate, chain, keys, profile
from fleetgate.pki.issuer import IssuerCertificate
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.signer import KeyFileSigner, Signer

NOW: Final = 1_790_000_000_000


def _key_file(kind: KeyKind, passphrase: bytes | None) -> Callable[[Path], Signer]:
    def opened(folder: Path) -> Signer:
        KeyFileSigner.create(folder / "ca.key", kind, passphrase)
        return KeyFileSigner.open(folder / "ca.key", passphrase)

    return opened


SIGNERS: Final[dict[str, Callable[[Path], Signer]]] = {
    "key file, P-256": _key_file(KeyKind.EC_P256, b"secret"),
    "key file, P-384": _key_file(KeyKind.EC_P384, None),
    "key file, P-521": _key_file(KeyKind.EC_P521, None),
    "key file, RSA-2048": _key_file(KeyKind.RSA_2048, b"secret"),
    "key file, RSA-3072": _key_file(KeyKind.RSA_3072, None),
}


@pytest.fixture(scope="module", params=list(SIGNERS))
def signer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    made: Signer = SIGNERS[request.param](tmp_path_factory.mktemp("signer"))
    return made


def _serial(text: str) -> int:
    return certificate.serial_number(hashlib.sha256(text.encode()).digest()[:20])


def test_the_public_key_is_strong_and_stays(signer: Signer) -> None:
    assert keys.key_problems(signer.public_key) == []
    assert signer.public_key == signer.public_key
    assert signer.algorithm == keys.SignatureAlgorithm.of(signer.public_key)


@pytest.mark.parametrize("tbs", [b"", b"x", b"x" * 100_000])
def test_signatures_verify(signer: Signer, tbs: bytes) -> None:
    signature = signer.sign(tbs)
    assert signer.algorithm.verifies(signer.public_key, signature, tbs)
    assert not signer.algorithm.verifies(signer.public_key, signature, tbs + b"x")


def test_many_threads_may_sign(signer: Signer) -> None:
    made: dict[int, bytes] = {}

    def sign(thread: int) -> None:
        for turn in range(5):
            number = thread * 5 + turn
            made[number] = signer.sign(str(number).encode())

    threads = [threading.Thread(target=sign, args=(each,)) for each in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 20
    assert all(signer.algorithm.verifies(signer.public_key, made[each], str(each).encode()) for each in made)


def test_a_whole_installation_from_root_to_device(signer: Signer) -> None:
    name = profile.common_name("Root")
    own = IssuerCertificate.self_signed(name, signer.public_key)
    prepared = certificate.prepare(profile.ROOT_CA, own, name, signer.public_key, _serial("root"), NOW)
    root = certificate.complete(prepared, signer.sign(prepared.tbs))
    for kind in (KeyKind.EC_P256, KeyKind.RSA_2048):
        key = keys.generate(kind).public_key()
        issuer = IssuerCertificate.of(root)
        prepared = certificate.prepare(profile.AWS_DEVICE, issuer, None, key, _serial(kind), NOW)
        device = certificate.complete(prepared, signer.sign(prepared.tbs))
        assert chain.verify_path(device, [], root, NOW) == (device, root)
        device.verify_directly_issued_by(root)
