"""Whatever a template or a device says, the answer is a Plan or a documented refusal, in bounded time and size."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetgate import names
from fleetgate.errors import InvalidParameters, InvalidRequest
from fleetgate.template.document import Kind, parse
from fleetgate.template.expressions import LIMIT
from fleetgate.template.plan import Plan
from fleetgate.template.render import fixed_policies, policy_name, render
from fleetgate.template.requirements import requirements

ID = "d" * 64
CALM = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

kinds = st.sampled_from(list(Kind))
words = st.sampled_from(
    ["A", "B", "thing", "policy", "certificate", "AWS::IoT::Certificate::Id", "AWS::Region", "0", "x y"]
)


def functions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(words, inner).map(list)
    return st.one_of(
        st.builds(lambda name: {"Ref": name}, words | inner),
        st.builds(lambda given: {"Fn::Join": given}, st.tuples(words, st.lists(inner, max_size=3)).map(list) | inner),
        st.builds(lambda given: {"Fn::Select": given}, st.tuples(st.integers(0, 2) | words, inner).map(list)),
        st.builds(lambda given: {"Fn::Split": given}, pairs),
        st.builds(lambda given: {"Fn::FindInMap": ["M", *given]}, pairs),
        st.builds(lambda text: {"Fn::Sub": text}, st.sampled_from(["${A}", "${thing}-${!B}", "${policy}${x"]) | pairs),
    )


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=3) | functions(inner)
    ),
    max_leaves=8,
)


def lists(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What gives a list, most of the time."""
    return st.lists(texts, max_size=3) | texts.map(lambda text: {"Fn::Split": ["-", text]})


def calls(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What gives a text out of texts."""
    return st.one_of(
        lists(texts).map(lambda items: {"Fn::Join": ["-", items]}),
        lists(texts).map(lambda items: {"Fn::Select": [0, items]}),
        texts.map(lambda key: {"Fn::FindInMap": ["M", "a", key]}),
        texts.map(lambda bound: {"Fn::Sub": ["${x}-${A}", {"x": bound}]}),
    )


leaves = st.sampled_from(["a", "x", "A", "B", "a-x"])
well_typed = st.recursive(
    leaves
    | st.sampled_from(["A", "B", "thing", "policy", "AWS::IoT::Certificate::Id"]).map(lambda name: {"Ref": name}),
    calls,
    max_leaves=5,
)


def resource(kind: str, **properties: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"Type": st.just(kind), "Properties": st.fixed_dictionaries(properties)})


def templates(texts: st.SearchStrategy[Any], rest: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Templates whose values are *texts*, and whose sections are sometimes *rest*."""
    return st.fixed_dictionaries(
        {
            "Parameters": st.just({"A": {"Type": "String"}, "B": {"Type": "String", "Default": "b"}}) | rest,
            "Mappings": st.just({"M": {"a": {"a": "x", "x": "a", "A": "y", "B": "z", "a-x": ["y", "z"]}}}) | rest,
            "Resources": st.fixed_dictionaries(
                {
                    "thing": resource(
                        "AWS::IoT::Thing",
                        ThingName=texts,
                        AttributePayload=st.dictionaries(leaves, texts, max_size=2) | rest,
                        ThingGroups=lists(texts) | rest,
                    )
                },
                optional={
                    "policy": resource("AWS::IoT::Policy", PolicyName=texts)
                    | resource("AWS::IoT::Policy", PolicyDocument=st.fixed_dictionaries({"Statement": texts | rest})),
                    "certificate": resource(
                        "AWS::IoT::Certificate",
                        CertificateId=st.just({"Ref": "AWS::IoT::Certificate::Id"}) | rest,
                        Status=st.just("Active") | rest,
                    ),
                },
            ),
        },
        optional={"DeviceConfiguration": st.dictionaries(leaves, texts, max_size=2) | rest},
    )


def outcome(body: str, kind: Kind, parameters: dict[str, Any], builtins: dict[str, str]) -> Plan | None:
    refused: InvalidRequest
    try:
        document = parse(body, kind)
        requirements(document)
        fixed_policies(document)
        plan = render(document, parameters, builtins)
    except InvalidRequest as error:
        refused = error
    else:
        sound(plan)
        return plan
    assert type(refused) in {InvalidRequest, InvalidParameters}
    assert refused.message.encode()
    return None


def sound(plan: Plan) -> None:
    """Every name is one, every value is a text, and the whole can be printed and sent."""
    if plan.thing:
        names.check("thing", plan.thing.name)
        for name, value in (plan.thing.attributes or {}).items():
            names.check("attribute", name)
            names.check("attribute_value", value)
        for group in plan.thing.groups or ():
            names.check("thing_group", group)
    for policy in plan.policies:
        names.check("policy", policy.name)
        assert policy.document is None or policy.name == policy_name(policy.document)
    if plan.certificate:
        assert plan.certificate.status in {"ACTIVE", "INACTIVE"}
    assert all(isinstance(value, str) for value in plan.device_configuration.values())
    described = json.dumps(plan.describe(), ensure_ascii=False, allow_nan=False).encode()
    assert len(described) < 8 * LIMIT


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from keys(item)


@CALM
@given(anything | st.text(), kinds)
def test_any_json_and_any_text_is_a_template_or_is_refused(value: Any, kind: Any) -> None:
    outcome(value if isinstance(value, str) else json.dumps(value), kind, {}, {})


@CALM
@given(templates(well_typed | anything, anything), kinds, st.dictionaries(words, anything, max_size=3), st.booleans())
def test_any_template_and_any_parameters_give_a_plan_or_a_refusal(
    template: Any, kind: Kind, parameters: Any, known: bool
) -> None:
    outcome(json.dumps(template), kind, parameters, {"AWS::IoT::Certificate::Id": ID} if known else {})


@CALM
@given(templates(well_typed, st.nothing()), st.fixed_dictionaries({"A": st.text(alphabet="ax", min_size=1)}))
def test_no_function_survives_rendering(template: Any, parameters: dict[str, Any]) -> None:
    plan = outcome(json.dumps(template), Kind.FLEET_PROVISIONING, parameters, {"AWS::IoT::Certificate::Id": ID})
    if plan:
        found = set(keys(plan.describe()))
        assert "Ref" not in found
        assert not any(name.startswith("Fn::") for name in found)
        assert "${" not in json.dumps(plan.describe())


@CALM
@given(st.text(alphabet='abcdefgh12345678"\\*+?#${}: ', min_size=1, max_size=5), st.booleans())
def test_no_parameter_changes_what_a_policy_allows(value: str, as_text: bool) -> None:
    written = '{"Statement": [{"Resource": "topic/${A}/x"}]}'
    document = {"Fn::Sub": written} if as_text else {"Statement": [{"Resource": {"Fn::Sub": "topic/${A}/x"}}]}
    template = {
        "Parameters": {"A": {"Type": "String"}},
        "Resources": {"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": document}}},
    }
    plan = outcome(json.dumps(template), Kind.FLEET_PROVISIONING, {"A": value}, {})
    if plan:
        assert json.loads(plan.policies[0].document or "") == {"Statement": [{"Resource": f"topic/{value}/x"}]}
        assert not set(value) & set("*+?#$")
