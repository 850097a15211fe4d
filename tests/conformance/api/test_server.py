"""What only a listening server shows: connections, many at once, and what needs no signature."""

from __future__ import annotations

import http.client
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from tests.conformance.api.conftest import Account
from tests.server import Live

from fleetgate.api.app import LARGEST_BODY


def connection(live: Live) -> http.client.HTTPConnection:
    url = urlsplit(live.api_url)
    assert url.hostname is not None
    return http.client.HTTPConnection(url.hostname, url.port, timeout=10)


def test_health(live: Live) -> None:
    with urllib.request.urlopen(f"{live.api_url}/_fleetgate/health") as answer:
        assert json.load(answer)["status"] == "ok"


def test_there_is_no_reset(live: Live) -> None:
    http_ = connection(live)
    http_.request("POST", "/_fleetgate/reset")
    assert http_.getresponse().status == 404
    http_.close()


def test_one_connection_serves_many_requests(live: Live) -> None:
    http_ = connection(live)
    for _ in range(3):
        http_.request("POST", "/things/t", body=b"{}")
        answer = http_.getresponse()
        assert answer.status == 403
        assert answer.getheader("x-amzn-ErrorType") == "MissingAuthenticationTokenException"
        assert json.loads(answer.read())["message"]
    http_.close()


def test_a_body_that_is_too_long_ends_the_connection(live: Live) -> None:
    http_ = connection(live)
    http_.request("POST", "/things/t", body=b"x" * (LARGEST_BODY + 1))
    answer = http_.getresponse()
    assert answer.status == 413
    answer.read()
    assert answer.isclosed()
    http_.close()


def test_names_with_every_character_that_names_have(iot: Any) -> None:
    name = "a:b-c_D:9"
    iot.create_thing(thingName=name)
    assert iot.describe_thing(thingName=name)["thingName"] == name
    policy = "p+=,.@-_"
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}'
    iot.create_policy(policyName=policy, policyDocument=document)
    assert iot.get_policy(policyName=policy)["policyName"] == policy


def test_the_same_from_many_at_once(account: Account) -> None:
    iot = account.client()
    with ThreadPoolExecutor(8) as pool:
        things = list(pool.map(lambda _: iot.create_thing(thingName="t")["thingId"], range(16)))
        groups = list(pool.map(lambda _: iot.create_thing_group(thingGroupName="g")["thingGroupId"], range(16)))
    assert len(set(things)) == 1
    assert len(set(groups)) == 1


def test_many_certificates_at_once(account: Account) -> None:
    iot = account.client()
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: iot.create_keys_and_certificate()["certificateId"], range(24)))
    assert len(made) == 24
    assert {each["certificateId"] for each in iot.list_certificates(pageSize=100)["certificates"]} == made
