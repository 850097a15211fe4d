"""Bulk registration from S3: uploaded by boto3 to a server that checks every signature, started by boto3's iot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.journeys.maker import operator
from tests.registrations import body, device, lines
from tests.s3 import BUCKET, CLOSED, REGION, S3Server, s3_server
from tests.server import PATIENCE, Live, serving

from fleetgate.config import S3Config
from fleetgate.errors import InvalidRequest
from fleetgate.provisioning import s3
from fleetgate.wire.restjson.sigv4 import AccessKey

ROLE = "arn:aws:iam::123456789012:role/bulk"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def house(store: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("server"), store.settings) as server:
        yield server


@pytest.fixture
def iot(house: Live) -> Any:
    return operator(house)


def ended(iot: Any, task: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while (described := iot.describe_thing_registration_task(taskId=task))["status"] == "InProgress":
        assert time.monotonic() < deadline, described
        time.sleep(0.02)
    return described


def start(iot: Any, place: dict[str, str]) -> str:
    task: str = iot.start_thing_registration_task(templateBody=body(), roleArn=ROLE, **place)["taskId"]
    return task


def refusal(iot: Any, bucket: str, key: str) -> str:
    with pytest.raises(ClientError) as caught:
        start(iot, {"inputFileBucket": bucket, "inputFileKey": key})
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    return caught.value.response["Error"]["Message"]


def things(iot: Any, prefix: str) -> list[str]:
    pages = iot.get_paginator("list_things").paginate()
    return sorted(
        each["thingName"] for page in pages for each in page["things"] if each["thingName"].startswith(prefix)
    )


def test_a_file_is_registered_from_s3(iot: Any, store: S3Server) -> None:
    place = store.put("2026/march/(trumpets)*.json", lines(device("trumpet-1"), "nonsense", device("trumpet-2")))
    done = ended(iot, start(iot, place))
    assert (done["status"], done["successCount"], done["failureCount"]) == ("Completed", 2, 1)
    assert (done["inputFileBucket"], done["inputFileKey"]) == (BUCKET, "2026/march/(trumpets)*.json")
    assert done["percentageProgress"] == 100
    assert things(iot, "trumpet") == ["trumpet-1", "trumpet-2"]


def test_a_file_of_many_ranges_is_read_to_its_end(iot: Any, store: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "RANGE", 997)
    names = [f"tuba-{number:02}" for number in range(30)]
    text = lines(*map(device, names))
    assert len(text) > 10 * 997
    done = ended(iot, start(iot, store.put("tubas.json", text)))
    assert (done["status"], done["successCount"], done["failureCount"]) == ("Completed", 30, 0)
    assert things(iot, "tuba") == names


def test_a_folder_of_the_server_comes_before_a_bucket_of_s3(iot: Any, house: Live, store: S3Server) -> None:
    store.client.create_bucket(Bucket="both-places", CreateBucketConfiguration={"LocationConstraint": REGION})
    folder = house.server.runtime.config.server.data_dir / "buckets" / "both-places"
    folder.mkdir(parents=True)
    (folder / "here.json").write_text(lines(device("here")))
    assert ended(iot, start(iot, {"inputFileBucket": "both-places", "inputFileKey": "here.json"}))["successCount"] == 1
    assert "There is no file" in refusal(iot, "both-places", "there.json")


def test_what_cannot_be_read_is_refused_at_once(iot: Any, store: S3Server) -> None:
    assert "404 (NoSuchKey" in refusal(iot, BUCKET, "none.json")
    assert "403 (AccessDenied" in refusal(iot, CLOSED, "none.json")
    assert "S3 cannot have one of that name" in refusal(iot, "Capital_Letters", "none.json")
    assert iot.list_thing_registration_tasks(status="InProgress")["taskIds"] == []


def test_a_file_that_changed_is_not_read(store: S3Server, house: Live) -> None:
    place = store.put("changed.json", lines(device("before")))
    config, clock = house.server.runtime.config.s3, house.server.runtime.clock
    source = s3.look(config, BUCKET, place["inputFileKey"], clock)
    store.put("changed.json", lines(device("after!")))
    with s3.reopen(config, source, clock) as file, pytest.raises(InvalidRequest, match="was changed after the task"):
        file.readline(1_000)
    store.client.delete_object(Bucket=BUCKET, Key="changed.json")
    with s3.reopen(config, source, clock) as file, pytest.raises(InvalidRequest, match="404"):
        file.readline(1_000)


def test_lines_are_read_as_from_a_file(store: S3Server, house: Live, tmp_path: Path) -> None:
    content = b"first\n\n" + b"x" * 5_000 + b"\nlast, without its end"
    (tmp_path / "file").write_bytes(content)
    store.client.put_object(Bucket=BUCKET, Key="lines", Body=content)
    config, clock = house.server.runtime.config.s3, house.server.runtime.clock
    with (
        s3.reopen(config, s3.look(config, BUCKET, "lines", clock), clock) as there,
        (tmp_path / "file").open("rb") as here,
    ):
        for position in (0, 3, 6, 7, 2_000, len(content) - 1, len(content), len(content) + 5, 1):
            there.seek(position)
            here.seek(position)
            assert [there.readline(700) for _ in range(12)] == [here.readline(700) for _ in range(12)]


def test_an_empty_file_has_no_lines(iot: Any, store: S3Server) -> None:
    done = ended(iot, start(iot, store.put("empty.json", "")))
    assert (done["status"], done["successCount"], done["failureCount"]) == ("Completed", 0, 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[default]\naws_access_key_id = {id}\naws_secret_access_key = wrong\n", "403 .SignatureDoesNotMatch"),
        ("[default]\naws_access_key_id = nobody\naws_secret_access_key = wrong\n", "403 .InvalidAccessKeyId"),
        (
            "[default]\naws_access_key_id = x\n",
            r"no aws_access_key_id and aws_secret_access_key in its section .default",
        ),
        ("[other]\naws_access_key_id = x\naws_secret_access_key = y\n", r"in its section .default"),
        ("not an INI file", r"in its section .default"),
    ],
)
def test_credentials_that_do_not_open(store: S3Server, house: Live, tmp_path: Path, text: str, why: str) -> None:
    store.put("locked.json", "")
    known = s3.credentials(house.server.runtime.config.s3)
    (tmp_path / "keys").write_text(text.format(id=known.id))
    config = replace(house.server.runtime.config.s3, credentials_file=tmp_path / "keys")
    with pytest.raises(InvalidRequest, match=why) as caught:
        s3.look(config, BUCKET, "locked.json", house.server.runtime.clock)
    assert "wrong" not in str(caught.value)


def test_a_rotated_key_is_taken_up(store: S3Server, house: Live, tmp_path: Path) -> None:
    store.put("rotated.json", "")
    (tmp_path / "keys").write_text("[plant]\naws_access_key_id = old\naws_secret_access_key = old\n")
    config = replace(house.server.runtime.config.s3, credentials_file=tmp_path / "keys", profile="plant")
    with s3.Object(config, BUCKET, "rotated.json", house.server.runtime.clock) as found:
        with pytest.raises(InvalidRequest, match="403"):
            found.described()
        (tmp_path / "keys").write_text(store.credentials_file.read_text().replace("default", "plant"))
        assert found.described().size == 0


def test_nothing_of_the_key_is_shown() -> None:
    assert "secret" not in repr(AccessKey("id", "secret", "secret"))
    assert S3Config().credentials_file is None
