"""The services that answer at the operators' door, each with its model, its protocol and its table of operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fleetgate.api import identities, security_tokens, table
from fleetgate.api.handling import Handler, Params
from fleetgate.wire.query import codec as query
from fleetgate.wire.query import form
from fleetgate.wire.restjson import codec, model
from fleetgate.wire.restjson.message import Request, Response
from fleetgate.wire.restjson.model import Model, Operation
from fleetgate.wire.restjson.sigv4 import Form


@dataclass(frozen=True, slots=True)
class Service:
    """Made of what botocore calls the service; its model is read at the first use."""

    name: str
    operations: Mapping[str, Handler]
    forms: frozenset[Form] = frozenset({"header"})
    """Where a request may carry its signature."""
    region: str | None = None
    """Of a service that is the same in every region: where its records are."""

    @property
    def model(self) -> Model:
        return _model(self.name)

    def match(self, request: Request) -> tuple[Operation, Callable[[], Params]]:
        """The operation that *request* asks for, and what decodes its parameters, which raises Malformed.

        Raises NoSuchOperation, and Malformed for a form that names no operation.
        """
        known = self.model
        if known.protocol == "query":
            fields = form.read(request)
            operation = known.operation(query.action(fields))
            return operation, lambda: query.decode(operation, known.version, fields)
        operation, labels = known.match(request.method, request.raw_path)
        return operation, lambda: codec.decode(operation, labels, request)

    def encode(self, operation: Operation, result: Mapping[str, Any], request_id: str) -> Response:
        """Raises Unencodable."""
        if self.model.protocol == "query":
            return query.encode(operation, self.model.namespace, result, request_id)
        return codec.encode(operation, result, request_id)


@cache
def _model(name: str) -> Model:
    return model.load(name)


IOT: Final = Service("iot", table.OPERATIONS)

SERVICES: Final[Mapping[str, Service]] = {
    "iot": IOT,
    "iam": Service("iam", identities.OPERATIONS, region="us-east-1"),
    "sts": Service("sts", security_tokens.OPERATIONS, frozenset({"header", "query"})),
}
"""By the service in a signature's scope."""
