from typing import Any

import pytest

from fleetgate.errors import InvalidParameters, InvalidRequest
from fleetgate.template.problems import Problems, member, nearest, shown


def test_every_problem_is_told_once_and_in_order() -> None:
    problems = Problems()
    for problem in ("second", "first", "second"):
        problems.tell(problem)
    with pytest.raises(InvalidParameters, match=r"\A- second\n- first\Z"):
        problems.throw(InvalidParameters)


def test_nothing_is_thrown_when_nothing_is_wrong() -> None:
    problems = Problems()
    problems.check_name("thing", "t", "here")
    problems.throw(InvalidRequest)
    assert not problems


def test_a_problem_without_a_path_is_about_the_whole_template() -> None:
    problems = Problems()
    problems.add("", "Wrong.")
    with pytest.raises(InvalidRequest, match=r"\AThe template: Wrong\.\Z"):
        problems.throw(InvalidRequest)


def test_a_message_can_always_be_sent_as_utf_8() -> None:
    problems = Problems()
    problems.add("\ud800", "Wrong.")
    with pytest.raises(InvalidRequest) as refused:
        problems.throw(InvalidRequest)
    assert refused.value.message.encode() == b"\\ud800: Wrong."


def test_long_values_and_names_are_cut() -> None:
    assert shown("x" * 64) == f"'{'x' * 60}..."
    assert shown("x" * 62) == f"'{'x' * 62}'"
    assert member("a", "x" * 65) == f"a.{'x' * 61}..."
    assert member("", "x" * 64) == "x" * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CERTIFICATE", "; did you mean 'Certificate'?"),
        ("Things", "; did you mean 'Thing'?"),
        ("Other", "; known here: Thing, Certificate."),
    ],
)
def test_the_nearest_name(name: str, expected: Any) -> None:
    assert nearest(name, ("Thing", "Certificate")) == expected


def test_only_so_many_names_are_compared_and_listed() -> None:
    known = [f"n{index}" for index in range(100)]
    assert nearest("other", known).count(", ") == 31
    assert nearest("n99", known) != "; did you mean 'n99'?"


def test_the_nearest_of_none() -> None:
    assert nearest("Thing", ()) == "; nothing is known here."
