"""How an operation is answered: the seven kinds of handler, and what is done around each.

    Known    from the configuration alone                     fn(runtime, act, params) -> result
    Glance   from a few rows by key                           fn(tx, act, params) -> result
    Read     from many rows, off the event loop               fn(tx, act, params) -> result
    Survey   the same, with what the runtime has              fn(runtime, act, params) -> fn(tx) -> result
    Inquiry  by asking somebody, with nothing changed         fn(runtime, act, params) -> awaitable of result
    Write    in one transaction with its audit entry          fn(tx, act, params) -> result
    Flow     something first (keys, signatures), then that    fn(runtime, act, params) -> awaitable of fn(tx) -> result
    Personal a Write that minds who asks                      fn(runtime, asking, act, params) -> fn(tx) -> result

*params* and results are plain dicts in the service model's names (`wire.restjson.codec`); *params* fit the model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.operators import Operator
from fleetgate.policy.variables import Values
from fleetgate.registry import audit
from fleetgate.runtime import Runtime

Params: TypeAlias = Mapping[str, Any]
Result: TypeAlias = dict[str, Any]
Target: TypeAlias = Callable[[Act, Params, Result], str]
"""What an audit entry is about: an ARN."""


class Handler(Protocol):
    @property
    def answer(self) -> Callable[..., Any]:
        """The function."""

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        """The result of *operation*, which is its name in the service model. Raises FleetgateError."""


@dataclass(frozen=True, slots=True)
class Known:
    answer: Callable[[Runtime, Act, Params], Result]

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        return self.answer(runtime, act, params)


@dataclass(frozen=True, slots=True)
class Glance:
    answer: Callable[[Tx, Act, Params], Result]

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        return await runtime.database.glance(lambda tx: self.answer(tx, act, params))


@dataclass(frozen=True, slots=True)
class Read:
    answer: Callable[[Tx, Act, Params], Result]

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        return await runtime.database.read(lambda tx: self.answer(tx, act, params))


@dataclass(frozen=True, slots=True)
class Survey:
    answer: Callable[[Runtime, Act, Params], Callable[[Tx], Result]]

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        return await runtime.database.read(self.answer(runtime, act, params))


@dataclass(frozen=True, slots=True)
class Inquiry:
    answer: Callable[[Runtime, Act, Params], Awaitable[Result]]

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        return await self.answer(runtime, act, params)


@dataclass(frozen=True, slots=True)
class Write:
    answer: Callable[[Tx, Act, Params], Result]
    target: Target
    noted: tuple[str, ...] = ()
    """Parameters that the audit entry shows; never a secret."""

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        def work(tx: Tx) -> Result:
            result = self.answer(tx, act, params)
            _note(tx, act, operation, self, params, result)
            return result

        return await runtime.write(work)


@dataclass(frozen=True, slots=True)
class Flow:
    answer: Callable[[Runtime, Act, Params], Awaitable[Callable[[Tx], Result]]]
    target: Target
    noted: tuple[str, ...] = ()

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        settle = await self.answer(runtime, act, params)

        def work(tx: Tx) -> Result:
            result = settle(tx)
            _note(tx, act, operation, self, params, result)
            return result

        return await runtime.write(work)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, with the condition keys of the request."""

    operator: Operator
    context: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class Personal:
    answer: Callable[[Runtime, Asking, Act, Params], Callable[[Tx], Result]]
    target: Target | None = None
    """None where nothing is written: then there is no audit entry."""
    noted: tuple[str, ...] = ()
    asking: Asking | None = None

    def asked_by(self, asking: Asking) -> Personal:
        return replace(self, asking=asking)

    async def run(self, runtime: Runtime, act: Act, operation: str, params: Params) -> Result:
        assert self.asking is not None, "asked_by was not called"
        settle = self.answer(runtime, self.asking, act, params)
        if self.target is None:
            return await runtime.database.glance(settle)

        def work(tx: Tx) -> Result:
            result = settle(tx)
            _note(tx, act, operation, self, params, result)
            return result

        return await runtime.write(work)


def _note(tx: Tx, act: Act, operation: str, handler: Write | Flow | Personal, params: Params, result: Result) -> None:
    assert handler.target is not None
    details = {name: params[name] for name in handler.noted if name in params}
    audit.add(tx, act, operation, handler.target(act, params, result), "ok", details=details)


# --- targets ----------------------------------------------------------------------------------------------------------


def named(kind: str, parameter: str) -> Target:
    """The ARN of the *kind* whose name is in *parameter*."""
    return lambda act, params, result: act.realm.arn(kind, params[parameter])


def given(parameter: str) -> Target:
    """The ARN that is in *parameter*."""
    return lambda act, params, result: str(params[parameter])


def made(member: str) -> Target:
    """The ARN that the result has as *member*."""
    return lambda act, params, result: str(result[member])
