from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from structlog.testing import capture_logs
from tests.runtime import URL, Answer, Installed, ask, exchange, signed

from fleetgate import __version__
from fleetgate.api import app
from fleetgate.api.app import LARGEST_BODY, Api, build
from fleetgate.api.handling import Known, Params, Result
from fleetgate.api.services import Service
from fleetgate.config import Duration
from fleetgate.database.open import open_database
from fleetgate.errors import AccessDenied
from fleetgate.names import Act, Realm
from fleetgate.runtime import Runtime

MINUTE = 60_000


def told(answer: Answer) -> tuple[int, str, str]:
    body = json.loads(answer.body)
    return answer.status, answer.headers.get("x-amzn-errortype", ""), body.get("message", "")


def plain(house: Installed, method: str, path: str, body: bytes = b"", api: Any = None) -> Answer:
    """An unsigned request."""
    parts = [{"type": "http.request", "body": body}]
    answer: Answer = house.run(exchange(api or house.api, method, path, "", [(b"host", b"x")], parts))
    return answer


# --- signatures -------------------------------------------------------------------------------------------------------


def test_every_answer_has_a_request_id(house: Installed, operator: Credentials) -> None:
    answers = [
        house.send(signed(operator, "GET", "/endpoint")),
        house.send(signed(operator, "GET", "/things/none")),
        plain(house, "GET", "/endpoint"),
    ]
    ids = {answer.headers["x-amzn-requestid"] for answer in answers}
    assert len(ids) == 3
    assert all(uuid.UUID(each).version == 4 for each in ids)


def test_nobody_is_let_in_unsigned(house: Installed) -> None:
    house.refusals.clear()
    status, code, message = told(plain(house, "GET", "/things"))
    assert (status, code) == (403, "MissingAuthenticationTokenException")
    assert "Signature Version 4" in message
    [refusal] = house.refusals
    assert (refusal.action, refusal.target, refusal.act.actor) == ("Authenticate", "GET /things", "unknown")
    assert refusal.reason.startswith("MissingAuthenticationTokenException: ")


def test_a_wrong_secret(house: Installed, operator: Credentials, realm: Realm) -> None:
    house.refusals.clear()
    thief = Credentials(operator.access_key, "guessed")
    status, code, _ = told(house.send(signed(thief, "GET", "/things", region="eu-west-1")))
    assert (status, code) == (403, "InvalidSignatureException")
    [refusal] = house.refusals
    assert refusal.act.realm == Realm(realm.account, "eu-west-1")
    assert refusal.act.actor.endswith(f"access-key/{operator.access_key}")


def test_an_unknown_key(house: Installed) -> None:
    status, code, _ = told(house.send(signed(Credentials("AKIA" + "Z" * 16, "secret"), "GET", "/things")))
    assert (status, code) == (403, "UnrecognizedClientException")


def test_an_altered_request(house: Installed, operator: Credentials) -> None:
    request = signed(operator, "PATCH", "/things/t", b'{"removeThingType":true}')
    request.body = b'{"removeThingType":false}'
    assert told(house.send(request))[:2] == (403, "InvalidSignatureException")


def test_a_presigned_request(house: Installed, operator: Credentials) -> None:
    request = AWSRequest("GET", f"{URL}/things")
    SigV4QueryAuth(operator, "iot", "us-east-1").add_auth(request)
    assert told(house.send(request.prepare()))[:2] == (403, "IncompleteSignatureException")


def test_a_clock_that_is_wrong(house: Installed, operator: Credentials) -> None:
    config = house.runtime.config
    strict_config = replace(config, api=replace(config.api, clock_skew=Duration(5 * MINUTE)))
    strict = build(replace(house.runtime, config=strict_config))
    request = signed(operator, "GET", "/endpoint")
    house.clock.ahead = 4 * MINUTE
    assert house.run(ask(strict, request)).status == 200
    house.clock.ahead = 6 * MINUTE
    assert told(house.run(ask(strict, request)))[1] == "InvalidSignatureException"


def test_a_region_that_is_none(house: Installed, operator: Credentials) -> None:
    status, code, message = told(house.send(signed(operator, "GET", "/things", region="moon")))
    assert (status, code) == (400, "InvalidRequestException")
    assert "us-east-1, not 'moon'" in message


def test_other_regions_appear_on_first_use(house: Installed, operator: Credentials, iot: Any) -> None:
    there = house.client(operator, "ap-southeast-2")
    there.create_thing(thingName="t")
    assert there.describe_thing(thingName="t")["thingArn"].startswith("arn:aws:iot:ap-southeast-2:")
    assert iot.list_things()["things"] == []


def test_an_account_sees_nothing_of_another(house: Installed, iot: Any) -> None:
    iot.create_thing(thingName="t")
    other = house.client(house.operator(house.account()))
    assert other.list_things()["things"] == []
    with pytest.raises(other.exceptions.ResourceNotFoundException):
        other.describe_thing(thingName="t")


# --- what is not served -----------------------------------------------------------------------------------------------


def test_operations_that_are_not_served_answer_by_name(iot: Any) -> None:
    with pytest.raises(ClientError) as caught:
        iot.list_jobs()
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert response["Error"]["Code"] == "NotImplementedException"
    assert response["Error"]["Message"] == (
        f"fleetgate {__version__} does not serve ListJobs; docs/coverage.md lists what it does."
    )


@pytest.mark.parametrize(
    ("service", "call", "asked", "code"),
    [
        ("iot-data", "publish", {"topic": "a/b", "payload": b"x"}, "NotImplementedException"),
        ("iot-jobs-data", "get_pending_job_executions", {"thingName": "a"}, "NotImplementedException"),
    ],
)
def test_services_that_are_not_served_answer_by_name(
    house: Installed, operator: Credentials, service: str, call: str, asked: Any, code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(house.client(operator, service=service), call)(**asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert caught.value.response["Error"]["Code"] == code
    assert f"does not serve {service.replace('iot-data', 'iotdata')} here" in caught.value.response["Error"]["Message"]


def test_paths_that_mean_nothing(house: Installed, operator: Credentials) -> None:
    assert told(house.send(signed(operator, "GET", "/nothing/here")))[:2] == (404, "UnknownOperationException")
    status, code, message = told(house.send(signed(operator, "PUT", "/things/t")))
    assert (status, code) == (405, "MethodNotAllowedException")
    assert "GET" in message


# --- requests that do not fit -----------------------------------------------------------------------------------------


def test_every_problem_is_told_at_once(house: Installed, operator: Credentials) -> None:
    body = json.dumps({"thingTypeName": "a b", "attributePayload": {"attributes": {"x": "y" * 801}}}).encode()
    status, code, message = told(house.send(signed(operator, "POST", "/things/%20", body)))
    assert (status, code) == (400, "InvalidRequestException")
    assert all(part in message for part in ("thingName", "thingTypeName", "attributePayload.attributes['x']"))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"thingTypeName": 1}', b"\xff", b'{"a":1,"a":2'])
def test_bodies_that_are_no_request(house: Installed, operator: Credentials, body: bytes) -> None:
    assert told(house.send(signed(operator, "POST", "/things/t", body)))[:2] == (400, "InvalidRequestException")


def test_a_body_in_parts(house: Installed, operator: Credentials) -> None:
    request = signed(operator, "POST", "/thing-types/t", b'{"thingTypeProperties":{"thingTypeDescription":"d"}}')
    body = bytes(request.body)  # type: ignore[arg-type] # it is the bytes above
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": body[10:]},
    ]
    items: list[tuple[str, Any]] = [*request.headers.items(), ("Host", "api.example:8080")]
    headers = [(name.lower().encode(), str(value).encode()) for name, value in items if isinstance(value, str)]
    headers += [(name.lower().encode(), value) for name, value in items if isinstance(value, bytes)]
    answer = house.run(exchange(house.api, "POST", "/thing-types/t", "", headers, parts))
    assert answer.status == 200


def test_a_body_that_is_too_long(house: Installed) -> None:
    answer = plain(house, "POST", "/things/t", b"x" * (LARGEST_BODY + 1))
    assert told(answer)[:2] == (413, "RequestEntityTooLargeException")
    assert answer.headers["connection"] == "close"


def test_a_body_that_does_not_come(house: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.01)
    parts = [{"type": "http.request", "body": b"{", "more_body": True}]
    answer = house.run(exchange(house.api, "POST", "/things/t", "", [], parts))
    assert told(answer)[:2] == (408, "RequestTimeoutException")
    assert answer.headers["connection"] == "close"


def test_a_client_that_went_away(house: Installed) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert house.run(exchange(house.api, "POST", "/things/t", "", [], parts)).status == 0


def test_headers_given_twice_are_one(house: Installed) -> None:
    headers = [(b"authorization", b"a"), (b"authorization", b"b")]
    answer = house.run(exchange(house.api, "GET", "/things", "", headers, [{"type": "http.request"}]))
    assert told(answer)[1] == "MissingAuthenticationTokenException"


def test_it_speaks_http_only(house: Installed) -> None:
    with pytest.raises(RuntimeError, match="lifespan"):
        house.run(house.api({"type": "lifespan"}, None, None))


# --- what a handler may do --------------------------------------------------------------------------------------------


def describe_endpoint(runtime: Runtime, act: Act, params: Params) -> Result:
    kind = params["endpointType"]
    if kind == "denied":
        raise AccessDenied("You may not.", reason="for a reason")
    if kind == "broken":
        raise ZeroDivisionError("inside")
    return {"endpointAddress": 1 if kind == "wrong" else "here"}


@pytest.fixture
def odd(house: Installed) -> Api:
    return Api(house.runtime, services={"iot": Service("iot", {"DescribeEndpoint": Known(describe_endpoint)})})


def asked(house: Installed, api: Api, operator: Credentials, kind: str) -> Answer:
    answer: Answer = house.run(ask(api, signed(operator, "GET", f"/endpoint?endpointType={kind}")))
    return answer


def test_denials_go_to_the_audit_trail(house: Installed, odd: Api, operator: Credentials, realm: Realm) -> None:
    house.refusals.clear()
    answer = asked(house, odd, operator, "denied")
    assert told(answer) == (403, "AccessDeniedException", "You may not.")
    [refusal] = house.refusals
    assert (refusal.action, refusal.reason) == ("DescribeEndpoint", "for a reason")
    assert (refusal.act.realm, refusal.act.request_id) == (realm, answer.headers["x-amzn-requestid"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "action", "reason"),
    [
        ("GET", "/things/none", b"", 404, "DescribeThing", "none"),
        ("DELETE", "/policies/none", b"", 404, "DeletePolicy", "none"),
        ("POST", "/things/%20", b"{}", 400, "CreateThing", "thingName"),
        ("POST", "/things/t", b"{", 400, "CreateThing", "JSON"),
        ("GET", "/nothing/here", b"", 404, "Request", "/nothing/here"),
        ("GET", "/jobs", b"", 501, "ListJobs", "does not serve ListJobs"),
    ],
)
def test_whatever_is_refused_goes_to_the_audit_trail(
    house: Installed,
    operator: Credentials,
    realm: Realm,
    method: str,
    path: str,
    body: bytes,
    status: int,
    action: str,
    reason: str,
) -> None:
    house.refusals.clear()
    answer = house.send(signed(operator, method, path, body))
    assert answer.status == status
    [refusal] = house.refusals
    assert (refusal.action, refusal.target) == (action, f"{method} {path}")
    assert reason in refusal.reason
    assert refusal.act.actor.endswith(f"access-key/{operator.access_key}")
    assert (refusal.act.realm, refusal.act.request_id) == (realm, answer.headers["x-amzn-requestid"])


def test_what_is_the_servers_own_fault_is_no_refusal(house: Installed, odd: Api, operator: Credentials) -> None:
    house.refusals.clear()
    asked(house, odd, operator, "broken")
    assert asked(house, odd, operator, "fine").status == 200
    assert house.refusals == []


@pytest.mark.parametrize("kind", ["broken", "wrong"])
def test_mistakes_of_ours_are_logged_and_not_told(house: Installed, odd: Api, operator: Credentials, kind: str) -> None:
    with capture_logs() as logs:
        status, code, message = told(asked(house, odd, operator, kind))
    assert (status, code) == (500, "InternalFailureException")
    assert "inside" not in message
    assert logs[0]["request_id"] in message


def test_an_operation_that_is_none_keeps_the_door_shut(house: Installed) -> None:
    with pytest.raises(RuntimeError, match="DescribeEndpoints"):
        Api(house.runtime, services={"iot": Service("iot", {"DescribeEndpoints": Known(describe_endpoint)})})


def test_nothing_secret_is_logged_or_written_down(house: Installed, operator: Credentials, realm: Realm) -> None:
    iot = house.client(operator)
    with capture_logs() as logs:
        made = iot.create_keys_and_certificate(setAsActive=True)
        house.send(signed(Credentials(operator.access_key, "guessed"), "GET", "/things"))
        plain(house, "GET", "/things")
    kept = f"{logs} {house.audited(realm)} {house.refusals}"
    body = made["keyPair"]["PrivateKey"].splitlines()[1]
    assert body not in kept
    assert str(operator.secret_key) not in kept
    assert "guessed" not in kept


def test_what_changed_is_in_the_audit_trail_under_the_request_id(house: Installed, iot: Any, realm: Realm) -> None:
    answer = iot.create_thing(thingName="t")
    iot.describe_thing(thingName="t")
    [entry] = house.audited(realm)
    assert (entry.action, entry.target, entry.outcome) == ("CreateThing", realm.arn("thing", "t"), "ok")
    assert entry.request_id == answer["ResponseMetadata"]["RequestId"]


# --- fleetgate's own --------------------------------------------------------------------------------------------------


def test_health(house: Installed) -> None:
    answer = plain(house, "GET", "/_fleetgate/health")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok", "version": __version__})


def test_a_database_that_does_not_answer(house: Installed, operator: Credentials) -> None:
    async def closed() -> Runtime:
        database = open_database(":memory:")
        await database.close()
        return replace(house.runtime, database=database)

    api = build(house.run(closed()))
    assert plain(house, "GET", "/_fleetgate/health", api=api).status == 503
    status, code, _ = told(house.run(ask(api, signed(operator, "GET", "/things"))))
    assert (status, code) == (503, "ServiceUnavailableException")


def test_reset_is_there_when_it_is_given(house: Installed) -> None:
    done = []

    async def reset() -> None:
        done.append(True)

    api = build(house.runtime, reset)
    assert plain(house, "POST", "/_fleetgate/reset", api=api).status == 200
    assert plain(house, "GET", "/_fleetgate/reset", api=api).status == 404
    assert done == [True]
    assert plain(house, "POST", "/_fleetgate/reset").status == 404
