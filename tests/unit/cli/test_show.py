from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from fleetgate.cli import show
from fleetgate.names import Realm
from fleetgate.registry.budgets import Rate

FINGERPRINT = "ab" * 32


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Lamp:
    name: str
    colour: Colour
    realm: Realm
    rate: Rate
    tags: dict[str, int]
    shades: tuple[str, ...]
    on: bool
    secret: str
    created_at: int
    used_at: int | None
    not_after: int


LAMP = Lamp(
    "lamp",
    Colour.RED,
    Realm("123456789012", "us-east-1"),
    Rate(100, 60_000),
    {"a": 1},
    ("x", "y"),
    True,
    "s",
    1_769_860_800_000,
    None,
    1_769_860_800_123,
)


def test_a_record_is_json_without_what_is_left_out() -> None:
    record = show.record(LAMP, "secret", arn="arn:lamp")
    assert json.loads(json.dumps(record)) == {
        "name": "lamp",
        "colour": "red",
        "realm": "123456789012/us-east-1",
        "rate": "100/1m",
        "tags": {"a": 1},
        "shades": ["x", "y"],
        "on": True,
        "created_at": "2026-01-31T12:00:00Z",
        "used_at": None,
        "not_after": "2026-01-31T12:00:00.123Z",
        "arn": "arn:lamp",
    }


@pytest.mark.parametrize(
    ("rate", "text"),
    [(Rate(1, 1), "1/1ms"), (Rate(2, 90_000), "2/90s"), (Rate(3, 7_200_000), "3/2h"), (Rate(4, 86_400_000), "4/1d")],
)
def test_rates_are_told_as_options_take_them(rate: Rate, text: str) -> None:
    assert show.rate(rate) == text


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def test_a_table_cuts_ids_and_arns_to_what_tells_them_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    records: list[dict[str, Any]] = [
        {"fingerprint": FINGERPRINT, "target": f"arn:aws:iot:us-east-1:1:cert/{FINGERPRINT}", "used": 3, "on": False},
        {"fingerprint": None, "target": "x", "used": 12, "on": True, "created_at": "2026-01-31T12:00:00.123Z"},
    ]
    columns = {"fingerprint": "certificate", "target": "target", "used": "used", "on": "on", "created_at": "created"}
    show.listing(records, columns, "lamps", as_json=False)
    heading, _, first, second = lines(capsys)
    assert heading.split() == ["certificate", "target", "used", "on", "created"]
    assert first.split() == ["abababababab", "cert/abababababab", "3", "no", "-"]
    assert second.split() == ["-", "x", "12", "yes", "2026-01-31", "12:00:00"]
    assert first.index("3") == second.index("2 "), "numbers stand flush right"


def test_markup_in_a_value_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    show.listing([{"name": "[red]lamp[/]"}], {"name": "name"}, "lamps", as_json=False)
    show.details({"name": "[bold]"}, as_json=False)
    assert lines(capsys)[-2:] == ["[red]lamp[/]", "name  [bold]"]


def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    show.listing([{"name": "lamp"}], {"name": "name"}, "lamps", as_json=True, more=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [{"name": "lamp"}]
    assert captured.err == "There are more lamps; --limit shows them.\n"


def test_an_empty_list_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    show.listing([], {"name": "name"}, "lamps", as_json=False)
    assert capsys.readouterr() == ("", "No lamps.\n")
    show.listing([], {"name": "name"}, "lamps", as_json=True)
    assert capsys.readouterr() == ("[]\n", "")


def test_what_does_not_fit_as_a_table_stands_below_each_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    columns = {key: key for key in ("template_name", "enabled", "rate", "not_after")}
    values = {
        "template_name": "a-template-of-lamps",
        "enabled": True,
        "rate": "100/1m",
        "not_after": "2026-01-31T12:00:00Z",
    }
    show.listing([values, values], columns, "claims", as_json=False)
    expected = ["template_name  a-template-of-lamps", "enabled        yes", "rate           100/1m"]
    assert lines(capsys) == [*expected, "not_after      2026-01-31 12:00:00"] * 2


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_loses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = "x" * 100
    show.listing([{"id": "AKIA0000", "label": text}], {"id": "id", "label": "label"}, "keys", as_json=False)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    assert out.count("x") == 100
    assert "AKIA0000" in out


def test_limits() -> None:
    assert show.limit(None, as_json=False) == 100
    assert show.limit(None, as_json=True) is None
    assert show.limit(5, as_json=True) == 5


def test_members_of_one_record_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    value: dict[str, Any] = {"thing_name": "lamp", "groups": ["a", "b"], "attributes": {"x": "1"}, "type": None}
    show.details(value, as_json=False)
    assert lines(capsys) == ["thing name  lamp", "groups      a", "            b", "attributes  x=1", "type        -"]
    show.details(value, as_json=True)
    assert json.loads(capsys.readouterr().out) == value
