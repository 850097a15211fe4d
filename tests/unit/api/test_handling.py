from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.runtime import Installed

from fleetgate.api.handling import Flow, Glance, Known, Params, Read, Result, Write, given, made, named
from fleetgate.database.port import Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import things
from fleetgate.runtime import Runtime


@pytest.fixture
def act(house: Installed, realm: Realm) -> Act:
    return house.runtime.act(realm, "somebody")


def create_thing(tx: Tx, act: Act, params: Params) -> Result:
    things.create(tx, act, params["thingName"])
    if params["thingName"] == "bad":
        raise NotFound("no")
    return {"arn": act.realm.arn("thing", params["thingName"])}


def describe_thing(tx: Tx, act: Act, params: Params) -> Result:
    return {"version": things.get(tx, act.realm, params["thingName"]).version}


async def prepare_thing(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    if params["thingName"] == "worse":
        raise NotFound("not even begun")
    return lambda tx: create_thing(tx, act, params)


def describe_endpoint(runtime: Runtime, act: Act, params: Params) -> Result:
    return {"name": runtime.config.gateway.endpoint_names[0]}


def test_what_is_known(house: Installed, act: Act) -> None:
    assert house.run(Known(describe_endpoint).run(house.runtime, act, "DescribeEndpoint", {})) == {"name": "localhost"}


@pytest.mark.parametrize(
    "write",
    [
        Write(create_thing, named("thing", "thingName"), ("note", "absent")),
        Flow(prepare_thing, made("arn"), ("note", "absent")),
    ],
    ids=["write", "flow"],
)
def test_a_change_and_its_audit_entry_are_one(house: Installed, act: Act, realm: Realm, write: Write | Flow) -> None:
    params = {"thingName": "t", "note": "n", "secret": "s"}
    assert house.run(write.run(house.runtime, act, "CreateThing", params)) == {"arn": realm.arn("thing", "t")}
    for read in (Glance(describe_thing), Read(describe_thing)):
        assert house.run(read.run(house.runtime, act, "DescribeThing", params)) == {"version": 1}
    with pytest.raises(NotFound):
        house.run(write.run(house.runtime, act, "CreateThing", {"thingName": "bad"}))
    [entry] = house.audited(realm)
    assert (entry.action, entry.target, entry.outcome) == ("CreateThing", realm.arn("thing", "t"), "ok")
    assert (entry.actor, entry.request_id, entry.details) == ("somebody", act.request_id, {"note": "n"})


def test_a_flow_that_does_not_begin_changes_nothing(house: Installed, act: Act, realm: Realm) -> None:
    with pytest.raises(NotFound, match="not even begun"):
        house.run(Flow(prepare_thing, made("arn")).run(house.runtime, act, "CreateThing", {"thingName": "worse"}))
    assert house.audited(realm) == []


def test_targets(act: Act, realm: Realm) -> None:
    assert named("policy", "policyName")(act, {"policyName": "p"}, {}) == realm.arn("policy", "p")
    assert given("target")(act, {"target": "an arn"}, {}) == "an arn"
    assert made("certificateArn")(act, {}, {"certificateArn": "an arn"}) == "an arn"
