from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from tests.pki import new_key, signing_request
from tests.registrations import body, device, lines
from tests.runtime import Answer, Installed, exchange

from fleetgate.api import reports
from fleetgate.names import Realm
from fleetgate.provisioning import bucket, bulk
from fleetgate.registry import tasks
from fleetgate.registry.tasks import Report

ROLE = "arn:aws:iam::123456789012:role/registration"


# --- one device -------------------------------------------------------------------------------------------------------


def test_a_thing_is_registered(iot: Any, house: Installed, realm: Realm) -> None:
    key = new_key()
    answer = iot.register_thing(
        templateBody=body(), parameters={"ThingName": "lamp", "CSR": signing_request(key, "Big Orchestra")}
    )
    leaf = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
    assert leaf.public_key() == key.public_key()
    assert set(answer["resourceArns"]) == {"thing", "certificate", "policy"}
    principals = iot.list_thing_principals(thingName="lamp")["principals"]
    assert principals == [answer["resourceArns"]["certificate"]]
    [entry] = [each for each in house.audited(realm) if each.action == "RegisterThing"]
    assert entry.target == answer["resourceArns"]["thing"]


def test_a_template_without_parameters(iot: Any, realm: Realm) -> None:
    template = json.dumps({"Resources": {"t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "alone"}}}})
    answer = iot.register_thing(templateBody=template)
    assert answer["resourceArns"] == {"t": realm.arn("thing", "alone")}
    assert "certificatePem" not in answer


@pytest.mark.parametrize(
    ("template", "parameters"),
    [("{", {}), (body(), {}), (body(), {"ThingName": "lamp", "CSR": "x"}), (body(Unknown="x"), device("lamp"))],
)
def test_requests_that_cannot_be(iot: Any, template: str, parameters: dict[str, str]) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.register_thing(templateBody=template, parameters=parameters)


def test_what_the_registry_refuses(iot: Any) -> None:
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="bulk-type"):
        iot.register_thing(templateBody=body(ThingTypeName="bulk-type"), parameters=device("lamp"))
    assert iot.list_things()["things"] == []
    assert iot.list_certificates()["certificates"] == []


def test_an_override_that_says_fail(iot: Any) -> None:
    template = json.loads(body())
    template["Resources"]["thing"]["OverrideSettings"] = {"AttributePayload": "FAIL"}
    iot.create_thing(thingName="lamp", attributePayload={"attributes": {"serial": "another"}})
    with pytest.raises(iot.exceptions.ConflictingResourceUpdateException, match="FAIL"):
        iot.register_thing(templateBody=json.dumps(template), parameters=device("lamp"))
    assert iot.list_thing_principals(thingName="lamp")["principals"] == []


# --- in bulk ----------------------------------------------------------------------------------------------------------

Put = Callable[[str], dict[str, str]]


@pytest.fixture
def put(house: Installed, realm: Realm) -> Put:
    """Put a file into the account's bucket; what names it in a request."""

    def made(text: str) -> dict[str, str]:
        folder = bucket.root(house.runtime.config) / f"of-{realm.account}" / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lamps.json").write_text(text)
        return {"inputFileBucket": f"of-{realm.account}", "inputFileKey": "inputs/lamps.json", "roleArn": ROLE}

    return made


@pytest.fixture
def started(iot: Any, put: Put) -> Callable[..., str]:
    def start(*devices: dict[str, str] | str) -> str:
        task: str = iot.start_thing_registration_task(templateBody=body(), **put(lines(*devices)))["taskId"]
        return task

    return start


@pytest.fixture
def work(house: Installed, realm: Realm) -> Callable[[str], None]:
    """Do what the server's runner would."""

    def run(task_id: str) -> None:
        task = house.write(lambda tx: tasks.take(tx, realm, task_id, "runner", house.clock()))
        assert task is not None
        house.run(bulk.work(house.runtime, task, "runner"))

    return run


def test_a_task_from_its_start_to_its_end(iot: Any, put: Put, work: Any, realm: Realm, house: Installed) -> None:
    named = put(lines(device("a"), "nonsense", device("b")))
    task_id = iot.start_thing_registration_task(templateBody=body(), **named)["taskId"]
    described = iot.describe_thing_registration_task(taskId=task_id)
    assert {name: described[name] for name in named} == named
    assert (described["status"], described["percentageProgress"], described["templateBody"]) == (
        "InProgress",
        0,
        body(),
    )
    work(task_id)
    described = iot.describe_thing_registration_task(taskId=task_id)
    assert (described["status"], described["successCount"], described["failureCount"]) == ("Completed", 2, 1)
    assert described["percentageProgress"] == 100
    assert [each["thingName"] for each in iot.list_things()["things"]] == ["a", "b"]
    actions = {each.action for each in house.audited(realm)}
    assert {"StartThingRegistrationTask", "RegisterThing"} <= actions


def test_one_task_at_a_time(iot: Any, put: Put, started: Any) -> None:
    task_id = started(device("a"))
    with pytest.raises(iot.exceptions.InvalidRequestException, match=f"{task_id} is still running"):
        iot.start_thing_registration_task(templateBody=body(), **put(lines(device("b"))))


@pytest.mark.parametrize(
    "change",
    [
        {"inputFileKey": "../../secrets/passphrase"},
        {"inputFileKey": "inputs"},
        {"inputFileKey": "inputs/unknown.json"},
        {"inputFileBucket": "..."},
        {"inputFileBucket": "other-bucket"},
        {"templateBody": "{}"},
    ],
)
def test_tasks_that_cannot_be_started(iot: Any, put: Put, change: dict[str, str]) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.start_thing_registration_task(**{"templateBody": body(), **put(lines(device("a"))), **change})
    assert iot.list_thing_registration_tasks()["taskIds"] == []


def test_tasks_are_listed_newest_first(iot: Any, started: Any, work: Any, house: Installed) -> None:
    made = []
    for _ in range(3):
        made.append(started("nonsense"))
        work(made[-1])
        house.clock.ahead += 1000
    made.append(started("nonsense"))
    pages = iot.get_paginator("list_thing_registration_tasks").paginate(PaginationConfig={"PageSize": 2})
    assert [each for page in pages for each in page["taskIds"]] == list(reversed(made))
    assert iot.list_thing_registration_tasks(status="InProgress")["taskIds"] == [made[-1]]
    assert iot.list_thing_registration_tasks(status="Cancelled")["taskIds"] == []


def test_a_task_is_stopped(iot: Any, started: Any, work: Any) -> None:
    task_id = started(device("a"))
    iot.stop_thing_registration_task(taskId=task_id)
    assert iot.describe_thing_registration_task(taskId=task_id)["status"] == "Cancelling"
    work(task_id)
    described = iot.describe_thing_registration_task(taskId=task_id)
    assert (described["status"], described["successCount"]) == ("Cancelled", 0)
    assert described["message"] == "Stopped after line 0."
    iot.stop_thing_registration_task(taskId=task_id)


def test_what_has_ended_cannot_be_stopped(iot: Any, started: Any, work: Any) -> None:
    task_id = started("nonsense")
    work(task_id)
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Completed already"):
        iot.stop_thing_registration_task(taskId=task_id)


def test_unknown_tasks(iot: Any) -> None:
    for call in (iot.describe_thing_registration_task, iot.stop_thing_registration_task):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call(taskId="unknown")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="does not exist"):
        iot.list_thing_registration_task_reports(taskId="unknown", reportType="ERRORS")


# --- reports ----------------------------------------------------------------------------------------------------------


def links(iot: Any, task_id: str, report: str) -> list[str]:
    answer = iot.list_thing_registration_task_reports(taskId=task_id, reportType=report)
    assert answer["reportType"] == report
    return list(answer["resourceLinks"])


@pytest.fixture
def fetch(house: Installed) -> Callable[..., Answer]:
    def get(link: str, method: str = "GET") -> Answer:
        url = urlsplit(link)
        parts = [{"type": "http.request", "body": b"", "more_body": False}]
        answer: Answer = house.run(exchange(house.api, method, url.path, url.query, [], parts))
        return answer

    return get


def test_reports(iot: Any, started: Any, work: Any, fetch: Any, realm: Realm) -> None:
    task_id = started(device("a"), "nonsense", device("b"))
    assert links(iot, task_id, "RESULTS") == []
    work(task_id)
    [results], [errors] = links(iot, task_id, "RESULTS"), links(iot, task_id, "ERRORS")
    assert results.startswith("http://api.example:8080/_fleetgate/reports/")
    answer = fetch(results)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    first, second = map(json.loads, answer.body.splitlines())
    assert (first["lineNumber"], second["lineNumber"]) == (1, 3)
    assert first["response"]["ResourceArns"]["thing"] == realm.arn("thing", "a")
    x509.load_pem_x509_certificate(first["response"]["CertificatePem"].encode())
    [error] = map(json.loads, fetch(errors).body.splitlines())
    assert error["lineNumber"] == 2
    assert set(error["error"]) == {"code", "message"}


def test_long_reports_come_in_parts(
    iot: Any, started: Any, work: Any, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "PART", 3)
    monkeypatch.setattr(reports, "_ROWS", 2)
    task_id = started(*["nonsense"] * 3, *(device(f"lamp-{number}") for number in range(3)), *["nonsense"] * 2)
    work(task_id)
    assert len(links(iot, task_id, "RESULTS")) == 1
    call = iot.list_thing_registration_task_reports
    first = call(taskId=task_id, reportType="ERRORS", maxResults=1)
    second = call(taskId=task_id, reportType="ERRORS", maxResults=1, nextToken=first["nextToken"])
    assert "nextToken" not in second
    found = [
        json.loads(line)["lineNumber"]
        for link in first["resourceLinks"] + second["resourceLinks"]
        for line in fetch(link).body.splitlines()
    ]
    assert found == [1, 2, 3, 7, 8]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="page token"):
        call(taskId=task_id, reportType="RESULTS", nextToken=first["nextToken"])


def test_links_that_were_changed_or_are_old(
    iot: Any, started: Any, work: Any, fetch: Any, house: Installed, realm: Realm
) -> None:
    task_id = started(device("a"), "nonsense")
    work(task_id)
    [link] = links(iot, task_id, "RESULTS")
    changed = [
        link.replace("RESULTS", "ERRORS"),
        link.replace(realm.account, "999999999999"),
        link.replace("/1.jsonl", "/2.jsonl"),
        link.replace("expires=", "expires=1"),
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.partition("&")[0],
        link.partition("?")[0],
        link.replace("expires=", "expires=x"),
        link.replace("signature=", "signature=%C3%A4"),
    ]
    for each in changed:
        answer = fetch(each)
        assert (answer.status, b"Big" in answer.body) == (403, False), each
    house.clock.ahead += reports.LIFETIME * 1000 + 1000
    answer = fetch(link)
    assert answer.status == 403
    assert b"expired" in answer.body


def test_paths_that_are_no_reports(house: Installed, fetch: Any, iot: Any, started: Any, work: Any) -> None:
    task_id = started(device("a"))
    work(task_id)
    [link] = links(iot, task_id, "RESULTS")
    assert fetch("/_fleetgate/reports/x").status == 404
    assert fetch("/_fleetgate/reports/../../secrets/passphrase").status == 404
    assert fetch(link, "POST").status == 404
    house.write(lambda tx: tx.run("DELETE FROM registration_answers WHERE task_id = :id", id=task_id))
    house.write(lambda tx: tx.run("DELETE FROM registration_tasks WHERE id = :id", id=task_id))
    assert fetch(link).status == 404


def test_links_behind_a_proxy(house: Installed, realm: Realm) -> None:
    from dataclasses import replace

    config = house.runtime.config
    public = replace(config, api=replace(config.api, public_url="https://iot.example.com/"))
    act = house.runtime.act(realm, "test")
    link = reports.link(replace(house.runtime, config=public), act, "t", Report.ERRORS, 1)
    assert link.startswith("https://iot.example.com/_fleetgate/reports/")
