from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetgate.config import load
from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, NotFound
from fleetgate.names import Act, Realm
from fleetgate.pki import certificate, keys
from fleetgate.pki.keys import KeyKind
from fleetgate.policy import document
from fleetgate.provisioning import claim_certificate
from fleetgate.provisioning.claim_certificate import Budget
from fleetgate.registry import attachments, audit, certificates, claims, templates
from fleetgate.registry.budgets import Rate
from fleetgate.registry.certificates import Status
from fleetgate.runtime import Runtime
from fleetgate.works import works

REALM = Realm("123456789012", "us-east-1")


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with works(load(None, {"server.data_dir": str(tmp_path), "authority.key_pool": 0})) as opened:
        yield opened.runtime


@pytest.fixture
def act(runtime: Runtime) -> Act:
    return runtime.act(REALM, "system")


async def template(runtime: Runtime, act: Act, name: str = "lamps") -> None:
    await runtime.write(lambda tx: templates.create(tx, act, name, "{}", "role", enabled=True))


async def test_certificate_key_policy_and_budget(runtime: Runtime, act: Act) -> None:
    await template(runtime, act)
    key = keys.generate(KeyKind.EC_P256)
    budget = Budget("lamps", 10, Rate(5, 60_000), serials=("SN-1",), batch="box")
    made = await claim_certificate.create(runtime, act, key, budget)

    claim = made.claim
    assert (claim.template_name, claim.maximum, claim.rate) == ("lamps", 10, Rate(5, 60_000))
    assert (claim.batch, claim.serials_listed, claim.enabled) == ("box", True, True)
    parsed = certificate.load(made.certificate_pem)
    assert certificate.fingerprint(parsed) == claim.fingerprint
    assert parsed.public_key() == keys.load_private_key(made.private_key_pem.encode()).public_key() == key.public_key()
    assert made.private_key_pem not in repr(made)

    def look(tx: Tx) -> tuple[Status, tuple[str, ...], list[str]]:
        target = REALM.arn("cert", claim.fingerprint)
        return (
            certificates.get(tx, REALM, claim.fingerprint).status,
            attachments.page_policies(tx, REALM, target).items,
            [entry.action for entry in audit.page(tx, REALM, target=target).items],
        )

    status, policies, actions = await runtime.database.read(look)
    assert status is Status.ACTIVE
    assert policies == (made.policy_name,) == ("claim-lamps",)
    assert sorted(actions) == ["IssueCertificate", "RegisterClaim"]


async def test_claims_of_one_template_share_their_policy(runtime: Runtime, act: Act) -> None:
    await template(runtime, act)
    again = runtime.act(REALM, "system")
    first, second = [
        await claim_certificate.create(runtime, each, keys.generate(KeyKind.EC_P256), Budget("lamps"))
        for each in (act, again)
    ]
    assert first.policy_name == second.policy_name
    assert first.claim.fingerprint != second.claim.fingerprint


async def test_an_unknown_template_leaves_no_certificate(runtime: Runtime, act: Act) -> None:
    with pytest.raises(NotFound, match="template ghosts does not exist"):
        await claim_certificate.create(runtime, act, keys.generate(KeyKind.EC_P256), Budget("ghosts"))
    found = await runtime.database.read(lambda tx: (certificates.page(tx, REALM).items, claims.page(tx, REALM).items))
    assert found == ((), ())


async def test_a_certificate_is_registered_once(runtime: Runtime, act: Act) -> None:
    made = await claim_certificate.create(runtime, act, keys.generate(KeyKind.EC_P256), Budget(None))
    with pytest.raises(AlreadyExists):
        await runtime.write(lambda tx: Budget(None).register(tx, act, made.claim.fingerprint))


@pytest.mark.parametrize("name", [None, "x" * 36])
def test_policies_fit_and_name_their_template(name: str | None) -> None:
    text = claim_certificate.policy_document(REALM, name)
    assert len(document.parse(text).statements) == 3
    assert f"$aws/provisioning-templates/{name or '*'}/provision/*" in text
    assert [each["Action"] for each in json.loads(text)["Statement"]] == [
        "iot:Connect",
        ["iot:Publish", "iot:Receive"],
        "iot:Subscribe",
    ]
    assert claim_certificate.policy_name(name) == (f"claim-{name}" if name else "claim")
