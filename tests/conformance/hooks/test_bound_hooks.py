"""From a template's `targetArn` to whoever is asked."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fleetgate.config import FunctionConfig, HooksConfig
from fleetgate.errors import InvalidRequest
from fleetgate.names import Realm
from fleetgate.provisioning.bound_hooks import BoundHooks
from fleetgate.provisioning.functions import function_name
from fleetgate.runtime import HookRequest

REALM = Realm("123456789012", "us-east-1")
OTHER = Realm("210987654321", "us-east-1")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
SAYS_WHO = (
    "import os\n"
    "NAME = os.environ['AWS_LAMBDA_FUNCTION_NAME'] + os.environ.get('TABLE', '')\n"
    "def lambda_handler(e, c):\n"
    "    return {'allowProvisioning': True, 'parameterOverrides': {'who': NAME, 'arn': c.invoked_function_arn,"
    " 'host': str(os.getppid())}}\n"
    "def deny(e, c): return {'allowProvisioning': False}\n"
)

Bind = Callable[..., BoundHooks]


@pytest.fixture
async def bind() -> AsyncIterator[Bind]:
    made: list[BoundHooks] = []

    def make(**functions: FunctionConfig) -> BoundHooks:
        made.append(BoundHooks(HooksConfig(functions=functions), os.urandom))
        return made[-1]

    yield make
    for hooks in made:
        await hooks.close()


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    file = tmp_path / "handler.py"
    file.write_text(SAYS_WHO)
    return file


async def ask(hooks: BoundHooks, question: HookRequest, name: str, function: str | None = None, **where: Realm) -> Any:
    hook = hooks.find(where.get("realm", REALM), ARN + name, function)
    assert hook is not None
    return await hook.decide(question)


async def test_nothing_bound(bind: Bind) -> None:
    assert bind().find(REALM, ARN + "ask", None) is None


async def test_a_configured_file(bind: Bind, handler: Path, question: HookRequest) -> None:
    hooks = bind(
        ask=FunctionConfig(file=handler, environment={"TABLE": "+devices"}), no=FunctionConfig(handler, "deny")
    )
    assert (await ask(hooks, question, "ask")).parameter_overrides["who"] == "ask+devices"
    assert (await ask(hooks, question, "ask:live")).parameter_overrides["arn"] == ARN + "ask"
    assert not (await ask(hooks, question, "no")).allowed


async def test_a_configured_address(bind: Bind, server: Any, question: HookRequest) -> None:
    server.source = SAYS_WHO.replace("os.environ", "{'AWS_LAMBDA_FUNCTION_NAME': 'remote'}").replace(
        "c.invoked_function_arn", "''"
    )
    hooks = bind(ask=FunctionConfig(url=server.url, ca_file=server.ca_file))
    assert (await ask(hooks, question, "ask")).parameter_overrides["who"] == "remote"


async def test_the_registrys_binding_goes_first(bind: Bind, handler: Path, question: HookRequest) -> None:
    hooks = bind(ask=FunctionConfig(url="https://127.0.0.1:1/"))
    assert (await ask(hooks, question, "ask", f"{handler}:lambda_handler")).allowed
    assert not (await ask(hooks, question, "ask", f"{handler}:deny")).allowed
    assert (await ask(hooks, question, "ask", f"{handler}:lambda_handler")).allowed


async def test_a_process_is_kept_per_binding_and_realm(bind: Bind, handler: Path, question: HookRequest) -> None:
    hooks = bind(ask=FunctionConfig(file=handler))
    here = [(await ask(hooks, question, "ask")).parameter_overrides for _ in range(2)]
    there = (await ask(hooks, question, "ask", realm=OTHER)).parameter_overrides
    assert here[0]["host"] == here[1]["host"] != there["host"]
    assert OTHER.account in there["arn"]


async def test_an_unusable_address_is_told_before_anybody_asks(bind: Bind) -> None:
    with pytest.raises(InvalidRequest, match="must begin with https://"):
        bind(ask=FunctionConfig(url="http://hooks.example/"))


@pytest.mark.parametrize("arn", [f"{ARN}ask", f"{ARN}ask:live", f"{ARN}ask:$LATEST", "ask"])
def test_the_name_in_an_arn(arn: str) -> None:
    assert function_name(arn) == "ask"
