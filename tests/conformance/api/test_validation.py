"""The service model's bounds, each broken alone, for every operation that is served: 400, and the message names it.

boto3 checks required members, types and minima before it sends; maxima, patterns and enums are the server's to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from tests.conformance.api.conftest import Account

from fleetgate.api.table import OPERATIONS

# Fits every pattern of a name, an id, an ARN or a version in the model.
_WORDS = ("1", "a", "a" * 20, "12" * 6, "f" * 64)


def plain(shape: Any) -> Any:
    """A value of *shape* that keeps every bound; required members only."""
    if isinstance(shape, StructureShape):
        return {name: plain(shape.members[name]) for name in shape.required_members}
    if isinstance(shape, ListShape):
        return [plain(shape.member)]
    if isinstance(shape, MapShape):
        return {plain(shape.key): plain(shape.value)}
    if shape.type_name == "string":
        return text(shape)
    return {"boolean": True, "integer": 1, "long": 1, "timestamp": 0}[shape.type_name]


def text(shape: Any) -> str:
    if shape.enum:
        return str(shape.enum[0])
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    return next(word for word in _WORDS if least <= len(word) <= most)


def _fits(pattern: str, text: str) -> bool:
    """Whether *text* keeps *pattern*, which is Java's; where Python cannot read it, no text of these does."""
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return False


def broken(shape: Any) -> Iterator[Any]:
    """Values beyond one bound each that boto3 lets pass."""
    bounds = shape.metadata
    if isinstance(shape, StringShape):
        if shape.enum:
            yield "BOGUS"
        if "max" in bounds:
            yield text(shape).ljust(bounds["max"] + 1, "a")
        if "pattern" in bounds and r"\s\S" not in bounds["pattern"]:
            in_header = shape.serialization.get("location") == "header"
            texts = [
                f"a{stranger}b".ljust(bounds.get("min", 0), "c") for stranger in (" " if in_header else "\u0007 ^")
            ]
            yield from [each for each in texts if not _fits(bounds["pattern"], each)][:1]
    elif shape.type_name in {"integer", "long"} and "max" in bounds:
        yield bounds["max"] + 1
    elif isinstance(shape, ListShape):
        yield from ([plain(shape.member)] * (bounds["max"] + 1) for _ in "x" if "max" in bounds)
        yield from ([value] for value in broken(shape.member))
    elif isinstance(shape, MapShape):
        yield from ({key: plain(shape.value)} for key in broken(shape.key))
        yield from ({plain(shape.key): value} for value in broken(shape.value))
    elif isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield from ({**plain(shape), name: value} for value in broken(member))


def offences(shape: Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    assert isinstance(shape, StructureShape)
    for name, member in shape.members.items():
        for value in broken(member):
            yield name, {**plain(shape), name: value}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_bound_is_kept(account: Account, operation: str) -> None:
    iot = account.client()
    shape = iot.meta.service_model.operation_model(operation).input_shape
    for member, params in offences(shape) if shape else ():
        with pytest.raises(iot.exceptions.InvalidRequestException) as caught:
            getattr(iot, xform_name(operation))(**params)
        message = caught.value.response["Error"]["Message"]
        assert member in message, (params, message)


def test_offences_are_found() -> None:
    """The test above is worth nothing where it has nothing to send."""
    import boto3

    model = boto3.client("iot", "us-east-1").meta.service_model
    shapes = {name: model.operation_model(name).input_shape for name in OPERATIONS}
    found = {name: list(offences(shape)) for name, shape in shapes.items() if shape}
    assert sum(map(len, found.values())) > 250
    assert {"maxResults", "nextToken", "attributeName"} - {member for member, _ in found["ListThings"]} == {"nextToken"}


def test_what_boto3_would_have_kept_back(account: Account) -> None:
    """Minima and required members, from a client that checks nothing."""
    iot = account.client(parameter_validation=False)
    assert isinstance(iot.meta.config, Config)
    refused = iot.exceptions.InvalidRequestException
    with pytest.raises(refused, match="maxResults"):
        iot.list_things(maxResults=0)
    with pytest.raises(refused, match=r"(?s)templateName is required.*templateBody is required.*provisioningRoleArn"):
        iot.create_provisioning_template()
    with pytest.raises(refused, match="templateName"):
        iot.create_provisioning_template(templateName=7, templateBody="{}", provisioningRoleArn="r" * 20)
