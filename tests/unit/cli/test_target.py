from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from fleetgate.cli import target
from fleetgate.wire.mqtt.packets import V4, V5

READY = {
    "mqtt_host": "localhost",
    "mqtt_port": 18883,
    "ca_file": "/d/root.pem",
    "claim": {"certificate_file": "/d/claim.pem", "private_key_file": "/d/claim.key", "template_name": "dev-fleet"},
}


def gather(**given: Any) -> target.Target:
    nothing = dict.fromkeys(
        ["ready_file", "host", "port", "ca_file", "claim_certificate", "claim_key", "template"], None
    )
    return target._gather(**{**nothing, "mqtt": "5", "cbor": False, "server_keys": False, **given})


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    file = tmp_path / "ready.json"
    file.write_text(json.dumps(READY))
    return file


def test_a_ready_file_says_everything(ready: Path) -> None:
    found = gather(ready_file=ready)
    assert (found.endpoint.host, found.endpoint.port, found.endpoint.ca_file) == (
        "localhost",
        18883,
        Path("/d/root.pem"),
    )
    assert found.needed_claim().private_key == Path("/d/claim.key")
    assert (found.options.template, found.options.version, found.options.format) == ("dev-fleet", V5, "json")


def test_what_is_said_beside_it_counts(ready: Path) -> None:
    found = gather(ready_file=ready, port=1, template="lamps", mqtt="3.1.1", cbor=True, server_keys=True)
    assert (found.endpoint.port, found.options.template) == (1, "lamps")
    assert (found.options.version, found.options.format, found.options.server_keys) == (V4, "cbor", True)


def test_another_host_is_not_vouched_for_by_the_dev_servers_ca(ready: Path) -> None:
    assert gather(ready_file=ready, host="iot.example").endpoint.ca_file is None


def test_without_a_ready_file() -> None:
    found = gather(host="iot.example", template="lamps")
    assert (found.endpoint.host, found.endpoint.port) == ("iot.example", 8883)
    with pytest.raises(typer.BadParameter, match="--claim-certificate"):
        found.needed_claim()


def test_too_little() -> None:
    for given in ({"host": "iot.example"}, {"template": "lamps"}, {}):
        with pytest.raises(typer.BadParameter, match="--host and --template"):
            gather(**given)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_what_is_no_ready_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "ready.json").write_text(text)
    with pytest.raises(typer.BadParameter, match="no ready file"):
        gather(ready_file=tmp_path / "ready.json")


def test_versions_of_mqtt(anywhere: Any) -> None:
    assert "3.1.1 and 5" in anywhere("simulate", "--mqtt", "4", status=2).err
