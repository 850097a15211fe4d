import json
from typing import Any

import pytest

from fleetgate.wire.restjson import codec, model
from fleetgate.wire.restjson.codec import Malformed, Request, Response, Unencodable
from fleetgate.wire.restjson.model import Model

IOT = model.load("iot")
DATA = model.load("iot-data")


def decode(
    method: str, path: str, query: str = "", body: bytes = b"", service: Model = IOT, **headers: str
) -> dict[str, Any]:
    request = Request(method, path, query, {name.replace("_", "-"): text for name, text in headers.items()}, body)
    operation, labels = service.match(method, path)
    return codec.decode(operation, labels, request)


def encode(operation: str, result: dict[str, Any], service: Model = IOT) -> Response:
    return codec.encode(service.operation(operation), result, "req-1")


# --- decode ----------------------------------------------------------------------------------------------------------


def test_labels_are_decoded() -> None:
    assert decode("GET", "/things/a%3Ab") == {"thingName": "a:b"}
    assert decode("GET", "/things/%C3%BC%20%2F+") == {"thingName": "ü /+"}


def test_arn_in_the_path() -> None:
    arn = "arn:aws:iot:us-east-1:123456789012:cert/ab"
    path = "/attached-policies/arn%3Aaws%3Aiot%3Aus-east-1%3A123456789012%3Acert%2Fab"
    assert decode("POST", path, "recursive=true") == {"target": arn, "recursive": True}


def test_query_on_any_method() -> None:
    body = b'{"certificateSigningRequest":"csr"}'
    assert decode("POST", "/certificates", "setAsActive=true", body) == {
        "setAsActive": True,
        "certificateSigningRequest": "csr",
    }
    assert decode("PUT", "/certificates/ab", "newStatus=ACTIVE") == {"certificateId": "ab", "newStatus": "ACTIVE"}
    assert decode("DELETE", "/things/a", "expectedVersion=7") == {"thingName": "a", "expectedVersion": 7}
    assert decode("GET", "/policies", "isAscendingOrder=False&pageSize=10&marker=a%2Bb%3D") == {
        "ascendingOrder": False,
        "pageSize": 10,
        "marker": "a+b=",
    }


def test_query_leaves_strangers_alone() -> None:
    assert decode("GET", "/things", "X-Amz-Signature=zz&nextToken=a+b&&=&foo") == {"nextToken": "a b"}


def test_times_in_the_query() -> None:
    params = decode("GET", "/audit/tasks", "startTime=2019-01-28T23%3A08%3A41Z&endTime=1548716921.5")
    assert params == {"startTime": 1_548_716_921_000, "endTime": 1_548_716_921_500}


def test_headers() -> None:
    assert decode("PUT", "/things/a/principals", x_amzn_principal=" arn:x ") == {"thingName": "a", "principal": "arn:x"}
    assert decode("GET", "/policy-principals", x_amzn_iot_policy="p") == {"policyName": "p"}
    assert decode("GET", "/policy-principals", x_amzn_iot_policy="ü".encode().decode("latin-1")) == {"policyName": "ü"}


def test_no_body_is_needed_nor_looked_at() -> None:
    assert decode("POST", "/keys-and-certificate", "setAsActive=true", b"\xff not JSON") == {"setAsActive": True}
    assert decode("POST", "/things/a") == {"thingName": "a"}


def test_body() -> None:
    body = {
        "attributePayload": {"attributes": {"a": "1", "gone": None}, "merge": True, "unknown": [1]},
        "thingTypeName": None,
        "unknown": {"x": [None]},
    }
    assert decode("POST", "/things/a", body=json.dumps(body).encode()) == {
        "thingName": "a",
        "attributePayload": {"attributes": {"a": "1"}, "merge": True},
    }


def test_structure_as_payload() -> None:
    body = b'{"sql":"SELECT 1","actions":[],"ruleDisabled":false}'
    rule = {"sql": "SELECT 1", "actions": [], "ruleDisabled": False}
    assert decode("POST", "/rules/r", body=body, x_amz_tagging="a=b") == {
        "ruleName": "r",
        "topicRulePayload": rule,
        "tags": "a=b",
    }
    assert decode("POST", "/rules/r") == {"ruleName": "r"}
    with pytest.raises(
        Malformed, match=r"topicRulePayload\.actions must be a list, not an object; topicRulePayload\.sql"
    ):
        decode("POST", "/rules/r", body=b'{"actions":{},"sql":1}')
    with pytest.raises(Malformed, match="topicRulePayload must be an object, not a list"):
        decode("POST", "/rules/r", body=b"[]")


def test_blob_as_payload() -> None:
    headers = {
        "x_amz_mqtt5_user_properties": "W3siZGV2aWNlIjoiYSJ9XQ==",
        "x_amz_mqtt5_correlation_data": "YQ==",
    }
    assert decode("POST", "/topics/a/b%20c", "qos=1&retain=true", b"\x00\xff", DATA, **headers) == {
        "topic": "a/b c",
        "qos": 1,
        "retain": True,
        "payload": b"\x00\xff",
        "userProperties": [{"device": "a"}],
        "correlationData": "YQ==",
    }


def test_every_kind_in_a_body() -> None:
    parameters = [{"name": "n", "value": {"L": 2**62, "D": 1.5, "I": -1, "UL": "9", "B": True}}]
    body = {"payload": {"content": "AAE="}, "mandatoryParameters": parameters}
    assert decode("PUT", "/commands/c", body=json.dumps(body).encode()) == {
        "commandId": "c",
        "payload": {"content": b"\x00\x01"},
        "mandatoryParameters": parameters,
    }


def test_all_mistyped_members_are_named() -> None:
    body = {
        "thingTypeName": 1,
        "billingGroupName": ["x"],
        "attributePayload": {"merge": "true", "attributes": {"a": True, "b": "fine", "c": 1.5, "d": None}},
    }
    with pytest.raises(Malformed) as caught:
        decode("POST", "/things/a", body=json.dumps(body).encode())
    assert str(caught.value) == (
        "thingTypeName must be a string, not a number; billingGroupName must be a string, not a list; "
        "attributePayload.merge must be true or false, not a string; "
        "attributePayload.attributes['a'] must be a string, not a boolean; "
        "attributePayload.attributes['c'] must be a string, not a number."
    )


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/things/a", "[]", "must be a JSON object"),
        ("/things/a", "null", "must be a JSON object"),
        ("/things/a", '{"attributePayload":[]}', "attributePayload must be an object, not a list"),
        ("/things/a", '{"attributePayload":{"attributes":"x"}}', r"attributes must be an object, not a string"),
        ("/thing-groups/a", '{"tags":{}}', "tags must be a list, not an object"),
        ("/thing-groups/a", '{"tags":[{},null]}', r"tags\[1\] must be an object, not null"),
        ("/thing-groups/a", '{"tags":[{"Key":1}]}', r"tags\[0\]\.Key must be a string"),
    ],
)
def test_mistyped_bodies(path: str, body: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode("POST", path, body=body.encode())


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ({"payload": {"content": "*"}}, "payload.content must be base64"),
        ({"payload": {"content": "YQ"}}, "payload.content must be base64"),
        ({"payload": {"content": "ü"}}, "payload.content must be base64"),
        ({"payload": {"content": 1}}, "must be a base64 string"),
        ({"mandatoryParameters": [{"value": {"I": 2**31}}]}, r"value\.I must fit 32 bits"),
        ({"mandatoryParameters": [{"value": {"L": -(2**63) - 1}}]}, r"value\.L must fit 64 bits"),
        ({"mandatoryParameters": [{"value": {"I": 1.0}}]}, r"value\.I must be a whole number"),
        ({"mandatoryParameters": [{"value": {"I": True}}]}, "not a boolean"),
        ({"mandatoryParameters": [{"value": {"D": "1"}}]}, r"value\.D must be a number"),
    ],
)
def test_mistyped_values(member: dict[str, Any], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode("PUT", "/commands/c", body=json.dumps(member).encode())


@pytest.mark.parametrize("time", ["[]", "true", '"soon"', "1e300"])
def test_mistyped_times(time: str) -> None:
    body = b'{"violationEventOccurrenceRange":{"startTime":%s}}' % time.encode()
    with pytest.raises(Malformed, match=r"violationEventOccurrenceRange\.startTime must be a time"):
        decode("PUT", "/detect/mitigationactions/tasks/t", body=body)


@pytest.mark.parametrize(
    ("path", "query", "why"),
    [
        ("/things/%zz", "", "% without two hexadecimal digits"),
        ("/things/a%", "", "% without two hexadecimal digits"),
        ("/things/%FF", "", "not percent-encoded UTF-8"),
        ("/things/%ED%A0%80", "", "not percent-encoded UTF-8"),
        ("/things/ü", "", r"'/?\\xfc' must be percent-encoded"),
        ("/things/a%00", "", "NUL"),
        ("/things", "maxResults=1&maxResults=2", "maxResults is given twice"),
        ("/things", "maxResults=1_0", "maxResults must be a whole number"),
        ("/things", "maxResults=", "maxResults must be a whole number"),
        ("/things", "maxResults=" + "9" * 15, "maxResults must fit 32 bits"),
        ("/things", "maxResults=" + "9" * 5000, "whole number"),
        ("/things", "usePrefixAttributeValue=yes", "usePrefixAttributeValue must be true or false"),
        ("/things", "%=1", "% without"),
        ("/audit/tasks", "startTime=x", "startTime must be a time"),
    ],
)
def test_malformed_texts(path: str, query: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode("GET", path, query)


@pytest.mark.parametrize("value", ["*", "YQ==", "W10", "ü", "WyJcdWQ4MDAiXQ=="])
def test_malformed_json_header(value: str) -> None:
    with pytest.raises(Malformed, match="The header x-amz-mqtt5-user-properties"):
        decode("POST", "/topics/a", service=DATA, x_amz_mqtt5_user_properties=value)


@pytest.mark.parametrize("value", ["\xff", "€"])
def test_malformed_header(value: str) -> None:
    with pytest.raises(Malformed, match="The header x-amzn-iot-policy is not UTF-8"):
        decode("GET", "/policy-principals", x_amzn_iot_policy=value)


# --- kinds that iot itself does not put into query and header, but a model may ---------------------------------------


def toy(shapes: dict[str, Any], **members: Any) -> Model:
    structure = {"type": "structure", "members": members}
    operation = {
        "http": {"method": "GET", "requestUri": "/x", "responseCode": 202},
        "input": {"shape": "S"},
        "output": {"shape": "S"},
    }
    metadata = {"apiVersion": "1", "protocol": "rest-json", "endpointPrefix": "toy"}
    return Model("toy", {"metadata": metadata, "operations": {"Do": operation}, "shapes": {"S": structure, **shapes}})


def test_lists_numbers_and_blobs_in_query_and_headers() -> None:
    shapes = {
        "L": {"type": "list", "member": {"shape": "D"}},
        "D": {"type": "double"},
        "T": {"type": "timestamp"},
        "B": {"type": "blob"},
        "F": {"type": "boolean"},
    }
    service = toy(
        shapes,
        l={"shape": "L", "location": "querystring", "locationName": "n"},
        t={"shape": "T", "location": "header", "locationName": "X-T"},
        b={"shape": "B", "location": "header", "locationName": "X-B"},
        f={"shape": "F", "location": "header", "locationName": "X-F"},
    )
    headers = {"x_t": "Mon, 28 Jan 2019 23:08:41 GMT", "x_b": "YQ==", "x_f": "true"}
    params = decode("GET", "/x", "n=1&n=2.5e1", b"", service, **headers)
    assert params == {"l": [1.0, 25.0], "t": 1_548_716_921_000, "b": b"a", "f": True}
    for text in ("1e999", "nan", "inf", "0x1", ""):
        with pytest.raises(Malformed, match="n must be a number"):
            decode("GET", "/x", f"n={text}", service=service)
    response = encode("Do", {name: params[name] for name in "tbf"}, service)
    assert (response.status, response.body) == (202, b"{}")
    assert [response.headers[name] for name in ("x-t", "x-b", "x-f")] == [
        "Mon, 28 Jan 2019 23:08:41 GMT",
        "YQ==",
        "true",
    ]


def test_structure_as_payload_and_json_in_a_header_on_the_way_out() -> None:
    shapes = {
        "P": {"type": "structure", "members": {"a": {"shape": "X", "locationName": "A"}}},
        "X": {"type": "string"},
    }
    service = toy(
        shapes, p={"shape": "P"}, j={"shape": "X", "location": "header", "locationName": "j", "jsonvalue": True}
    )
    service._shapes._raw["S"]["payload"] = "p"
    response = encode("Do", {"p": {"a": "1"}, "j": [1]}, service)
    assert response.body == b'{"A":"1"}'
    assert response.headers["j"] == "WzFd"


# --- encode ----------------------------------------------------------------------------------------------------------


def test_encode() -> None:
    response = encode("CreateThing", {"thingName": "a", "thingArn": None, "thingId": "ü"})
    assert response == Response(
        200,
        {"x-amzn-requestid": "req-1", "content-type": "application/json"},
        b'{"thingName":"a","thingId":"\\u00fc"}',
    )


def test_encode_times_names_and_nested_values() -> None:
    result = {
        "thingTypeName": "t",
        "thingTypeMetadata": {"deprecated": False, "creationDate": 1_548_716_921_289, "deprecationDate": None},
        "thingTypeProperties": {"searchableAttributes": ("a", "b")},
    }
    body = json.loads(encode("DescribeThingType", result).body)
    assert body["thingTypeMetadata"] == {"deprecated": False, "creationDate": 1548716921.289}
    assert body["thingTypeProperties"] == {"searchableAttributes": ["a", "b"]}


def test_encode_without_output_or_with_nothing_in_it() -> None:
    assert encode("AttachPolicy", {}) == Response(200, {"x-amzn-requestid": "req-1"}, b"")
    assert encode("DeleteThing", {}).body == b"{}"


def test_encode_a_blob_as_the_body() -> None:
    response = encode("GetThingShadow", {"payload": b'{"state":{}}'}, DATA)
    assert (response.body, response.headers["content-type"]) == (b'{"state":{}}', "application/json")
    assert encode("GetThingShadow", {}, DATA).body == b""
    with pytest.raises(Unencodable, match="str is not bytes"):
        encode("GetThingShadow", {"payload": "{}"}, DATA)


def test_encode_a_status() -> None:
    assert encode("DeleteCommand", {"statusCode": 202}).status == 202
    assert encode("DeleteCommand", {"statusCode": 204}) == Response(204, {"x-amzn-requestid": "req-1"}, b"")


@pytest.mark.parametrize(
    ("operation", "result", "why"),
    [
        ("AttachPolicy", {"x": 1}, "AttachPolicy has no output"),
        ("CreateThing", {"thingname": "a"}, "has no member 'thingname'; it has thingName"),
        ("CreateThing", {"thingName": 1}, "thingName: int is not a string"),
        ("DescribeThing", {"version": True}, "version: bool is not a long"),
        ("DescribeThing", {"attributes": {"a": {}}}, r"attributes\['a'\]: dict is not a string"),
        ("ListThings", {"things": [{"x": 1}]}, "has no member 'x'"),
        ("ListThings", {"things": [None]}, r"things\[\]: NoneType is not a structure"),
        ("DescribeThingType", {"thingTypeMetadata": {"creationDate": 1.5}}, "float is not a timestamp"),
        ("GetStatistics", {"statistics": {"average": float("nan")}}, "not JSON compliant"),
    ],
)
def test_encode_refuses(operation: str, result: dict[str, Any], why: str) -> None:
    with pytest.raises(Unencodable, match=why):
        encode(operation, result)


def test_encode_refuses_a_time_beyond_the_calendar() -> None:
    service = toy({"T": {"type": "timestamp"}}, t={"shape": "T", "location": "header", "locationName": "t"})
    with pytest.raises(Unencodable, match=r"t: \d+ is no time in milliseconds"):
        encode("Do", {"t": 10**18}, service)


# --- errors ----------------------------------------------------------------------------------------------------------


def test_error_takes_the_models_status() -> None:
    operation = IOT.operation("CreateThing")
    response = codec.encode_error(
        operation, "ResourceAlreadyExistsException", "There is one.", "req-1", resourceId="a", resourceArn=None
    )
    assert response.status == 409
    assert response.headers == {
        "x-amzn-requestid": "req-1",
        "x-amzn-errortype": "ResourceAlreadyExistsException",
        "content-type": "application/json",
    }
    assert json.loads(response.body) == {"message": "There is one.", "resourceId": "a"}


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        (IOT.operation("CreateThing"), "ThrottlingException", 400),
        (DATA.operation("Publish"), "ThrottlingException", 429),
        (IOT.operation("CreateThing"), "LimitExceededException", 410),
        (IOT.operation("CreateThing"), "AccessDeniedException", 403),
        (DATA.operation("Publish"), "ForbiddenException", 403),
        (None, "ThrottlingException", 429),
        (None, "UnknownOperationException", 404),
        (None, "InvalidSignatureException", 403),
        (None, "InternalFailureException", 500),
        (None, "SomethingElse", 400),
    ],
)
def test_error_status(operation: Any, code: str, status: int) -> None:
    assert codec.encode_error(operation, code, "m", "r").status == status


def test_a_mistake_in_the_error_members_is_told() -> None:
    with pytest.raises(Unencodable):
        codec.encode_error(None, "X", "m", "r", when=object())
