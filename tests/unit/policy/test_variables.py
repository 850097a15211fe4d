"""The context of a connection, and how choices meet it. The rules themselves are in tests/vectors/policy."""

from __future__ import annotations

from fleetgate.policy.grammar import IAM, IOT
from fleetgate.policy.pattern import any_of, fold, tokenize
from fleetgate.policy.variables import Certificate, Choice, Context, Thing, connection, substitute


def values(context: Context, key: str) -> tuple[str, ...]:
    return context.get(fold(key))


def test_keys_ignore_case_and_values_may_be_many() -> None:
    context = Context.of({"AWS:Key": "a", "aws:Many": ["b", "c"], "aws:None": [], "aws:Empty": ""})
    assert values(context, "aws:key") == ("a",)
    assert values(context, "aws:MANY") == ("b", "c")
    assert values(context, "aws:None") == ()
    assert values(context, "aws:Empty") == ("",)


def test_extended_replaces_and_leaves_the_original() -> None:
    context = Context.of({"a:b": "1", "a:c": "2"})
    more = context.extended({"A:B": "3"})
    assert (values(more, "a:b"), values(more, "a:c"), values(context, "a:b")) == (("3",), ("2",), ("1",))


def test_what_is_authenticated_cannot_be_replaced() -> None:
    context = connection(client_id="me", more={"IOT:clientid": "you", "iot:LastWillTopic": "x"})
    assert values(context, "iot:ClientId") == ("me",)
    assert values(context, "iot:LastWillTopic") == ("x",)


def test_more_cannot_make_a_thing_or_a_certificate() -> None:
    forged = {
        "iot:Thing.ThingName": "lamp",
        "IOT:Connection.Thing.Attributes[x]": "y",
        "iot:Certificate.Subject.CommonName": "z",
    }
    context = connection(client_id="me", thing=Thing("me"), more={**forged, "aws:Other": "kept"})
    assert [values(context, key) for key in forged] == [(), (), ()]
    assert values(context, "aws:Other") == ("kept",)
    assert values(context, "iot:Connection.Thing.IsAttached") == ("false",)


def test_a_thing_is_known_only_to_a_connection_that_may_speak_for_it() -> None:
    attached = Thing("lamp", "bulb", {"x": "y"}, attached=True)
    known = connection(client_id="lamp", thing=attached)
    assert values(known, "iot:Connection.Thing.ThingName") == ("lamp",)
    assert values(known, "iot:Connection.Thing.ThingTypeName") == ("bulb",)
    assert values(known, "iot:Connection.Thing.Attributes[x]") == ("y",)
    assert values(known, "iot:Connection.Thing.IsAttached") == ("true",)
    unknown = connection(client_id="desk", thing=attached)
    assert list(unknown.values) == ["iot:clientid", "iot:connection.thing.isattached"]


def test_the_keys_a_certificate_has() -> None:
    context = connection(certificate=Certificate("1", {"Country": ["DE", "FR"]}, {"AlternativeName.DNSName": ["x"]}))
    assert values(context, "iot:Certificate.AvailableKeys") == (
        "iot:Certificate.SerialNumber",
        "iot:Certificate.Subject.Country",
        "iot:Certificate.Subject.Country.1",
        "iot:Certificate.Issuer.AlternativeName.DNSName",
    )
    assert values(context, "iot:Certificate.Subject.Country.List") == ("DE", "FR")


def test_an_unknown_serial_number_is_absent() -> None:
    assert list(connection(certificate=Certificate("")).values) == []


def test_an_attribute_without_values_is_absent() -> None:
    context = connection(certificate=Certificate("1", {"Country": []}))
    assert list(context.values) == ["iot:certificate.serialnumber", "iot:certificate.availablekeys"]


def test_the_missing_are_named_as_written() -> None:
    missing: list[str] = []
    tokens = substitute(tokenize("${IOT:ClientId}/${a:b}/${a:c}"), Context.of({"a:b": "x"}), IOT, missing)
    assert missing == ["IOT:ClientId", "a:c"]
    assert tokens == tokenize("*/x/*")


def test_several_values_cannot_be_substituted() -> None:
    missing: list[str] = []
    substitute(tokenize("${a:b}"), Context.of({"a:b": ["x", "y"]}), IAM, missing)
    assert missing == ["a:b"]


def test_a_default_does_not_stand_in_for_an_unusable_value() -> None:
    missing: list[str] = []
    substitute(tokenize("${a:b, 'x'}"), Context.of({"a:b": "#"}), IOT, missing)
    assert missing == ["a:b"]


def test_choices_of_equal_texts_are_equal() -> None:
    first, second = (Choice.of_patterns(["a*"], [tokenize("a*")], any_of) for _ in range(2))
    assert first == second
    assert first != Choice.of_patterns(["a*"], [tokenize("a*")], any_of, negated=True)
