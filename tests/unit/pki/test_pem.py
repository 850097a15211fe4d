from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.pki import pem

ONE = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


@given(st.lists(st.tuples(st.sampled_from(["CERTIFICATE", "PUBLIC KEY"]), st.binary(min_size=1)), min_size=1))
def test_what_is_written_is_read_again(made: list[tuple[str, bytes]]) -> None:
    text = "".join(pem.text_of(label, body) for label, body in made)
    assert pem.blocks(text) == made
    assert text.endswith("-----\n")
    assert max(map(len, text.splitlines())) <= 64


@pytest.mark.parametrize(
    "text",
    [
        "subject=CN = x\n" + ONE,
        ONE + "trailing words",
        ONE.replace("\n", "\r\n"),
        ONE.replace("\n", "\r"),
        "  " + ONE.replace("\n", "  \n  "),
        ONE.replace("MAA=", "MA\nA="),
        ONE.rstrip(),
    ],
)
def test_what_stands_around_a_block_is_tolerated(text: str) -> None:
    assert pem.blocks(text) == [("CERTIFICATE", b"\x30\x00")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no -----BEGIN"),
        ("hello", "holds no -----BEGIN"),
        (ONE.replace("\n", "\\n"), "line breaks should be"),
        (ONE.replace("\n", " "), "lines of their own"),
        (ONE.replace("-----END CERTIFICATE-----", ""), "breaks off inside CERTIFICATE"),
        (ONE.replace("END CERTIFICATE", "END PUBLIC KEY"), "ends a PUBLIC KEY block that did not begin"),
        ("-----END CERTIFICATE-----\n" + ONE, "did not begin"),
        ("-----BEGIN CERTIFICATE-----\n" + ONE, "begins a new block before the end"),
        (ONE.replace("MAA=", "M*A="), "other than base64"),
        (ONE.replace("MAA=", "MAA"), "other than base64"),
        (ONE.replace("MAA=", "Proc-Type: 4,ENCRYPTED\n\nMAA="), "other than base64"),
        (ONE.replace("MAA=", "MÄA="), "other than base64"),
        (ONE.replace("MAA=\n", ""), "empty CERTIFICATE block"),
    ],
)
def test_what_is_broken_is_said(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        pem.blocks(text)
