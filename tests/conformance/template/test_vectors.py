"""The provisioning template grammar by example; what the vectors hold is told in tests/vectors/template/README.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetgate.errors import InvalidParameters, InvalidRequest
from fleetgate.template.document import Kind, parse
from fleetgate.template.render import render

VECTORS = Path(__file__).parents[2] / "vectors" / "template"
ID = "ab" + "0" * 62


def cases(name: str) -> list[Any]:
    text = (VECTORS / name).read_text().replace("${ID}", ID)
    return [pytest.param(case, id=f"{name}: {case['title']}") for case in json.loads(text)]


def told(refused: Any) -> list[str]:
    """The problems of an error, one a line; a single one stands without its dash."""
    return [line.removeprefix("- ") for line in refused.value.message.strip().splitlines()]


@pytest.mark.parametrize(
    "case", [*cases("fleet.json"), *cases("jitp.json"), *cases("registration.json"), *cases("refused.json")]
)
def test_template(case: dict[str, Any]) -> None:
    template = case["template"]
    body = template if isinstance(template, str) else json.dumps(template)
    if "refused" in case:
        with pytest.raises(InvalidRequest) as refused:
            parse(body, Kind(case["kind"]))
        assert told(refused) == case["refused"]
        return
    document = parse(body, Kind(case["kind"]))
    if "problems" in case:
        with pytest.raises(InvalidParameters) as refused:
            render(document, case["parameters"], case["builtins"])
        assert told(refused) == case["problems"]
    else:
        assert render(document, case["parameters"], case["builtins"]).describe() == case["plan"]


@pytest.mark.parametrize("case", cases("functions.json"))
def test_function(case: dict[str, Any]) -> None:
    body = json.dumps(
        {
            "Parameters": {
                "Sent": {"Type": "String"},
                "Site": {"Type": "String"},
                "Rest": {"Type": "String", "Default": "rl"},
                "Kept": {"Type": "String", "Default": "1"},
                "Braces": {"Type": "String", "Default": "${Sent}"},
            },
            "Mappings": {
                "Sites": {
                    "north": {"url": "https://north.example", "hosts": ["h1", "h2"]},
                    "south": {"url": "https://south.example"},
                }
            },
            "Resources": {"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "t-1"}}},
            "DeviceConfiguration": {"value": case["value"]},
        }
    )
    if "refused" in case:
        with pytest.raises(InvalidRequest) as refused:
            parse(body, Kind.FLEET_PROVISIONING)
        assert told(refused) == case["refused"]
        return
    document = parse(body, Kind.FLEET_PROVISIONING)
    if "problems" in case:
        with pytest.raises(InvalidParameters) as refused:
            render(document, {"Sent": "a,b,c", "Site": "north"}, {})
        assert told(refused) == case["problems"]
    else:
        assert render(document, {"Sent": "a,b,c", "Site": "north"}, {}).device_configuration == {"value": case["gives"]}
