"""The command line as people and programs have it: real processes, real signals, real devices."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from fleetgate.dev import REALM
from fleetgate.provisioning.claim_certificate import policy_document

FLEETGATE = [sys.executable, "-m", "fleetgate"]
PATIENCE = 30.0
"""Seconds that a test waits for what must happen: it bounds a failure and delays no success."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """With a folder for temporary files of the test's own, so that what is left behind is seen."""
    return {**os.environ, "TMPDIR": str(folder), "COLUMNS": "120", **more}


@dataclass
class Dev:
    """A dev server in a process of its own."""

    process: subprocess.Popen[bytes]
    ready_file: Path
    temporary: Path
    output_file: Path

    @property
    def output(self) -> str:
        """What it has said, on standard output and standard error."""
        return self.output_file.read_text()

    @property
    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    def command(self, *arguments: str, status: int = 0) -> str:
        """Standard output of another fleetgate process."""
        done = subprocess.run(
            [*FLEETGATE, *arguments],
            capture_output=True,
            text=True,
            env=environment(self.temporary),
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def client(self, region: str | None = None) -> Any:
        ready = self.ready
        return boto3.client(
            "iot",
            endpoint_url=ready["api_url"],
            region_name=region or ready["region"],
            aws_access_key_id=ready["access_key_id"],
            aws_secret_access_key=ready["secret_access_key"],
        )

    def simulate(self, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
        said = self.command("simulate", "--ready-file", str(self.ready_file), "--json", *arguments, status=status)
        return [json.loads(line) for line in said.splitlines()]

    def reset(self) -> int:
        url = f"{self.ready['api_url']}/_fleetgate/reset"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PATIENCE) as answer:
            found: int = answer.status
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def running(folder: Path, *arguments: str, command: str = "dev") -> Iterator[Dev]:
    ready = folder / "ready.json"
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [*FLEETGATE, command, "--ready-file", str(ready), *arguments],
            env=environment(temporary),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    server = Dev(process, ready, temporary, output)
    try:
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert process.poll() is None, server.output
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running(tmp_path_factory.mktemp("dev"), "--free-ports", "--quiet") as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.output


def test_the_ready_file_has_everything_and_everything_answers(dev: Dev) -> None:
    ready = dev.ready
    assert set(ready) == {
        *["api_url", "mqtt_host", "mqtt_port", "https_port", "ca_file", "account", "region"],
        *["access_key_id", "secret_access_key", "claim", "data_dir", "pid"],
    }
    assert set(ready["claim"]) == {"certificate_file", "private_key_file", "template_name"}
    assert (ready["account"], ready["region"], ready["mqtt_host"]) == ("123456789012", "us-east-1", "localhost")
    assert ready["pid"] == dev.process.pid
    assert stat.S_IMODE(dev.ready_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(ready["claim"]["private_key_file"]).stat().st_mode) == 0o600
    with urllib.request.urlopen(f"{ready['api_url']}/_fleetgate/health", timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert dev.client().describe_provisioning_template(templateName="dev-fleet")["enabled"]


def test_devices_are_simulated_and_seen_by_the_aws_client(dev: Dev) -> None:
    devices = dev.simulate("--devices", "3", "--prefix", "SEEN-", "--mqtt", "3.1.1", "--cbor")
    assert {device["thing_name"] for device in devices} == {f"SEEN-{number:06d}" for number in (1, 2, 3)}
    assert all(device["error"] is None and device["seconds"]["total"] > 0 for device in devices)
    found = dev.client().list_thing_principals(thingName="SEEN-000001")["principals"]
    (certificate,) = [device["certificate_id"] for device in devices if device["serial"] == "SEEN-000001"]
    assert found == [f"arn:aws:iot:us-east-1:123456789012:cert/{certificate}"]
    listed = json.loads(dev.command("thing", "list", "--data-dir", dev.ready["data_dir"], "--json"))
    assert {"SEEN-000001", "SEEN-000002", "SEEN-000003"} <= {thing["name"] for thing in listed}


def test_people_see_each_device_and_a_summary(dev: Dev) -> None:
    shown = dev.command("simulate", "--ready-file", str(dev.ready_file), "--devices", "2", "--prefix", "TABLE-")
    assert re.search(r"^TABLE-000002\s+[0-9a-f]{12}(\s+\d+){5}$", shown, re.MULTILINE)
    assert re.search(r"^total(\s+\d+){3}$", shown, re.MULTILINE)


def test_a_claim_that_nobody_registered_works_at_once(dev: Dev, tmp_path: Path) -> None:
    """As in AWS's own tutorials: a certificate and a policy, and nothing that AWS does not know."""
    iot = dev.client()
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="dev-claim", target=made["certificateArn"])
    (tmp_path / "claim.pem").write_text(made["certificatePem"])
    (tmp_path / "claim.key").write_text(made["keyPair"]["PrivateKey"])
    files = ["--claim-certificate", str(tmp_path / "claim.pem"), "--claim-key", str(tmp_path / "claim.key")]
    (device,) = dev.simulate("--devices", "1", "--prefix", "TUTORIAL-", *files)
    assert device["error"] is None


def test_another_region_is_there_on_first_use_and_apart(dev: Dev) -> None:
    dev.client("eu-central-1").create_thing(thingName="far-away")
    assert [thing["thingName"] for thing in dev.client("eu-central-1").list_things()["things"]] == ["far-away"]
    assert "far-away" not in {thing["thingName"] for thing in dev.client().list_things()["things"]}


def test_a_device_provisions_and_rotates_with_its_own_files(dev: Dev, tmp_path: Path) -> None:
    arguments = [
        "--ready-file",
        str(dev.ready_file),
        "--serial",
        "AGENT-1",
        "--folder",
        str(tmp_path / "device"),
        "--json",
    ]
    first = json.loads(dev.command("agent", "provision", *arguments))
    assert (first["thing_name"], first["attempts"]) == ("AGENT-1", 1)
    assert stat.S_IMODE(Path(first["private_key_file"]).stat().st_mode) == 0o600
    again = json.loads(dev.command("agent", "provision", *arguments))
    assert (again["certificate_id"], again["attempts"]) == (first["certificate_id"], 0)
    rotated = json.loads(dev.command("agent", "rotate", *arguments))
    assert rotated["certificate_id"] != first["certificate_id"]
    shown = json.loads(dev.command("agent", "show", "--folder", str(tmp_path / "device"), "--json"))
    assert shown["certificate_id"] == rotated["certificate_id"]
    thing = json.loads(dev.command("thing", "show", "AGENT-1", "--data-dir", dev.ready["data_dir"], "--json"))
    statuses = {each["fingerprint"]: each["status"] for each in thing["certificates"]}
    assert statuses == {first["certificate_id"]: "INACTIVE", rotated["certificate_id"]: "ACTIVE"}


def test_the_kill_switch_works_on_a_running_server(dev: Dev) -> None:
    where = ["--data-dir", dev.ready["data_dir"]]
    dev.command("claim", "disable", "--batch", "dev", *where)
    (refused,) = dev.simulate("--devices", "1", "--prefix", "KILLED-", status=1)
    assert "403 AccessDenied" in refused["error"]
    nothing = dev.command("simulate", "--ready-file", str(dev.ready_file), "--devices", "1", status=1)
    assert nothing == ""  # no table of nobody
    dev.command("claim", "enable", "--batch", "dev", *where)
    (device,) = dev.simulate("--devices", "1", "--prefix", "ALIVE-")
    assert device["error"] is None
    refusals = json.loads(dev.command("audit", "list", *where, "--json"))
    assert any(each["outcome"] == "refused" and "is switched off" in each["reason"] for each in refusals)
    assert json.loads(dev.command("audit", "verify", *where, "--json"))["sound"]


def test_a_reset_empties_the_server_and_keeps_the_ready_file_true(dev: Dev) -> None:
    iot = dev.client()
    iot.create_thing_type(thingTypeName="lamp")
    iot.create_policy(policyName="mine", policyDocument=policy_document(REALM, None))
    dev.simulate("--devices", "2", "--prefix", "BEFORE-")
    ready = dev.ready

    assert dev.reset() == 200

    assert dev.ready == ready
    assert iot.list_things()["things"] == []
    assert iot.list_thing_types()["thingTypes"] == []
    assert {policy["policyName"] for policy in iot.list_policies()["policies"]} == {"dev-claim", "dev-device"}
    assert len(iot.list_certificates()["certificates"]) == 1
    assert [each["templateName"] for each in iot.list_provisioning_templates()["templates"]] == ["dev-fleet"]
    (device,) = dev.simulate("--devices", "1", "--prefix", "BEFORE-")
    assert device["thing_name"] == "BEFORE-000001"
    (claim,) = json.loads(dev.command("claim", "list", "--data-dir", ready["data_dir"], "--json"))
    assert claim["used"] == 1, "the budget is new as well"
    assert json.loads(dev.command("audit", "verify", "--data-dir", ready["data_dir"], "--json"))["sound"]


def test_resets_at_once_and_under_load_leave_a_whole_server(dev: Dev) -> None:
    simulation = subprocess.Popen(
        [*FLEETGATE, "simulate", "--ready-file", str(dev.ready_file), "--devices", "20", "--json"],
        env=environment(dev.temporary),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert [dev.reset() for _ in range(5)] == [200] * 5
    simulation.wait(PATIENCE)
    assert dev.reset() == 200
    (device,) = dev.simulate("--devices", "1")
    assert device["error"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_is_left_behind(tmp_path: Path, number: int) -> None:
    with running(tmp_path, "--free-ports") as server:
        data = Path(server.ready["data_dir"])
        assert data.parent == server.temporary
        assert server.stop(number) == 0
        assert not server.ready_file.exists()
        assert list(server.temporary.iterdir()) == []
    assert "export AWS_ENDPOINT_URL_IOT=http://127.0.0.1:" in server.output
    assert "Traceback" not in server.output


def test_a_data_directory_is_kept_and_started_again_the_same(tmp_path: Path) -> None:
    kept = ["--free-ports", "--data-dir", str(tmp_path / "kept")]
    with running(tmp_path, *kept) as server:
        first = server.ready
        server.simulate("--devices", "1")
        server.process.kill()
        server.process.wait(PATIENCE)
        server.ready_file.unlink()
    with running(tmp_path, *kept) as server:
        second = server.ready
        assert [thing["thingName"] for thing in server.client().list_things()["things"]] == ["SIM-000001"]
        assert server.simulate("--devices", "1", "--first", "2")[0]["error"] is None
        assert server.stop() == 0
    same = {"ca_file", "access_key_id", "secret_access_key", "claim", "data_dir"}
    assert {key: first[key] for key in same} == {key: second[key] for key in same}
    assert Path(first["ca_file"]).exists()


def test_a_hook_is_bound_to_a_file_and_stays_bound_after_a_reset(tmp_path: Path) -> None:
    file = tmp_path / "hook.py"
    file.write_text(
        "def decide(event, context):\n"
        "    print('asked under', context.aws_request_id)\n"
        "    return {'allowProvisioning': event['parameters']['SerialNumber'].endswith('1')}\n"
    )
    with running(tmp_path, "--free-ports", "--function", f"approve={file}:decide") as server:
        for _ in range(2):
            arn = "arn:aws:lambda:us-east-1:123456789012:function:approve"
            server.client().update_provisioning_template(
                templateName="dev-fleet", preProvisioningHook={"targetArn": arn, "payloadVersion": "2020-04-01"}
            )
            done = server.simulate("--devices", "2", status=1)
            assert {device["serial"]: device["error"] is None for device in done} == {
                "SIM-000001": True,
                "SIM-000002": False,
            }
            (told,) = re.findall(r"\(request (\S+)\)", next(each["error"] for each in done if each["error"]))
            assert f"asked under {told}" in server.output
            server.reset()


def test_serve_needs_no_configuration_but_ports_and_has_no_reset(tmp_path: Path) -> None:
    file = tmp_path / "ports.toml"
    file.write_text("[gateway]\nmqtt_port = 0\nhttps_port = 0\n[api]\nport = 0\n[log]\nformat = 'json'\n")
    arguments = ["--config", str(file), "--data-dir", str(tmp_path / "data")]
    with running(tmp_path, *arguments, command="serve") as server:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            server.reset()
        made = json.loads(server.command("key", "create", "--data-dir", str(tmp_path / "data"), "--json"))
        iot = boto3.client(
            "iot",
            endpoint_url=server.ready["api_url"],
            region_name="us-east-1",
            aws_access_key_id=made["id"],
            aws_secret_access_key=made["secret"],
        )
        assert iot.list_things()["things"] == []
        assert server.stop() == 0
    entries = [json.loads(line) for line in server.output.splitlines()]
    events = {entry["event"]: entry for entry in entries}
    assert "fleetgate key create --data-dir" in events["installation founded"]["next"]
    assert list(events)[-2:] == ["stopping", "stopped"]
    assert made["secret"] not in str(entries)


def test_a_taken_port_is_told_in_one_line(dev: Dev, tmp_path: Path) -> None:
    file = tmp_path / "taken.toml"
    file.write_text(f"[gateway]\nmqtt_port = {dev.ready['mqtt_port']}\nhttps_port = 0\n[api]\nport = 0\n")
    done = subprocess.run(
        [*FLEETGATE, "dev", "--config", str(file)],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "Error: The server cannot listen: " in done.stderr
    assert f"gateway.mqtt_port {dev.ready['mqtt_port']} on 127.0.0.1: Address already in use" in done.stderr
    assert "--free-ports" in done.stderr
    assert "Traceback" not in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["taken.toml"]


def refused(folder: Path, *arguments: str) -> str:
    """What a command says that must not start; nothing is left of it."""
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [*FLEETGATE, *arguments],
        capture_output=True,
        text=True,
        env=environment(folder),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr


@pytest.mark.parametrize("command", ["serve", "dev"])
def test_nothing_is_founded_where_the_server_cannot_listen(dev: Dev, tmp_path: Path, command: str) -> None:
    ready, config = dev.ready, tmp_path / "config.toml"
    where = [command, "--config", str(config), "--data-dir", str(tmp_path / "data")]
    config.write_text(f"[gateway]\nmqtt_port = {ready['mqtt_port']}\nhttps_port = {ready['https_port']}\n")
    said = refused(tmp_path, *where)
    assert f"- gateway.mqtt_port {ready['mqtt_port']}" in said
    assert f"- gateway.https_port {ready['https_port']}" in said
    for host, words in (("203.0.113.7", "no address of this machine"), ("no.such.host.invalid", "no address (")):
        config.write_text(f"[gateway]\nhost = '{host}'\nmqtt_port = 0\nhttps_port = 0\n[api]\nport = 0\n")
        said = refused(tmp_path, *where)
        assert f"gateway.host is '{host}', which is {words}" in said


@pytest.mark.parametrize("command", ["serve", "dev"])
def test_a_second_server_in_the_same_data_directory_is_refused(dev: Dev, tmp_path: Path, command: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[gateway]\nmqtt_port = 0\nhttps_port = 0\n[api]\nport = 0\n")
    said = refused(tmp_path, command, "--config", str(config), "--data-dir", dev.ready["data_dir"])
    assert f"Another fleetgate process ({dev.process.pid}) serves" in said
    assert json.loads(dev.command("thing", "list", "--data-dir", dev.ready["data_dir"], "--json")) is not None


def test_help_is_there_at_once() -> None:
    """The processor time of the process: its wall-clock time is the machine's affair."""
    before = os.times()
    subprocess.run([*FLEETGATE, "--help"], capture_output=True, check=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5


# --- the demo ---------------------------------------------------------------------------------------------------------

ROW = re.compile(r"^DEMO-(\d{6})\s+[0-9a-f]{12}(\s+\d+){5}$", re.MULTILINE)


def test_the_demo_without_a_terminal_shows_25_devices_and_ends_by_itself(tmp_path: Path) -> None:
    started = f"{time.time() - 60:.3f}"
    done = subprocess.run(
        [*FLEETGATE, "demo"],
        capture_output=True,
        text=True,
        env=environment(tmp_path, FLEETGATE_DEMO_SETUP_STARTED=started, COLUMNS="80"),
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [line.rstrip() for line in done.stdout.splitlines() if line.startswith("DEMO-")]
    assert [ROW.match(row) is not None for row in rows] == [True] * 25, rows
    assert max(map(len, rows)) <= 80
    assert re.search(
        r"It took 6\d\.\d s in all: set-up 6\d\.\d s, program start \d+\.\d s, server start \d+\.\d s, "
        r"25 devices \d+\.\d s\.",
        " ".join(done.stdout.split()),
    )
    assert re.search(r"^  export AWS_ENDPOINT_URL_IOT=http://127\.0\.0\.1:\d+$", done.stdout, re.MULTILINE)
    assert "  aws iot list-things\n" in done.stdout
    assert '  iot = boto3.client("iot")\n' in done.stdout
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_on_a_terminal_serves_until_interrupted(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*FLEETGATE, "demo", "--devices", "3"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(tmp_path, TERM="xterm"),
        start_new_session=True,
    )
    os.close(slave)
    try:
        shown = _until(master, "Serving until Ctrl-C.")
        assert "3/3" in shown, "the progress bar"
        url = re.search(r"AWS_ENDPOINT_URL_IOT=(\S+)", shown)
        assert url is not None
        with urllib.request.urlopen(f"{url[1]}/_fleetgate/health", timeout=PATIENCE) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert list(tmp_path.iterdir()) == []


def _until(terminal: int, text: str) -> str:
    shown, deadline = "", time.monotonic() + PATIENCE
    while text not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65_536).decode(errors="replace")
    return shown
