import pytest

from fleetgate.wire.query import form
from fleetgate.wire.query.form import Tree
from fleetgate.wire.restjson.message import Malformed, Request

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def read(body: str, query: str = "", content_type: str = FORM) -> Tree:
    return form.read(Request("POST", "/", query, {"content-type": content_type}, body.encode()))


def test_names_are_paths() -> None:
    assert read("Action=A&Tags.member.1.Key=a+b&Tags.member.1.Value=%C3%BC&Tags.member.2.Key=c") == {
        "Action": "A",
        "Tags": {"member": {"1": {"Key": "a b", "Value": "\u00fc"}, "2": {"Key": "c"}}},
    }


def test_the_query_counts_but_for_the_signature() -> None:
    assert read("", "Action=A&X-Amz-Signature=zz&Version=1", "") == {"Action": "A", "Version": "1"}
    assert read("B=2", "A=1") == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("A=1&A=2", "given twice"),
        ("A=1&A.b=2", "below one that is a value itself"),
        ("A.b=2&A=1", "given twice"),
        ("A=%zz", "two hexadecimal digits"),
        ("A=%ff", "not percent-encoded UTF-8"),
        ("A=%00", "NUL"),
        ("\u00fc=1", "must be percent-encoded"),
        (".".join("a" * 40) + "=1", "nested more than 12 deep"),
        ("&".join(f"a{n}=1" for n in range(2001)), "more than 2000 fields"),
    ],
)
def test_broken_forms(body: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read(body)


def test_a_body_that_is_no_form() -> None:
    with pytest.raises(Malformed, match=r"must be a form .*, not application/json"):
        read("{}", content_type="application/json")
    with pytest.raises(Malformed, match="of no content type"):
        read("A=1", content_type="")
