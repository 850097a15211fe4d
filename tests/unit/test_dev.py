"""What a dev server starts with. That it serves and resets is tested with a real one (tests/journeys/test_cli.py)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fleetgate import dev
from fleetgate.database.open import memory
from fleetgate.errors import Unavailable
from fleetgate.names import Act
from fleetgate.policy import document, variables
from fleetgate.policy.evaluate import Allowed, Named, Request, decide
from fleetgate.policy.variables import Thing
from fleetgate.provisioning.claim_certificate import policy_document
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import Credentials
from fleetgate.template.document import Kind, parse
from fleetgate.template.render import render
from fleetgate.works import works

LAMP = Thing("lamp", attached=True)
CLAIM_POLICY = policy_document(dev.REALM, None)


def allows(policy: str, action: str, kind: str, name: str, thing: Thing | None) -> bool:
    named = Named("policy", "1", document.parse(policy))
    context = variables.connection(client_id="lamp", thing=thing)
    return isinstance(decide([named], Request(f"iot:{action}", dev.REALM.arn(kind, name), context)), Allowed)


@pytest.mark.parametrize(
    ("action", "kind", "name"),
    [
        ("Connect", "client", "lamp"),
        ("Publish", "topic", "devices/lamp/temperature"),
        ("RetainPublish", "topic", "devices/lamp/state"),
        ("Receive", "topic", "devices/lamp/commands/1"),
        ("Subscribe", "topicfilter", "devices/lamp/#"),
        ("Publish", "topic", "$aws/certificates/create/cbor"),
        ("Publish", "topic", "$aws/certificates/create-from-csr/json"),
        ("Subscribe", "topicfilter", "$aws/certificates/create/json/accepted"),
        ("Publish", "topic", "$aws/provisioning-templates/dev-fleet/provision/json"),
        ("Subscribe", "topicfilter", "$aws/provisioning-templates/dev-fleet/provision/json/rejected"),
    ],
)
def test_a_device_may_speak_for_itself_and_renew_its_certificate(action: str, kind: str, name: str) -> None:
    assert allows(dev.device_policy(), action, kind, name, LAMP)


@pytest.mark.parametrize(
    ("action", "kind", "name"),
    [
        ("Connect", "client", "other"),
        ("Publish", "topic", "devices/other/temperature"),
        ("Subscribe", "topicfilter", "devices/+/temperature"),
        ("Subscribe", "topicfilter", "#"),
        ("Publish", "topic", "$aws/provisioning-templates/other/provision/json"),
        ("GetThingShadow", "thing", "lamp"),
    ],
)
def test_a_device_may_do_nothing_else(action: str, kind: str, name: str) -> None:
    assert not allows(dev.device_policy(), action, kind, name, LAMP)
    assert not allows(dev.device_policy(), "Connect", "client", "lamp", None)


def test_the_claim_may_ask_by_every_template_and_do_nothing_else() -> None:
    def may(action: str, kind: str, name: str) -> bool:
        return allows(CLAIM_POLICY, action, kind, name, None)

    assert may("Connect", "client", "whatever")
    assert may("Publish", "topic", "$aws/certificates/create/json")
    assert may("Publish", "topic", "$aws/provisioning-templates/mine/provision/cbor")
    assert may("Subscribe", "topicfilter", "$aws/provisioning-templates/mine/provision/cbor/accepted")
    assert not may("Publish", "topic", "devices/lamp/temperature")
    assert not may("Subscribe", "topicfilter", "#")


def test_the_template_makes_an_active_certificate_and_a_thing_named_by_its_serial_number() -> None:
    parsed = parse(dev.template_body(), Kind.FLEET_PROVISIONING)
    plan = render(parsed, {"SerialNumber": "SN-1"}, {"AWS::IoT::Certificate::Id": "ab" * 32})
    assert plan.thing is not None
    assert (plan.thing.name, plan.thing.attributes) == ("SN-1", {"serialNumber": "SN-1"})
    assert plan.certificate is not None
    assert (plan.certificate.certificate_id, plan.certificate.status) == ("ab" * 32, "ACTIVE")
    assert [policy.name for policy in plan.policies] == [dev.DEVICE_POLICY]


def test_the_configuration_is_the_defaults_but_for_a_few(tmp_path: Path) -> None:
    config = dev.config(tmp_path)
    assert config.server.data_dir == tmp_path
    assert (config.gateway.mqtt_port, config.gateway.https_port, config.api.port) == (8883, 8443, 8080)
    assert (config.claims.unregistered, config.claims.default_budget) == ("default-budget", dev.BUDGET)
    free = dev.config(tmp_path, free_ports=True)
    assert (free.gateway.mqtt_port, free.gateway.https_port, free.api.port) == (0, 0, 0)


def test_a_file_may_say_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "dev.toml"
    file.write_text("[server]\ndata_dir = '/elsewhere'\n[authority]\nprofile = 'strict'\n")
    config = dev.config(tmp_path, file=file)
    assert (config.server.data_dir, config.authority.profile) == (tmp_path, "strict")


# --- whose installation it is -----------------------------------------------------------------------------------------


def content(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


async def start(folder: Path, file: Path | None = None) -> None:
    async with dev.serve(dev.config(folder, free_ports=True, file=file)):
        pytest.fail("it started")


def test_an_installation_that_somebody_else_founded_is_left_as_it_is(tmp_path: Path) -> None:
    async def found() -> None:
        async with works(dev.config(tmp_path)):
            pass

    asyncio.run(found())
    before = content(tmp_path)
    with pytest.raises(Unavailable, match=r"not made by fleetgate dev.*fleetgate serve --data-dir"):
        asyncio.run(start(tmp_path))
    assert content(tmp_path) == before


def test_one_that_is_half_founded_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    with pytest.raises(Unavailable, match="not made by fleetgate dev"):
        asyncio.run(start(tmp_path))


def test_a_directory_is_marked_once_and_known_again(tmp_path: Path) -> None:
    dev._claim_folder(tmp_path / "new")
    (tmp_path / "new" / "ca").mkdir()
    dev._claim_folder(tmp_path / "new")
    assert [each.name for each in (tmp_path / "new" / "dev").iterdir()] == ["made-by-fleetgate-dev"]


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be used"):
        asyncio.run(start(tmp_path / "file" / "data"))


def test_a_database_elsewhere_that_has_others_records_is_refused() -> None:
    database = memory()
    mine, theirs = Credentials("AKIA" + "M" * 16, "s"), Credentials("AKIA" + "T" * 16, "s")
    act = Act(dev.REALM, "system", 0, "r")
    database.run(lambda tx: dev._check_database(tx, mine))
    database.run(lambda tx: access_keys.create(tx, act, theirs.id, label="", sealed_secret="s"))
    with pytest.raises(Unavailable, match="did not make"):
        database.run(lambda tx: dev._check_database(tx, mine))
    database.run(lambda tx: dev._check_database(tx, theirs))
