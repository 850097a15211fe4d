"""The tree of errors: what each carries, and that AWS's names are spelled as the service models spell them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleetgate import errors
from fleetgate.errors import ConfigInvalid, FleetgateError, Refused, Unauthenticated, all_of


def leaves(kind: type[FleetgateError] = FleetgateError) -> Iterator[type[FleetgateError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from leaves(one)


KINDS = [one for one in leaves() if one.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_stands_in_the_picture(kind: type[FleetgateError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whose_fault_it_is_shows_in_the_status(kind: type[FleetgateError]) -> None:
    if kind is Refused:
        return  # nobody raises it by itself
    assert (400 <= kind.status < 500) == issubclass(kind, Refused)


def test_the_message_is_the_text_and_members_go_beside_it() -> None:
    error = errors.AlreadyExists("The thing exists.", resourceId="a", resourceArn="arn")
    assert str(error) == error.message == "The thing exists."
    assert error.members == {"resourceId": "a", "resourceArn": "arn"}


def test_a_list_of_problems_alone_begins_on_the_first_line() -> None:
    error = errors.InvalidRequest(all_of(["one", "two"]))
    assert str(error) == error.message == error.reason == "- one\n- two"


def test_no_blank_hangs_behind_what_leads_to_a_list() -> None:
    error = errors.InvalidRequest(f"Refused: {all_of(['one', 'two'])}")
    assert str(error) == error.message == error.reason == "Refused:\n- one\n- two"


def test_the_provisioning_topics_have_codes_of_their_own() -> None:
    kinds = [errors.InvalidParameters, errors.InvalidOwnershipToken, errors.InvalidSigningRequest]
    assert [kind.code for kind in kinds] == [
        "InvalidParameters",
        "InvalidCertificateOwnershipToken",
        "InvalidCertificateSigningRequest",
    ]


def test_one_refusal_has_several_codes() -> None:
    assert Unauthenticated("Who?").code == "UnrecognizedClientException"
    assert Unauthenticated("When?", "InvalidSignatureException").code == "InvalidSignatureException"
    assert Unauthenticated("Who?").code == "UnrecognizedClientException"


def test_one_problem_is_a_sentence_and_several_are_a_list() -> None:
    assert all_of(["a is wrong"]) == "a is wrong"
    assert all_of(["a is wrong", "b is missing"]) == "\n- a is wrong\n- b is missing"


def test_a_configurations_problems_can_be_counted() -> None:
    error = ConfigInvalid(["one", "two"])
    assert error.problems == ("one", "two")
    assert error.message.endswith("\n- one\n- two")
