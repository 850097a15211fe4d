import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fleetgate.wire.restjson import model
from fleetgate.wire.restjson.model import Model, NoSuchService, UnsupportedModel
from fleetgate.wire.restjson.routes import NoSuchOperation


@pytest.fixture(scope="module")
def iot() -> Model:
    return model.load("iot")


@pytest.fixture(scope="module")
def data() -> Model:
    return model.load("iot-data")


def described(shapes: dict[str, Any], **extra: Any) -> Model:
    operation = {"http": {"method": "POST", "requestUri": "/x"}, "input": {"shape": "In"}, **extra}
    metadata = {"apiVersion": "1", "protocol": "rest-json", "endpointPrefix": "toy"}
    return Model("toy", {"metadata": metadata, "operations": {"Do": operation}, "shapes": shapes})


def test_iot(iot: Model) -> None:
    assert len(iot.operations) >= 272
    assert (iot.service, iot.version, iot.protocol, iot.signing_name) == ("iot", "2015-05-28", "rest-json", "iot")


def test_every_route_finds_its_operation(iot: Model, data: Model) -> None:
    for service in (iot, data):
        for name in service.operations:
            operation = service.operation(name)
            path = operation.uri.replace("{", "~").replace("+}", "~").replace("}", "~")
            found, labels = service.match(operation.method, path)
            assert found is operation
            assert set(labels) == {member.wire for member in operation.input.labels}


@pytest.mark.parametrize(
    ("method", "path", "operation", "labels"),
    [
        ("POST", "/things", "RegisterThing", {}),
        ("POST", "/things/a%3Ab", "CreateThing", {"thingName": "a%3Ab"}),
        ("PUT", "/things/a/principals", "AttachThingPrincipal", {"thingName": "a"}),
        ("GET", "/things/a/principals-v2", "ListThingPrincipalsV2", {"thingName": "a"}),
        ("GET", "/principals/things", "ListPrincipalThings", {}),
        ("GET", "/principals/things-v2", "ListPrincipalThingsV2", {}),
        ("PUT", "/thing-groups/addThingToThingGroup", "AddThingToThingGroup", {}),
        ("PUT", "/thing-groups/removeThingFromThingGroup", "RemoveThingFromThingGroup", {}),
        ("PUT", "/thing-groups/updateThingGroupsForThing", "UpdateThingGroupsForThing", {}),
        (
            "GET",
            "/thing-groups/addThingToThingGroup",
            "DescribeThingGroup",
            {"thingGroupName": "addThingToThingGroup"},
        ),
        ("PATCH", "/thing-groups/g", "UpdateThingGroup", {"thingGroupName": "g"}),
        ("PUT", "/billing-groups/addThingToBillingGroup", "AddThingToBillingGroup", {}),
        ("PUT", "/billing-groups/removeThingFromBillingGroup", "RemoveThingFromBillingGroup", {}),
        ("PUT", "/target-policies/p", "AttachPolicy", {"policyName": "p"}),
        ("POST", "/target-policies/p", "DetachPolicy", {"policyName": "p"}),
        ("POST", "/attached-policies/arn%3Acert%2Fx", "ListAttachedPolicies", {"target": "arn%3Acert%2Fx"}),
        ("POST", "/certificate/register", "RegisterCertificate", {}),
        ("POST", "/certificate/register-no-ca", "RegisterCertificateWithoutCA", {}),
        ("GET", "/policies/p/version/1", "GetPolicyVersion", {"policyName": "p", "policyVersionId": "1"}),
        ("GET", "/authorizers", "ListAuthorizers", {}),
        ("GET", "/authorizers/", "ListAuthorizers", {}),
        ("GET", "/confirmdestination/a/b", "ConfirmTopicRuleDestination", {"confirmationToken": "a/b"}),
    ],
)
def test_traps_of_the_paths(iot: Model, method: str, path: str, operation: str, labels: dict[str, str]) -> None:
    found, got = iot.match(method, path)
    assert (found.name, got) == (operation, labels)


@pytest.mark.parametrize("topic", ["a", "a%2Fb", "a/b", "a//b", "a/", "$aws/rules/r/x"])
def test_publish_takes_slashes_either_way(data: Model, topic: str) -> None:
    operation, labels = data.match("POST", f"/topics/{topic}")
    assert (operation.name, labels) == ("Publish", {"topic": topic})


def test_no_such_operation(iot: Model) -> None:
    with pytest.raises(NoSuchOperation):
        iot.match("GET", "/nothing")
    with pytest.raises(NoSuchOperation, match="iot has no operation called Fly"):
        iot.operation("Fly")


def test_members_know_their_place(iot: Model) -> None:
    attach = iot.operation("AttachThingPrincipal").input
    assert [member.wire for member in attach.labels] == ["thingName"]
    assert [member.wire for member in attach.headers] == ["x-amzn-principal"]
    assert set(attach.query) == {"thingPrincipalType"}
    assert attach.query["thingPrincipalType"].shape.enum == ("EXCLUSIVE_THING", "NON_EXCLUSIVE_THING")
    assert iot.operation("ListPolicies").input.query["isAscendingOrder"].name == "ascendingOrder"
    assert iot.operation("CreateTopicRule").input.payload is not None
    assert iot.operation("ListAuditTasks").input.query["startTime"].shape.time_format == "iso8601"
    thing_name = attach.shape.members["thingName"].shape
    assert (thing_name.minimum, thing_name.maximum, thing_name.pattern) == (1, 128, "[a-zA-Z0-9:_-]+")
    assert attach.shape.required == ("thingName", "principal")


def test_errors(iot: Model, data: Model) -> None:
    assert iot.errors["ThrottlingException"].status == 400
    assert data.errors["ThrottlingException"].status == 429
    assert iot.errors["ResourceAlreadyExistsException"].members == ("message", "resourceId", "resourceArn")
    assert "ResourceNotFoundException" in iot.operation("DescribeThing").declared


def test_an_operation_is_compiled_once(iot: Model) -> None:
    assert iot.operation("CreateThing") is iot.match("POST", "/things/x")[0]


def test_a_shape_is_compiled_once(iot: Model) -> None:
    create, update = iot.operation("CreateThing").input, iot.operation("UpdateThing").input
    assert create.shape.members["attributePayload"].shape is update.shape.members["attributePayload"].shape


def test_sts_loads_without_routes() -> None:
    sts = model.load("sts")
    assert sts.protocol == "query"
    assert "RoleArn" in sts.operation("AssumeRole").input.shape.required
    assert sts.errors["ExpiredTokenException"].status == 400
    with pytest.raises(NoSuchOperation):
        sts.match("POST", "/")


def test_no_such_service() -> None:
    with pytest.raises(NoSuchService, match="botocore has no model of 'teapot'"):
        model.load("teapot")


def test_a_structure_may_contain_itself() -> None:
    shapes = {
        "In": {"type": "structure", "members": {"tree": {"shape": "Tree"}}},
        "Tree": {"type": "structure", "members": {"children": {"shape": "Trees"}}},
        "Trees": {"type": "list", "member": {"shape": "Tree"}},
    }
    tree = described(shapes).operation("Do").input.shape.members["tree"].shape
    children = tree.members["children"].shape
    assert children.element is tree
    assert "Tree" in repr(tree)


def test_a_members_time_format_beats_its_shapes() -> None:
    shapes = {
        "In": {"type": "structure", "members": {"a": {"shape": "T", "timestampFormat": "rfc822"}, "b": {"shape": "T"}}},
        "T": {"type": "timestamp", "timestampFormat": "iso8601"},
    }
    members = described(shapes).operation("Do").input.shape.members
    assert [members[name].shape.time_format for name in "ab"] == ["rfc822", "iso8601"]


def test_an_operation_may_have_neither_input_nor_output() -> None:
    metadata = {"apiVersion": "1", "protocol": "rest-json", "endpointPrefix": "toy"}
    operations = {"Do": {"http": {"method": "GET", "requestUri": "/x"}}}
    operation = Model("toy", {"metadata": metadata, "operations": operations, "shapes": {}}).operation("Do")
    assert operation.input.shape.members == {}
    assert operation.output is None


@pytest.mark.parametrize(
    ("member", "target"),
    [
        (
            {"location": "headers", "locationName": "x-"},
            {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}},
        ),
        ({"location": "querystring"}, {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}}),
        ({"location": "uri"}, {"type": "list", "member": {"shape": "S"}}),
        ({}, {"type": "bigDecimal"}),
    ],
)
def test_what_nobody_taught_it_is_refused(member: dict[str, Any], target: dict[str, Any]) -> None:
    shapes = {
        "In": {"type": "structure", "members": {"m": {"shape": "M", **member}}},
        "M": target,
        "S": {"type": "string"},
    }
    with pytest.raises(UnsupportedModel):
        described(shapes).operation("Do")


def test_a_list_may_stand_in_the_query() -> None:
    shapes = {
        "In": {"type": "structure", "members": {"m": {"shape": "M", "location": "querystring"}}},
        "M": {"type": "list", "member": {"shape": "S"}},
        "S": {"type": "string"},
    }
    assert described(shapes).operation("Do").input.query["m"].shape.element is not None


def test_a_plain_file_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("2015-01-01", "2016-01-01"):
        folder = tmp_path / "botocore" / "data" / "toy" / version
        folder.mkdir(parents=True)
        metadata = {"apiVersion": version, "protocol": "rest-json", "endpointPrefix": "t"}
        description = {"metadata": metadata, "operations": {}, "shapes": {}}
        (folder / "service-2.json").write_text(json.dumps(description))
    (tmp_path / "botocore" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "botocore", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert model.load("toy").version == "2016-01-01"
