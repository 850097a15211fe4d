"""Hostile requests to the control plane, well signed: whatever is sent, the answer is never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime import REGION, Installed, installed, signed

from fleetgate.api.table import OPERATIONS
from fleetgate.names import Realm
from fleetgate.wire.restjson.model import Member, Operation, Shape, load

IOT = load("iot")
ACCOUNT = "123456789012"
REALM = Realm(ACCOUNT, REGION)
ARN_KINDS = ("cert", "cacert", "policy", "thing", "thinggroup", "thingtype", "provisioningtemplate")

strange = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(codec=None), max_size=5),
    st.sampled_from(
        ["", "\0", "\ud800", "a\0b", "'; DROP TABLE things; --", "%00", "../../..", "a" * 129, "f" * 64, "9" * 40]
    ),
)
arns = st.builds(REALM.arn, st.sampled_from(ARN_KINDS), st.one_of(strange, st.sampled_from(["a", "f" * 64])))
DOCUMENTS = [
    "{}",
    "[" * 1000,
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}',
    '{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"\\ud800"}}}}',
    '{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}',
    "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
]
documents = st.sampled_from(DOCUMENTS)
words = st.one_of(st.sampled_from(["a", "b", "1"]), arns, documents, strange)
numbers = st.sampled_from([1, 1, 2, 0, -1, 250, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words, st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)


def fitting(shape: Shape) -> st.SearchStrategy[Any]:
    """JSON of the shape's type, whose bounds it may break."""
    if shape.kind == "structure":
        members = {member.wire: fitting(member.shape) for member in shape.members.values()}
        required = {shape.members[name].wire: members[shape.members[name].wire] for name in shape.required}
        return st.fixed_dictionaries(required, optional={n: s for n, s in members.items() if n not in required})
    if shape.kind == "list":
        assert shape.element
        return st.lists(fitting(shape.element), max_size=3)
    if shape.kind == "map":
        assert shape.element
        return st.dictionaries(words, fitting(shape.element), max_size=3)
    if shape.kind == "string":
        return st.integers(0, 7).flatmap(lambda dice: words if dice == 0 else st.sampled_from(proper(shape)))
    return {"boolean": st.booleans(), "integer": numbers, "long": numbers}[shape.kind]


def proper(shape: Shape) -> list[str]:
    """Texts that may get past the model: only then the records see them."""
    if shape.enum:
        return list(shape.enum)
    if shape.minimum in {20, 64}:
        return ["f" * 64]
    known = {"PolicyDocument": DOCUMENTS, "TemplateBody": DOCUMENTS, "CertificatePem": DOCUMENTS}
    if shape.name in {"ResourceArn", "Principal", "PolicyTarget", "ThingArn", "ThingGroupArn"}:
        return [REALM.arn(kind, name) for kind in ARN_KINDS for name in ("a", "f" * 64, "\ud800", "a\0", "")]
    return known.get(shape.name, ["a", "b", "1"])


def as_text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@st.composite
def requests(draw: st.DrawFn, operation: Operation) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path with query, body and headers."""

    def value(member: Member) -> Any:
        return draw(words if draw(st.integers(0, 7)) == 0 else fitting(member.shape))

    path = operation.uri.partition("?")[0]
    for label in operation.input.labels:
        path = path.replace(f"{{{label.wire}}}", as_text(value(label)) or "x")
    query = "&".join(
        f"{name}={as_text(value(member))}" for name, member in operation.input.query.items() if draw(st.booleans())
    )
    headers = {
        member.wire: str(value(member)).encode("utf-8", "replace").decode("latin-1")
        for member in operation.input.headers
    }
    headers = {name: "".join(c for c in text if c.isprintable()) for name, text in headers.items()}
    body = b""
    if operation.input.body:
        shape = Shape("Body", "structure", members={m.name: m for m in operation.input.body.values()})
        body = json.dumps(draw(json_values if draw(st.integers(0, 7)) == 0 else fitting(shape))).encode()
    return operation.method, f"{path}?{query}" if query else path, body, headers


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture(scope="module")
def operator(house: Installed) -> Credentials:
    return house.operator(ACCOUNT)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_is_our_fault(house: Installed, operator: Credentials, name: str, data: st.DataObject) -> None:
    method, path, body, headers = data.draw(requests(IOT.operation(name)))
    answer = house.send(signed(operator, method, path, body, headers=headers))
    assert answer.status < 500, (answer.body, body)
    if answer.status >= 400:
        assert json.loads(answer.body)["message"]
        assert answer.headers["x-amzn-errortype"].endswith("Exception")
