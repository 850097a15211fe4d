"""The whole flow against a server that is one object, which goes wrong where a test says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.agent.cloud import DROP, DROP_AFTER, SILENT, Cloud, Recorder, Reject, certify

from fleetgate.agent.backoff import Backoff
from fleetgate.agent.client import Client
from fleetgate.agent.errors import AnswerUnusable, Declined, GaveUp, Rejected, StoreUnusable
from fleetgate.agent.provision import Options, Result, Seconds, provision, rotate
from fleetgate.agent.store import FolderStore, MemoryStore, Step, Store
from fleetgate.agent.tls import Endpoint, KeyTexts
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.wire.mqtt.errors import Reason
from fleetgate.wire.mqtt.packets import V4, V5, ConnAck

SOON = 0.25
"""Seconds: short for a test that waits in vain, long for two ends in one process on a busy machine."""
CREATE = "$aws/certificates/create-from-csr/json"
PROVISION = "$aws/provisioning-templates/T/provision/json"


class Devices:
    """Devices of one cloud."""

    def __init__(self, cloud: Cloud, claim: KeyTexts, recorder: Recorder, endpoint: Endpoint) -> None:
        self.cloud, self.claim, self.recorder, self.endpoint = cloud, claim, recorder, endpoint

    def options(self, **more: Any) -> Options:
        settings: dict[str, Any] = {"parameters": {"SerialNumber": "SN-1"}, "backoff": Backoff(attempts=4)}
        settings |= {"connect_timeout": SOON, "answer_timeout": SOON} if self.cloud.is_silent() else {}
        return Options(self.endpoint, "T", **settings | more)

    async def provision(self, store: Store, **more: Any) -> Result:
        return await provision(self.options(**more), self.claim, store, self.recorder.around, self.cloud.dial)

    async def rotate(self, store: Store, **more: Any) -> Result:
        return await rotate(self.options(**more), store, self.recorder.around, self.cloud.dial)


@pytest.fixture
def devices(cloud: Cloud, claim: KeyTexts, recorder: Recorder, endpoint: Endpoint) -> Devices:
    return Devices(cloud, claim, recorder, endpoint)


@pytest.mark.parametrize("version", [V4, V5])
@pytest.mark.parametrize("form", ["json", "cbor"])
@pytest.mark.parametrize("server_keys", [False, True])
async def test_a_device_provisions_itself(devices: Devices, version: int, form: Any, server_keys: bool) -> None:
    store = MemoryStore()
    result = await devices.provision(store, version=version, format=form, server_keys=server_keys)
    assert (result.thing_name, result.device_configuration, result.attempts) == ("SN-1", {"interval": "60"}, 1)
    assert devices.cloud.things == {"SN-1": [result.certificate_id]}
    claimed, own = devices.cloud.connects
    assert claimed.client_id == "claim-8000000000000"
    assert (own.client_id, own.version) == ("SN-1", version)
    kept = store.current()
    assert kept is not None
    assert kept.token is None, "what is no longer needed is forgotten"
    assert keys.load_private_key((kept.private_key or "").encode()).key_size == 256
    assert (kept.request is None) is server_keys


async def test_it_subscribes_to_every_answer_before_it_asks(devices: Devices) -> None:
    await devices.provision(MemoryStore())
    assert devices.cloud.subscribed == [
        f"{CREATE}/accepted",
        f"{CREATE}/rejected",
        f"{PROVISION}/accepted",
        f"{PROVISION}/rejected",
    ]


async def test_each_step_is_timed(devices: Devices) -> None:
    result = await devices.provision(MemoryStore())
    assert result.seconds == Seconds(0, 0, 0, 0), "the recorder's clock stands still"


async def test_client_ids_and_the_confirmation_are_the_operators_choice(devices: Devices) -> None:
    await devices.provision(
        MemoryStore(), client_id="asks", own_client_id="owns", confirm_topic="hello", confirm_payload=b"1"
    )
    assert [each.client_id for each in devices.cloud.connects] == ["asks", "owns"]
    assert [(each.topic, each.payload) for each in devices.cloud.published] == [("hello", b"1")]


async def test_a_device_that_is_provisioned_does_nothing(devices: Devices) -> None:
    store = MemoryStore()
    first = await devices.provision(store)
    again = await devices.provision(store)
    assert (again.certificate_id, again.thing_name, again.attempts) == (first.certificate_id, "SN-1", 0)
    assert again.seconds == Seconds()
    assert len(devices.cloud.connects) == 2


async def test_another_devices_folder_is_refused(devices: Devices, tmp_path: Path) -> None:
    with FolderStore(tmp_path / "device") as store:
        first = await devices.provision(store)
        other = {"parameters": {"SerialNumber": "SN-2"}}
        for attempt in (devices.provision, devices.rotate):
            with pytest.raises(StoreUnusable, match=r"thing SN-1, provisioned with SerialNumber=SN-1, not .*=SN-2"):
                await attempt(store, **other)
        current = store.current()
        assert current is not None
        assert current.certificate_id == first.certificate_id
        assert (await devices.provision(store, parameters={})).certificate_id == first.certificate_id


async def test_another_devices_folder_is_refused_before_its_identity_is_in_force(devices: Devices) -> None:
    store = MemoryStore()
    devices.cloud.trouble["connect"] += [None, *[DROP] * 4]
    with pytest.raises(GaveUp):
        await devices.provision(store)
    assert store.draft().step is Step.PROVISIONED
    with pytest.raises(StoreUnusable, match="another device"):
        await devices.provision(store, parameters={"SerialNumber": "SN-2"})
    assert (await devices.provision(store)).thing_name == "SN-1"


async def test_a_template_without_a_thing(devices: Devices) -> None:
    devices.cloud.trouble["provision"].append(lambda: {"deviceConfiguration": {}})
    result = await devices.provision(MemoryStore())
    assert result.thing_name is None
    assert devices.cloud.connects[-1].client_id == result.certificate_id


# --- what passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["connect", "create", "provision"])
@pytest.mark.parametrize("trouble", [DROP, SILENT])
async def test_what_breaks_is_tried_again_with_the_same_key(devices: Devices, operation: str, trouble: str) -> None:
    devices.cloud.trouble[operation] += [trouble, trouble]
    result = await devices.provision(MemoryStore())
    assert result.attempts == 3
    assert devices.recorder.pauses == [0.5, 1]
    assert len(set(devices.cloud.keys_seen)) == 1
    assert devices.cloud.things == {"SN-1": [result.certificate_id]}


@pytest.mark.parametrize("operation", ["create", "provision"])
@pytest.mark.parametrize("trouble", [Reject(429), Reject(500), Reject(503)])
async def test_a_server_that_cannot_now_is_asked_again(devices: Devices, operation: str, trouble: Reject) -> None:
    devices.cloud.trouble[operation].append(trouble)
    assert (await devices.provision(MemoryStore())).attempts == 2


async def test_a_server_too_busy_for_connections_is_asked_again(devices: Devices) -> None:
    devices.cloud.trouble["connect"].append(ConnAck(Reason.SERVER_BUSY))
    assert (await devices.provision(MemoryStore())).attempts == 2


async def test_an_answer_lost_after_the_certificate_was_made(devices: Devices) -> None:
    devices.cloud.trouble["create"].append(DROP_AFTER)
    result = await devices.provision(MemoryStore())
    assert len(devices.cloud.keys_seen) == 2
    assert len(set(devices.cloud.keys_seen)) == 1
    assert devices.cloud.things == {"SN-1": [result.certificate_id]}


async def test_an_answer_lost_after_the_template_was_applied(devices: Devices) -> None:
    """The token is used up by then; the server knows the device again by its key."""
    devices.cloud.trouble["provision"].append(DROP_AFTER)
    result = await devices.provision(MemoryStore())
    assert result.attempts == 2
    assert len(set(devices.cloud.keys_seen)) == 1
    first, last = devices.cloud.things["SN-1"]
    assert last == result.certificate_id != first


async def test_the_new_certificate_is_not_taken_at_once(devices: Devices) -> None:
    devices.cloud.trouble["connect"] += [None, DROP, DROP]
    result = await devices.provision(MemoryStore())
    assert result.attempts == 3
    assert len(devices.cloud.keys_seen) == 1
    assert [each.client_id for each in devices.cloud.connects[1:]] == ["SN-1"] * 3


async def test_it_gives_up_and_a_later_run_goes_on(devices: Devices) -> None:
    store = MemoryStore()
    devices.cloud.trouble["provision"] += [SILENT] * 4
    with pytest.raises(
        GaveUp, match=r"after 4 attempts\. The last one: Timed out .* waiting for the answer to RegisterThing"
    ):
        await devices.provision(store)
    assert store.draft().step is Step.CERTIFIED
    result = await devices.provision(store)
    assert result.seconds.certificate is None
    assert len(devices.cloud.keys_seen) == 1


# --- what does not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["create", "provision"])
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refusal_ends_it_and_says_why(devices: Devices, operation: str, status: int) -> None:
    devices.cloud.trouble[operation].append(Reject(status, "NotThis"))
    with pytest.raises(Rejected, match=rf"with {status} NotThis: no \(request r-1\)"):
        await devices.provision(MemoryStore())
    assert devices.recorder.pauses == []


async def test_a_token_of_this_very_connection_is_not_asked_for_again(devices: Devices) -> None:
    devices.cloud.trouble["provision"].append(Reject(400, "InvalidParameters"))
    store = MemoryStore()
    with pytest.raises(Rejected, match="InvalidParameters"):
        await devices.provision(store)
    assert len(devices.cloud.keys_seen) == 1
    # The next run cannot tell whether the token has expired, so it asks for another, once.
    devices.cloud.trouble["provision"] += [Reject(400), Reject(400)]
    with pytest.raises(Rejected):
        await devices.provision(store)
    assert len(devices.cloud.keys_seen) == 2


async def test_a_kept_token_that_meets_another_refusal(devices: Devices) -> None:
    devices.cloud.trouble["provision"] += [SILENT, Reject(403)]
    with pytest.raises(Rejected, match="403"):
        await devices.provision(MemoryStore())
    assert len(devices.cloud.keys_seen) == 1


async def test_a_connection_that_is_declined_for_good(devices: Devices) -> None:
    devices.cloud.trouble["connect"].append(ConnAck(Reason.NOT_AUTHORIZED))
    with pytest.raises(Declined, match="not authorized"):
        await devices.provision(MemoryStore())


async def test_a_certificate_for_another_key_is_not_kept(devices: Devices) -> None:
    other = keys.generate(KeyKind.EC_P256).public_key()
    devices.cloud.trouble["create"].append(
        lambda: {"certificateId": "1", "certificatePem": certify(other), "certificateOwnershipToken": "t"}
    )
    store = MemoryStore()
    with pytest.raises(AnswerUnusable, match="for another key than ours"):
        await devices.provision(store)
    assert store.draft().step is Step.KEY


async def test_nothing_secret_is_said(devices: Devices) -> None:
    devices.cloud.trouble["provision"] += [DROP, DROP_AFTER]
    store = MemoryStore()
    await devices.provision(store, server_keys=True)
    said = "\n".join(devices.recorder.said)
    assert "Asking for a certificate." in said
    assert "PRIVATE KEY" not in said
    assert not any(token in said for token in devices.cloud.tokens)
    kept = store.current()
    assert kept is not None
    assert "PRIVATE KEY" not in repr(kept)


# --- rotation ---------------------------------------------------------------------------------------------------------


async def test_rotation_needs_something_to_rotate(devices: Devices) -> None:
    with pytest.raises(StoreUnusable, match="Provision the device first"):
        await devices.rotate(MemoryStore())


async def test_rotation_gives_a_new_key_over_the_old_certificate(devices: Devices) -> None:
    store = MemoryStore()
    await devices.provision(store)
    result = await devices.rotate(store)
    assert [each.client_id for each in devices.cloud.connects[2:]] == ["SN-1", "SN-1"]
    assert len(set(devices.cloud.keys_seen)) == 2
    kept = store.current()
    assert kept is not None
    assert kept.certificate_id == result.certificate_id == devices.cloud.things["SN-1"][-1]


async def test_rotation_remembers_what_the_device_was_provisioned_with(devices: Devices) -> None:
    store = MemoryStore()
    await devices.provision(store, parameters={"SerialNumber": "SN-1", "Model": "P-100"})
    result = await devices.rotate(store, parameters={"Site": "hall3"})
    kept = store.current()
    assert kept is not None
    assert kept.parameters == {"SerialNumber": "SN-1", "Model": "P-100", "Site": "hall3"}
    assert devices.cloud.things == {"SN-1": [devices.cloud.things["SN-1"][0], result.certificate_id]}
    assert (await devices.rotate(store, parameters={})).thing_name == "SN-1"


async def test_the_old_identity_stays_until_the_new_one_has_connected(devices: Devices, tmp_path: Path) -> None:
    with FolderStore(tmp_path / "device") as store:
        first = await devices.provision(store)
        devices.cloud.trouble["connect"] += [None, *[DROP] * 4]
        with pytest.raises(GaveUp):
            await devices.rotate(store, client_id="asks")
        kept = store.current()
        assert kept is not None
        assert kept.certificate_id == first.certificate_id
        second = await devices.rotate(store)
        assert second.seconds.connect is None, "only the last step was left"
    assert not (tmp_path / "device" / "1").exists()


# --- crashes ----------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The power is gone."""


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """`crash(n)`: the process dies in place of its n-th change to the disk; `crash(None)`: it does not."""
    left: list[int | None] = [None]

    def dying(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if left[0] is not None:
                if left[0] == 0:
                    raise Crash
                left[0] -= 1
            return operation(*arguments, **named)

        return call

    for name in ("mkdir", "open", "fsync", "replace", "symlink", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, dying(getattr(os, name)))

    def arm(operations: int | None) -> None:
        left[0] = operations

    yield arm
    left[0] = None


@pytest.mark.parametrize("server_keys", [False, True])
async def test_a_crash_at_any_operation_is_gone_on_from(
    claim: KeyTexts, endpoint: Endpoint, tmp_path: Path, crash: Callable[[int | None], None], server_keys: bool
) -> None:
    crashes = 0
    while True:
        cloud = Cloud()
        device, folder = Devices(cloud, claim, Recorder(), endpoint), tmp_path / str(crashes)
        crash(crashes)
        crashed = await _run(device, folder, server_keys)
        crash(None)
        result = await _run(device, folder, server_keys)
        assert result is not None
        assert cloud.things["SN-1"][-1] == result.certificate_id
        if not server_keys:
            assert len(set(cloud.keys_seen)) == 1, "the same key in every request"
        if crashed is not None:
            break
        crashes += 1
    assert crashes > 20


async def _run(device: Devices, folder: Path, server_keys: bool) -> Result | None:
    try:
        with FolderStore(folder) as store:
            return await device.provision(store, server_keys=server_keys)
    except Crash:
        return None


async def test_a_crash_at_any_operation_of_a_rotation(
    claim: KeyTexts, endpoint: Endpoint, tmp_path: Path, crash: Callable[[int | None], None]
) -> None:
    crashes = 0
    while True:
        cloud = Cloud()
        device, folder = Devices(cloud, claim, Recorder(), endpoint), tmp_path / str(crashes)
        await _run(device, folder, server_keys=False)
        crash(crashes)
        crashed = await _rotate(device, folder)
        crash(None)
        if crashed is not None:
            break
        with FolderStore(folder) as store:
            kept = store.current()
            assert kept is not None
            if kept.certificate_id == cloud.things["SN-1"][0]:
                await device.rotate(store)
                kept = store.current()
        assert kept is not None
        assert kept.certificate_id == cloud.things["SN-1"][-1]
        assert len(set(cloud.keys_seen)) == 2, "the first key and the next, in however many requests"
        assert sorted(path.name for path in folder.iterdir()) == ["2", "current", "lock"]
        crashes += 1
    assert crashes > 20


async def _rotate(device: Devices, folder: Path) -> Result | None:
    try:
        with FolderStore(folder) as store:
            return await device.rotate(store)
    except Crash:
        return None


async def test_a_dial_that_is_cancelled_leaves_nothing_behind(devices: Devices) -> None:
    clients: list[Client] = []

    async def dial(*arguments: Any) -> Client:
        clients.append(await devices.cloud.dial(*arguments))
        return clients[-1]

    devices.cloud.trouble["create"].append(Reject(403))
    with pytest.raises(Rejected):
        await provision(devices.options(), devices.claim, MemoryStore(), devices.recorder.around, dial)
    assert not any(client.alive for client in clients)
