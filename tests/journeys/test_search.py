"""Journeys of fleet indexing: boto3 and the AWS CLI search a fleet, count over it and keep dynamic groups of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.dev_server import DevServer
from tests.journeys.paho_device import Device
from tests.server import Identity

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

REGION = "eu-central-1"
FLEET: dict[str, dict[str, Any]] = {
    f"Sensor-{number:02}": {
        "thingTypeName": "sensor" if number % 2 else "Meter",
        "attributePayload": {
            "attributes": {
                "battery": str(number),
                "site": "North" if number < 10 else "south",
                "on": str(number % 3 == 0),
            }
        },
    }
    for number in range(20)
}
CUSTOM: list[Any] = [
    {"name": "attributes.battery", "type": "Number"},
    {"name": "attributes.site", "type": "String"},
    {"name": "attributes.on", "type": "Boolean"},
]


@pytest.fixture(scope="module")
def iot(dev: DevServer) -> IoTClient:
    """A region of its own, with a fleet and everything indexed."""
    client = dev.iot(REGION)
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="UpdateIndexingConfiguration"):
        client.search_index(queryString="*")
    for name in ("sensor", "Meter"):
        client.create_thing_type(thingTypeName=name)
    client.create_thing_group(thingGroupName="hall", thingGroupProperties={"thingGroupDescription": "All of Hall 3"})
    client.create_thing_group(thingGroupName="corner", parentGroupName="hall")
    for thing, members in FLEET.items():
        client.create_thing(thingName=thing, **members)
    client.add_thing_to_thing_group(thingGroupName="corner", thingName="Sensor-03")
    client.update_indexing_configuration(
        thingIndexingConfiguration={"thingIndexingMode": "REGISTRY", "customFields": CUSTOM},
        thingGroupIndexingConfiguration={"thingGroupIndexingMode": "ON"},
    )
    return client


def numbered(*numbers: int) -> list[str]:
    return [f"Sensor-{number:02}" for number in numbers]


def search(iot: IoTClient, query: str, **more: Any) -> list[str]:
    """All pages."""
    return [thing["thingName"] for page in _pages(iot, query, more) for thing in page["things"]]


def _pages(iot: IoTClient, query: str, more: dict[str, Any]) -> Iterator[Any]:
    page = iot.search_index(queryString=query, **more)
    yield page
    while token := page.get("nextToken"):
        page = iot.search_index(queryString=query, nextToken=token, **more)
        yield page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("thingName:sensor-03", numbered(3)),
        ("sensor-0*", numbered(*range(10))),
        ("attributes.battery>=18", numbered(18, 19)),
        ("attributes.battery:[3 TO 5} thingTypeName:SENSOR", numbered(3)),
        ("attributes.site:south NOT thingTypeName:meter", numbered(11, 13, 15, 17, 19)),
        ("attributes.site:north AND (attributes.battery<2 OR thingGroupNames:corner)", numbered(0, 1, 3)),
        ("thingName:(sensor-1? AND -sensor-11) attributes.on:true", numbered(12, 15, 18)),
        ("corner", numbered(3)),
        ("thingName:other", []),
        ("shadow.hasDelta:true", []),
    ],
)
def test_a_search_finds_what_it_should_and_not_more(iot: IoTClient, query: str, names: list[str]) -> None:
    assert sorted(search(iot, query)) == names
    assert sorted(search(iot, query, maxResults=2)) == names


def test_a_document_has_what_aws_documents(iot: IoTClient) -> None:
    found = iot.search_index(indexName="AWS_Things", queryString="thingName:Sensor-03", queryVersion="2017-09-30")
    thing = iot.describe_thing(thingName="Sensor-03")
    assert found["things"] == [
        {
            "thingName": "Sensor-03",
            "thingId": thing["thingId"],
            "thingTypeName": "sensor",
            "thingGroupNames": ["corner"],
            "attributes": {"battery": "3", "site": "North", "on": "True"},
        }
    ]
    assert "nextToken" not in found


def test_groups_are_searched_by_their_own_index(iot: IoTClient) -> None:
    [found] = iot.search_index(indexName="AWS_ThingGroups", queryString="parentGroupNames:hall")["thingGroups"]
    assert (found["thingGroupName"], found["parentGroupNames"]) == ("corner", ["hall"])
    [found] = iot.search_index(indexName="AWS_ThingGroups", queryString='description:"hall 3"')["thingGroups"]
    assert (found["thingGroupName"], found["thingGroupDescription"]) == ("hall", "All of Hall 3")
    first = iot.search_index(indexName="AWS_ThingGroups", queryString="thingGroupName:*", maxResults=1)
    rest = iot.search_index(
        indexName="AWS_ThingGroups", queryString="thingGroupName:*", maxResults=1, nextToken=first["nextToken"]
    )
    assert [page["thingGroups"][0]["thingGroupName"] for page in (first, rest)] == ["corner", "hall"]
    counted = iot.get_statistics(indexName="AWS_ThingGroups", queryString="*")["statistics"]
    assert (counted["count"], counted["maximum"]) == (2, 1.0)


def test_what_cannot_be_asked(iot: IoTClient) -> None:
    refused = iot.exceptions
    with pytest.raises(refused.InvalidQueryException, match="at position 16: a range is written"):
        iot.search_index(queryString="attributes.a:[1]")
    with pytest.raises(refused.InvalidQueryException, match="Do you mean thingName"):
        iot.create_dynamic_thing_group(thingGroupName="bad", queryString="thingname:x")
    with pytest.raises(refused.ResourceNotFoundException, match="AWS_Nothing"):
        iot.search_index(indexName="AWS_Nothing", queryString="*")
    with pytest.raises(refused.InvalidRequestException, match="2016"):
        iot.search_index(queryString="*", queryVersion="2016")
    with pytest.raises(refused.InvalidRequestException, match="100 at most"):
        iot.search_index(queryString="*", maxResults=101)
    token = iot.search_index(queryString="*", maxResults=1)["nextToken"]
    with pytest.raises(refused.InvalidRequestException, match="page token"):
        iot.search_index(queryString="sensor*", maxResults=1, nextToken=token)
    with pytest.raises(refused.InvalidAggregationException, match="customFields"):
        iot.get_cardinality(queryString="*", aggregationField="attributes.colour")
    with pytest.raises(refused.InvalidAggregationException, match="type Number"):
        iot.get_percentiles(queryString="*", aggregationField="attributes.site")
    with pytest.raises(refused.IndexNotReadyException, match="thingConnectivityIndexingMode"):
        iot.get_thing_connectivity_data(thingName="Sensor-03")


def test_statistics(iot: IoTClient) -> None:
    battery = iot.get_statistics(queryString="attributes.battery<4", aggregationField="attributes.battery")
    assert battery["statistics"] == {
        "count": 4,
        "average": 1.5,
        "sum": 6.0,
        "minimum": 0.0,
        "maximum": 3.0,
        "sumOfSquares": 14.0,
        "variance": 1.25,
        "stdDeviation": pytest.approx(1.118, abs=0.001),
    }
    assert iot.get_statistics(queryString="*")["statistics"]["count"] == 20
    on = iot.get_statistics(queryString="attributes.battery<4", aggregationField="attributes.on")["statistics"]
    assert (on["count"], on["sum"], on["average"]) == (4, 2.0, 0.5)
    assert iot.get_statistics(queryString="*", aggregationField="attributes.site")["statistics"] == {"count": 20}
    assert iot.get_cardinality(queryString="*", aggregationField="attributes.site")["cardinality"] == 2
    assert iot.get_cardinality(queryString="none", aggregationField="attributes.site")["cardinality"] == 0


def test_percentiles_and_buckets(iot: IoTClient) -> None:
    found = iot.get_percentiles(queryString="*", aggregationField="attributes.battery", percents=[0, 50, 100])
    assert found["percentiles"] == [
        {"percent": 0.0, "value": 0.0},
        {"percent": 50.0, "value": 9.5},
        {"percent": 100.0, "value": 19.0},
    ]
    default = iot.get_percentiles(queryString="*", aggregationField="attributes.battery")["percentiles"]
    assert [each["percent"] for each in default] == [1, 5, 25, 50, 75, 95, 99]
    assert iot.get_percentiles(queryString="none", aggregationField="attributes.battery")["percentiles"] == []
    buckets = iot.get_buckets_aggregation(
        queryString="attributes.battery<13",
        aggregationField="attributes.site",
        bucketsAggregationType={"termsAggregation": {"maxBuckets": 1}},
    )
    assert (buckets["totalCount"], buckets["buckets"]) == (13, [{"keyValue": "North", "count": 10}])
    types = iot.get_buckets_aggregation(
        queryString="*", aggregationField="registry.thingTypeName", bucketsAggregationType={"termsAggregation": {}}
    )
    assert types["buckets"] == [{"keyValue": "Meter", "count": 10}, {"keyValue": "sensor", "count": 10}]


def test_a_dynamic_group_has_what_its_query_finds(iot: IoTClient) -> None:
    made = iot.create_dynamic_thing_group(thingGroupName="low", queryString="attributes.battery<2")
    assert (made["indexName"], made["queryVersion"]) == ("AWS_Things", "2017-09-30")
    again = iot.create_dynamic_thing_group(thingGroupName="low", queryString="attributes.battery<2")
    assert again["thingGroupId"] == made["thingGroupId"]
    pages = iot.get_paginator("list_things_in_thing_group").paginate(
        thingGroupName="low", PaginationConfig={"PageSize": 1}
    )
    assert [name for page in pages for name in page["things"]] == numbered(0, 1)
    assert [each["groupName"] for each in iot.list_thing_groups_for_thing(thingName="Sensor-00")["thingGroups"]] == [
        "low"
    ]
    iot.create_thing(thingName="late", attributePayload={"attributes": {"battery": "0.5"}})
    assert sorted(iot.list_things_in_thing_group(thingGroupName="low")["things"]) == [*numbered(0, 1), "late"]
    iot.delete_thing(thingName="late")

    described = iot.describe_thing_group(thingGroupName="low")
    assert (described["status"], described["queryString"], described["version"]) == (
        "ACTIVE",
        "attributes.battery<2",
        1,
    )
    updated = iot.update_dynamic_thing_group(
        thingGroupName="low",
        thingGroupProperties={"thingGroupDescription": "nearly empty"},
        queryString="attributes.battery:3",
        expectedVersion=1,
    )
    assert updated["version"] == 2
    assert iot.list_things_in_thing_group(thingGroupName="low")["things"] == numbered(3)
    groups = iot.list_thing_groups_for_thing(thingName="Sensor-03")["thingGroups"]
    assert [each["groupName"] for each in groups] == ["corner", "low"]
    with pytest.raises(iot.exceptions.VersionConflictException):
        iot.delete_dynamic_thing_group(thingGroupName="low", expectedVersion=1)
    iot.delete_dynamic_thing_group(thingGroupName="low")
    iot.delete_dynamic_thing_group(thingGroupName="low")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing_group(thingGroupName="low")


def test_what_a_dynamic_group_is_not(iot: IoTClient) -> None:
    iot.create_dynamic_thing_group(thingGroupName="all", queryString="*")
    refused = iot.exceptions.InvalidRequestException
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_dynamic_thing_group(thingGroupName="all", queryString="thingName:x")
    with pytest.raises(iot.exceptions.ResourceAlreadyExistsException):
        iot.create_dynamic_thing_group(thingGroupName="hall", queryString="*")
    for call in (
        lambda: iot.add_thing_to_thing_group(thingGroupName="all", thingName="Sensor-03"),
        lambda: iot.remove_thing_from_thing_group(thingGroupName="all", thingName="Sensor-03"),
        lambda: iot.create_thing_group(thingGroupName="below", parentGroupName="all"),
        lambda: iot.update_thing_group(thingGroupName="all", thingGroupProperties={}),
        lambda: iot.delete_thing_group(thingGroupName="all"),
        lambda: iot.delete_dynamic_thing_group(thingGroupName="hall"),
        lambda: iot.update_dynamic_thing_group(thingGroupName="hall", thingGroupProperties={}),
        lambda: iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "OFF"}),
    ):
        with pytest.raises(refused, match=r"dynamic|static|Dynamic"):
            call()
    iot.delete_dynamic_thing_group(thingGroupName="all")


def test_no_policy_can_be_attached_to_a_dynamic_group(iot: IoTClient) -> None:
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    iot.create_policy(
        policyName="connect", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    group = iot.create_dynamic_thing_group(thingGroupName="plain", queryString="*")["thingGroupArn"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="dynamic group"):
        iot.attach_policy(policyName="connect", target=group)
    assert iot.list_attached_policies(target=group)["policies"] == []
    iot.delete_dynamic_thing_group(thingGroupName="plain")


def test_configuration(dev: DevServer) -> None:
    iot = dev.iot("eu-north-1")
    assert iot.get_indexing_configuration()["thingIndexingConfiguration"] == {
        "thingIndexingMode": "OFF",
        "thingConnectivityIndexingMode": "OFF",
    }
    assert iot.list_indices()["indexNames"] == []
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_index(indexName="AWS_Things")
    with pytest.raises(iot.exceptions.InvalidRequestException) as refused:
        iot.update_indexing_configuration(
            thingIndexingConfiguration={
                "thingIndexingMode": "OFF",
                "thingConnectivityIndexingMode": "STATUS",
                "customFields": [{"name": "thingName", "type": "String"}],
            }
        )
    assert "STATUS needs" in str(refused.value)
    assert "thingName" in str(refused.value)
    iot.update_indexing_configuration(
        thingIndexingConfiguration={"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}
    )
    shown = iot.get_indexing_configuration()
    managed = {field["name"]: field["type"] for field in shown["thingIndexingConfiguration"]["managedFields"]}
    assert managed["connectivity.connected"] == "Boolean"
    assert managed["registry.version"] == "Number"
    assert shown["thingGroupIndexingConfiguration"] == {"thingGroupIndexingMode": "OFF"}
    assert iot.list_indices()["indexNames"] == ["AWS_Things"]
    index = iot.describe_index(indexName="AWS_Things")
    assert (index["indexStatus"], index["schema"]) == ("ACTIVE", "REGISTRY_AND_CONNECTIVITY_STATUS")
    iot.update_indexing_configuration(thingIndexingConfiguration={"thingIndexingMode": "OFF"})
    with pytest.raises(ClientError, match="AWS_Things"):
        iot.search_index(queryString="*")


def test_the_tutorial_with_the_aws_cli(iot: IoTClient, dev: DevServer) -> None:
    def aws(*words: str) -> Any:
        command = [sys.executable, "-m", "awscli", "iot", *words, "--output", "json"]
        environment = dev.environment | {"AWS_DEFAULT_REGION": REGION}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    query = "attributes.battery>17"
    found = aws("search-index", "--index-name", "AWS_Things", "--query-string", query)
    assert sorted(thing["thingName"] for thing in found["things"]) == numbered(18, 19)
    aws("create-dynamic-thing-group", "--thing-group-name", "full", "--query-string", query)
    assert aws("list-things-in-thing-group", "--thing-group-name", "full")["things"] == numbered(18, 19)
    counted = aws("get-statistics", "--aggregation-field", "attributes.battery", "--query-string", query)
    assert counted["statistics"]["sum"] == 37.0
    aws("delete-dynamic-thing-group", "--thing-group-name", "full")


def test_a_connected_thing_is_found_until_it_leaves(dev: DevServer, connect: Callable[..., Device]) -> None:
    iot = dev.iot("ap-south-1")
    names = ["early", "late", "never"]
    lamps = {name: device_of(iot, dev, name) for name in names}
    early = connect(lamps["early"], "early", to=dev)
    iot.update_indexing_configuration(
        thingIndexingConfiguration={"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}
    )
    assert iot.get_thing_connectivity_data(thingName="never")["disconnectReason"] == "UNKNOWN"
    late = connect(lamps["late"], "late", to=dev)
    until(lambda: sorted(search(iot, "connectivity.connected:true")) == ["early", "late"])
    assert search(iot, "connectivity.connected:false") == []
    known = iot.get_thing_connectivity_data(thingName="late")
    assert (known["connected"], known["disconnectReason"], known["clientId"]) == (True, "NONE", "late")

    left_at = datetime.now(UTC)
    late.disconnect()
    until(lambda: search(iot, "connectivity.connected:true") == ["early"])
    assert search(iot, "connectivity.disconnectReason:client_initiated*") == ["late"]
    [shown] = iot.search_index(queryString="connectivity.connected:false")["things"]
    assert shown["connectivity"]["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
    at = datetime.fromtimestamp(shown["connectivity"]["timestamp"] / 1000, UTC)
    assert abs(at - left_at) < timedelta(seconds=5)
    assert iot.get_thing_connectivity_data(thingName="late")["timestamp"] == at

    again = connect(lamps["early"], "early", to=dev)  # the same client id: the first connection is displaced
    assert early.closed() is not None
    iot.create_dynamic_thing_group(thingGroupName="online", queryString="connectivity.connected:true")
    assert iot.list_things_in_thing_group(thingGroupName="online")["things"] == ["early"]
    again.disconnect()
    until(lambda: iot.list_things_in_thing_group(thingGroupName="online")["things"] == [])


def device_of(iot: IoTClient, dev: DevServer, name: str) -> Identity:
    """A thing with a certificate that may connect."""
    made = iot.create_keys_and_certificate(setAsActive=True)
    allowed = {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [allowed]}
    iot.create_policy(policyName=f"connect-{name}", policyDocument=json.dumps(document))
    iot.attach_policy(policyName=f"connect-{name}", target=made["certificateArn"])
    iot.create_thing(thingName=name)
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    return dev.keep(f"online-{name}", made["certificatePem"], made["keyPair"]["PrivateKey"], made["certificateId"])


def until(holds: Callable[[], bool]) -> None:
    """Asks again and again, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
