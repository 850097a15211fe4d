import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.wire.restjson import model, validate
from fleetgate.wire.restjson.model import Envelope, Operation, Shape
from fleetgate.wire.restjson.validate import problems

IOT = model.load("iot")
DATA = model.load("iot-data")


def check(operation: str, **params: Any) -> list[str]:
    return problems(IOT.operation(operation), params)


def matches(pattern: str, text: str) -> bool:
    shape = Shape("In", "string", pattern=pattern)
    member = model.Member("m", "m", shape)
    whole = Shape("In", "structure", members={"m": member})
    operation = Operation("toy", "Do", "GET", "/", 200, Envelope(whole), None, {}, ())
    return problems(operation, {"m": text}) == []


def test_all_is_well() -> None:
    assert check("CreateThing", thingName="a:b_c-1", attributePayload={"attributes": {"a": "b"}, "merge": True}) == []
    assert check("ListThings") == []


def test_required() -> None:
    assert check("CreateThing") == ["thingName is required."]
    assert check("AttachPolicy", target=None) == ["policyName is required.", "target is required."]
    assert check("TagResource", resourceArn="x", tags=[{"Value": "v"}]) == ["tags[0].Key is required."]


def test_lengths() -> None:
    assert check("CreateThing", thingName="") == ["thingName is 0 characters long; at least 1 must be given."]
    assert check("CreateThing", thingName="!" * 129) == ["thingName is 129 characters long; at most 128 are allowed."]
    assert check("CreateThing", thingName="a" * 128) == []


def test_pattern() -> None:
    assert check("CreateThing", thingName="a b") == [
        "thingName: 'a b' does not match the pattern [a-zA-Z0-9:_-]+",
    ]
    assert check("CreateThing", thingName="a\n") != []


def test_enum() -> None:
    [problem] = check("UpdateCertificate", certificateId="0" * 64, newStatus="BOGUS")
    assert problem.startswith("newStatus: 'BOGUS' is none of ACTIVE, INACTIVE, REVOKED")


def test_numbers() -> None:
    assert check("ListThings", maxResults=251) == ["maxResults: 251 is above the maximum of 250."]
    assert check("ListThings", maxResults=0) == ["maxResults: 0 is below the minimum of 1."]
    [problem] = check(
        "CreateJob",
        jobId="j",
        targets=["t"],
        jobExecutionsRolloutConfig={
            "exponentialRate": {
                "baseRatePerMinute": 1,
                "incrementFactor": 5.5,
                "rateIncreaseCriteria": {"numberOfNotifiedThings": 1},
            }
        },
    )
    assert "exponentialRate.incrementFactor: 5.5 is above the maximum of 5" in problem


def test_counts() -> None:
    assert check("CreateJob", jobId="j", targets=[]) == ["targets has 0 items; at least 1 must be given."]
    assert check("CreateJob", jobId="j", targets=["t"]) == []
    attributes = ["a", "b", "c", "d", "e", "f"]
    [problem] = check("CreateTopicRule", ruleName="r", topicRulePayload={"sql": "x", "actions": [{}] * 11})
    assert problem == "topicRulePayload.actions has 11 items; at most 10 are allowed."
    assert check("CreateThingType", thingTypeName="t", thingTypeProperties={"searchableAttributes": attributes}) == []


def test_map_names_and_values_are_checked() -> None:
    assert check("CreateThing", thingName="t", attributePayload={"attributes": {"a b": "c", "d": "e f"}}) == [
        "The name of attributePayload.attributes['a b']: 'a b' does not match the pattern [a-zA-Z0-9_.,@/:#-]+",
        "attributePayload.attributes['d']: 'e f' does not match the pattern [a-zA-Z0-9_.,@/:#=\\[\\]-]*",
    ]


def toy(shape: Shape) -> Operation:
    whole = Shape("In", "structure", members={"m": model.Member("m", "m", shape)})
    return Operation("toy", "Do", "GET", "/", 200, Envelope(whole), None, {}, ())


def test_map_and_blob_bounds() -> None:
    text = Shape("S", "string")
    operation = toy(Shape("M", "map", key=text, element=text, minimum=1, maximum=1))
    assert problems(operation, {"m": {}}) == ["m has 0 items; at least 1 must be given."]
    assert problems(operation, {"m": {"a": "", "b": ""}}) == ["m has 2 items; at most 1 are allowed."]
    operation = toy(Shape("B", "blob", minimum=1, maximum=2))
    assert problems(operation, {"m": b""}) == ["m is 0 bytes long; at least 1 must be given."]
    assert problems(operation, {"m": b"abc"}) == ["m is 3 bytes long; at most 2 are allowed."]
    assert problems(operation, {"m": b"ab"}) == []


def test_secrets_are_not_repeated() -> None:
    operation = toy(Shape("S", "string", pattern="[a-z]+", sensitive=True))
    [problem] = problems(operation, {"m": "hunter2"})
    assert "hunter2" not in problem
    assert "(not shown)" in problem


def test_long_values_are_cut() -> None:
    [problem] = problems(toy(Shape("S", "string", pattern="[a-z]+")), {"m": "1" * 10_000})
    assert len(problem) < 200


def test_every_problem_at_once_but_not_too_many() -> None:
    found = check("ListThings", maxResults=0, attributeName="a b", thingTypeName="")
    assert len(found) == 3
    tags = [{"Key": ""}] * 1000
    found = check("TagResource", resourceArn="x", tags=tags)
    assert len(found) == validate.MAX_PROBLEMS + 1
    assert found[-1] == "There are more problems, which are not listed."


def test_what_the_model_does_not_know_is_not_judged() -> None:
    assert check("ListThings", somethingElse=object(), maxResults=None) == []


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"[\p{Graph}\x20]*", "a b", True),
        (r"[\p{Graph}\x20]*", "ü", False),  # Java's POSIX classes are ASCII
        (r"[\p{Graph}\x20]*", "a\tb", False),
        (r"[\w+=,.@-]+", "a_1+@", True),
        (r"[\w+=,.@-]+", "ü", False),
        (r"[\w-.]+", "a-.", True),
        (r"\w+", "ü", False),
        (r"\W", "ü", True),
        (r"\d+", "\u0661", False),
        (r"\S{2,3}", "ab", True),
        (r"\S{2,3}", "a b", False),
        (r"[\s-x]+", " -x", True),
        (r"[^\p{Cntrl}]*", "ü €", True),
        (r"[^\p{Cntrl}]*", "\x7f", False),
        (r"[^\p{Cntrl}]*", "\x85", True),
        (r"[^\p{C}]+", "ü", True),
        (r"[^\p{C}]+", "\x85", False),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", "Größe 1", True),
        (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", "a!", False),
        (r"[\s\S]*", "a\nü\0", True),
        (r"[\p{Upper}\p{Digit}_]+", "A1_", True),
        (r"[\p{Upper}\p{Digit}_]+", "É", False),
        (r"([\n\t])|(\r\n)|(,)", "\r\n", True),
        (r"([\n\t])|(\r\n)|(,)", ",,", False),
        (r"^([1-9]|[12][0-9]|3[01])$|^LAST$", "LAST", True),
        (r"^([1-9]|[12][0-9]|3[01])$|^LAST$", "32", False),
        (r"^[1-9]+.[0-9]+", "1.0", True),
        (r"^[1-9]+.[0-9]+", "1.0x", False),
        (r"^[1-9]+.[0-9]+", "1\n0", False),
        (r"https?://.*", "http://a\u2028", False),
        (r"https?://.*", "https://a", True),
        (r"^[0-9-]+$", "1-2\n", False),
        (r"[.]", "x", False),
        (r"[\.\]]+", ".]", True),
        (r"\.x", ".x", True),
        (r"\.x", "ax", False),
        (r"[a-zA-Z0-9_.,@/:#=\[\]-]*", "[a]=b", True),
        (r"[a-zA-Z0-9!_.*'()-\/]+", "a(b)/", True),
    ],
)
def test_patterns_mean_what_they_mean_in_java(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_a_pattern_that_explodes_is_stopped() -> None:
    assert not matches(r"(a|a|aa)+b?c", "a" * 5_000)


def every_shape() -> dict[str, Shape]:
    found: dict[str, Shape] = {}

    def walk(shape: Shape | None) -> None:
        if shape is None or found.get(shape.name) is shape:
            return
        found[shape.name] = shape
        for member in shape.members.values():
            walk(member.shape)
        walk(shape.key)
        walk(shape.element)

    for service in (IOT, DATA):
        for name in service.operations:
            walk(service.operation(name).input.shape)
    return found


def test_every_pattern_of_the_models_holds_a_megabyte() -> None:
    patterns = {shape.pattern for shape in every_shape().values() if shape.pattern}
    assert len(patterns) > 30
    for pattern in patterns:
        for character in "a0 :":
            validate._matches(pattern, character * 1_000_000 + "\0")


@given(st.data())
def test_names_of_allowed_characters_fit_and_one_other_character_does_not(data: st.DataObject) -> None:
    allowed = string.ascii_letters + string.digits + ":_-"
    name = data.draw(st.text(st.sampled_from(allowed), min_size=1, max_size=128))
    assert check("CreateThing", thingName=name) == []
    stranger = data.draw(st.characters().filter(lambda character: character not in allowed))
    at = data.draw(st.integers(0, len(name)))
    assert check("CreateThing", thingName=name[:at] + stranger + name[at:]) != []
