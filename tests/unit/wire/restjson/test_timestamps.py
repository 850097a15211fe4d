import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetgate.wire.restjson import timestamps

MOMENT = 1_548_716_921_289


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (0, 0),
        (1548716921, 1_548_716_921_000),
        (1548716921.289, MOMENT),
        ("1548716921.289", MOMENT),
        ("1548716921", 1_548_716_921_000),
        ("2019-01-28T23:08:41.289Z", MOMENT),
        ("2019-01-28T23:08:41.289", MOMENT),
        ("2019-01-29T01:08:41.289+02:00", MOMENT),
        ("20190128", 1_548_633_600_000),
        ("Mon, 28 Jan 2019 23:08:41 GMT", 1_548_716_921_000),
        (-1.5, -1500),
        ("9999-12-31T23:59:59.999-14:00", 253_402_300_799_999),
    ],
)
def test_parse(value: float | str, milliseconds: int) -> None:
    assert timestamps.parse(value) == milliseconds


@pytest.mark.parametrize(
    "value",
    ["", "now", ".", "1.2.3", "9" * 41, "٣٤٥", "2019-13-01", 1e300, -1e300, 10**40, float("nan"), 253_402_300_800],
)
def test_parse_refuses(value: float | str) -> None:
    with pytest.raises(ValueError):
        timestamps.parse(value)


def test_write() -> None:
    assert timestamps.write(MOMENT, "unixTimestamp") == 1548716921.289
    assert timestamps.write(1_548_716_921_000, "unixTimestamp") == 1548716921
    assert timestamps.write(MOMENT, "iso8601") == "2019-01-28T23:08:41.289Z"
    assert timestamps.write(MOMENT, "rfc822") == "Mon, 28 Jan 2019 23:08:41 GMT"


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999), st.sampled_from(["unixTimestamp", "iso8601"]))
def test_what_is_written_reads_the_same(milliseconds: int, time_format: str) -> None:
    assert timestamps.parse(timestamps.write(milliseconds, time_format)) == milliseconds


@given(st.text(max_size=50) | st.floats() | st.integers())
def test_parse_gives_a_time_or_value_error(value: float | str) -> None:
    try:
        milliseconds = timestamps.parse(value)
    except ValueError:
        return
    assert timestamps.parse(timestamps.write(milliseconds, "iso8601")) == milliseconds
