"""A new root comes, and devices in the field go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fleet import running_server
from tests.server import REALM

from fleetgate import authority, config, succession
from fleetgate.agent.client import dial
from fleetgate.agent.tls import Endpoint, KeyFiles, present, trust
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.registry import attachments, policies
from fleetgate.registry.certificates import Status
from fleetgate.wire.mqtt.packets import V5, Connect
from fleetgate.works import works


async def test_devices_with_either_root_get_in(tmp_path: Path) -> None:
    data, old_root = tmp_path / "data", tmp_path / "old.pem"
    async with running_server(data) as server:
        runtime, act = server.runtime, server.runtime.act(REALM, "me")
        old_root.write_text(server.works.installation.root_file.read_text())
        key = keys.generate(KeyKind.EC_P256)
        made = await authority.issue(runtime, act, key.public_key())
        allow = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}'

        def enter(tx: Any) -> None:
            authority.record(tx, act, made, Status.ACTIVE)
            policies.create(tx, act, "all", allow)
            attachments.attach_policy(tx, act, "all", REALM.arn("cert", made.fingerprint))

        await runtime.write(enter)
    files = KeyFiles(tmp_path / "device.pem", tmp_path / "device.key")
    files.certificate.write_text(made.pem)
    files.private_key.write_text(keys.private_key_pem(key))
    async with works(config.load(None, {"server.data_dir": str(data), "authority.key_pool": 0})) as inside:
        act = inside.runtime.act(REALM, "me")
        await succession.replace_authority(inside.runtime, inside.installation, act, new_root=True)
    async with running_server(data) as server:
        for file in (old_root, server.works.installation.root_file):
            endpoint = Endpoint("127.0.0.1", server.mqtt_port, file, server_name="localhost")
            client = await dial(endpoint, present(trust(endpoint), files), Connect("device", V5, keep_alive=60), 5)
            await client.disconnect()
