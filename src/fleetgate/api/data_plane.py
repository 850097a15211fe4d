"""The service `iot-data`: messages and live connections, through the broker that a server has. No shadows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fleetgate.api import connections, messages
from fleetgate.api.handling import Params, Result, Target, named
from fleetgate.api.services import Service
from fleetgate.broker import Broker
from fleetgate.names import Act
from fleetgate.registry import audit
from fleetgate.runtime import Runtime

Answer: TypeAlias = Callable[[Broker, Act, Params], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Live:
    """Answered by the live connections; with a target, what was done is in the audit trail."""

    broker: Broker
    answer: Callable[..., Any]
    target: Target | None = None
    noted: tuple[str, ...] = ()

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        result: Result = await self.answer(self.broker, act, params)
        if self.target is not None:
            target = self.target(act, params, result)
            details = {name: params[name] for name in self.noted if name in params}
            await runtime.write(lambda tx: audit.add(tx, act, operation, target, "ok", details=details))
        return result


SCOPES: Final = ("iotdata", "iotdevicegateway")
"""What clients sign for: SDKs the first, AWS's documentation and its device SDKs the second."""

ANSWERS: Final[Mapping[str, tuple[Answer, Target | None, tuple[str, ...]]]] = {
    "Publish": (messages.publish, None, ()),
    "SendDirectMessage": (messages.send_direct_message, None, ()),
    "GetRetainedMessage": (messages.get_retained_message, None, ()),
    "ListRetainedMessages": (messages.list_retained_messages, None, ()),
    "GetConnection": (connections.get_connection, None, ()),
    "ListSubscriptions": (connections.list_subscriptions, None, ()),
    "DeleteConnection": (
        connections.delete_connection,
        named("client", "clientId"),
        ("cleanSession", "preventWillMessage"),
    ),
}


def services(broker: Broker) -> dict[str, Service]:
    """By the name in a signature's scope."""
    operations = {name: Live(broker, answer, *about) for name, (answer, *about) in ANSWERS.items()}  # type: ignore[arg-type] # mypy loses the types of the starred rest
    return dict.fromkeys(SCOPES, Service("iot-data", operations))
