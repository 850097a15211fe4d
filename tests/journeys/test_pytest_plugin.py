"""The plugin as other people's test suites have it: pytest in a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetgate.testing import Failed, Fleetgate, MissingDependency, start

EXAMPLE = Path(__file__).parents[2] / "examples" / "pump"
PATIENCE = 60.0


class Suite:
    """A test suite somewhere; what its servers make, they make in `temporary`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder / "suite", folder / "tmp"
        self.folder.mkdir()
        self.temporary.mkdir()

    def command(self, *arguments: str) -> list[str]:
        settings = ["-o", "asyncio_default_fixture_loop_scope=function", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", "-q", *settings, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"TMPDIR": str(self.temporary), "COLUMNS": "120"}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    def left(self) -> list[str]:
        """What servers left behind. A server that lives has its folder."""
        return [each.name for each in self.temporary.glob("fleetgate-*")]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def test_the_example_passes_and_leaves_nothing(suite: Suite) -> None:
    """With one server for each worker."""
    shutil.copytree(EXAMPLE, suite.folder, dirs_exist_ok=True)
    said = suite.run("-n", "2")
    assert "7 passed" in said, said
    assert suite.left() == []


FAILING = """
def test_one(fleetgate):
    fleetgate.provision("SN-1")

def test_two(fleetgate):
    assert fleetgate.client().describe_thing(thingName="SN-1")["thingName"] == "SN-1"

def test_three(fleetgate):
    fleetgate.provision("SN-2", fleetgate.make_claim("no-such-template"))
"""
OTHER = """
def test_four(fleetgate):
    assert fleetgate.client().list_things()["things"] == []
    claim = fleetgate.make_claim(serials=["SN-3"])
    fleetgate.provision("SN-4", claim)
"""


def test_settings_and_failures(suite: Suite) -> None:
    (suite.folder / "pytest.ini").write_text("[pytest]\nfleetgate_reset = module\nfleetgate_config = fg.toml\n")
    (suite.folder / "fg.toml").write_text('[gateway]\nendpoint_names = ["localhost", "plant.example"]\n')
    (suite.folder / "test_a.py").write_text(FAILING)
    (suite.folder / "test_b.py").write_text(OTHER)
    said = suite.run()
    assert "2 failed, 2 passed" in said, said
    assert "Failed: Provisioning template no-such-template does not exist" in said
    assert "is not on the list of claim" in said  # beside the failure stands what the server logged during the test
    assert "plant.example" not in said  # and not what it logged before
    assert said.count("- fleetgate server -") == 1
    assert suite.left() == []


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("fleetgate_reset = often", "fleetgate_reset is 'often'; give one of function, module, session."),
        ("fleetgate_start_seconds = soon", "fleetgate_start_seconds is 'soon', which is no number of seconds."),
        ("fleetgate_config = nowhere.toml", "nowhere.toml"),
        ("fleetgate_start_seconds = 0.01", "fleetgate's server did not answer within 0.01 s"),
    ],
)
def test_settings_that_cannot_be(suite: Suite, setting: str, told: str) -> None:
    (suite.folder / "pytest.ini").write_text(f"[pytest]\n{setting}\n")
    (suite.folder / "test_a.py").write_text("def test_one(fleetgate): pass\ndef test_two(): pass\n")
    said = suite.run()
    assert told in said, said
    assert "1 passed, 1 error" in said
    assert suite.left() == []


def test_a_killed_run_leaves_nothing(suite: Suite) -> None:
    """Not even time to tidy up: the server notices by itself."""
    (suite.folder / "test_a.py").write_text("def test_one(fleetgate):\n    print('up', flush=True)\n    input()\n")
    process = subprocess.Popen(
        suite.command("-s"),
        cwd=suite.folder,
        env=suite.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        while "up" not in process.stdout.readline():
            assert process.poll() is None
        assert len(suite.left()) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 15
        while suite.left() and time.monotonic() < deadline:
            time.sleep(0.02)  # nobody tells
    assert suite.left() == []


def test_the_plugin_takes_nothing_along() -> None:
    """Every run of pytest in the environment loads it."""
    heavy = {"asyncio", "boto3", "botocore", "cryptography", "starlette", "uvloop", "fleetgate.dev", "fleetgate.agent"}
    script = f"import sys, fleetgate.testing.plugin; print(sorted({heavy!r} & set(sys.modules)))"
    bare = [sys.executable, "-c", script]
    done = subprocess.run(bare, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- without pytest ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[Fleetgate]:
    with start() as fleetgate:
        yield fleetgate


def test_a_reset_is_as_new(served: Fleetgate) -> None:
    served.reset()
    device, claim = served.provision("SN-1"), served.make_claim(count=3, rate="5/1m", batch="box")
    assert device.thing_name == "SN-1"
    assert all(file.exists() for file in (device.certificate_file, device.private_key_file, claim.certificate_file))
    things = served.client("iot").list_things()["things"]
    assert [thing["thingName"] for thing in things] == ["SN-1"]
    served.reset()
    assert served.client("iot").list_things()["things"] == []
    assert served.client("iot").list_policies(pageSize=10)["policies"]
    assert not device.certificate_file.exists()
    assert served.claim.certificate_file.exists()
    assert served.provision("SN-1").certificate_id != device.certificate_id


def test_a_server_that_refuses_goes_on(served: Fleetgate) -> None:
    with pytest.raises(Failed, match="does not exist"):
        served.make_claim("nowhere")
    with pytest.raises(Failed, match="Resources"):
        served.make_template("broken", {"Resources": 7})
    with pytest.raises(Failed, match="is no rate"):
        served.make_claim(rate="fast")
    with pytest.raises(Failed, match=r"'no'; give one of never, same-key, hook, allow\."):
        served.make_template("ruled", {}, reprovisioning="no")
    with pytest.raises(Failed, match=r"no handler file /nowhere/gate\.py"):
        served.bind_function("gate", "/nowhere/gate.py")
    assert served.provision("SN-9").thing_name == "SN-9"
    assert served.audit(action="RegisterThing")[-1]["outcome"] == "ok"


def test_the_environment_points_other_programs_at_it(served: Fleetgate) -> None:
    served.provision("SN-5")
    aws = Path(sys.executable).with_name("aws")
    environment = {"PATH": os.environ["PATH"], **served.environment}
    done = subprocess.run(
        [aws, "iot", "list-things", "--query", "things[].thingName", "--output", "text"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "SN-5" in done.stdout.split()


def test_without_boto3(served: Fleetgate, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Fleetgate(served.ready, lambda command, **arguments: None)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingDependency, match="pip install boto3"):
        fresh.client("iot")


def test_a_server_that_died_says_so(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(suite.temporary))
    with start() as fleetgate:
        os.kill(fleetgate.ready["pid"], signal.SIGKILL)
        with pytest.raises(Failed, match="has ended with status -9"):
            fleetgate.reset()
    assert len(suite.left()) == 1
    with start():
        assert len(suite.left()) == 1  # the next one's, which has removed what the first one left
