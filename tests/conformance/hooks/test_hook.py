"""The port `Hook`: one suite over both implementations. Whatever a handler does, there is an answer, and only a plain
yes allows.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from fleetgate.runtime import HookAnswer


class Asking(Protocol):
    async def __call__(self, source: str, *, client: str = ..., limit: int = ...) -> HookAnswer: ...

    async def many(self, source: str, clients: list[str]) -> list[HookAnswer]: ...


def returns(answer: str, before: str = "pass") -> str:
    return f"import os, sys, time\ndef lambda_handler(event, context):\n    {before}\n    return {answer}\n"


async def test_approves(ask: Asking) -> None:
    assert await ask(returns("{'allowProvisioning': True}")) == HookAnswer(allowed=True)


async def test_denies(ask: Asking) -> None:
    answer = await ask(returns("{'allowProvisioning': False, 'parameterOverrides': {'a': 'b'}}"))
    assert answer == HookAnswer(allowed=False, reason="the hook said allowProvisioning False")


async def test_overrides_parameters(ask: Asking) -> None:
    answer = await ask(returns("{'allowProvisioning': 'true', 'parameterOverrides': {'CertDate': 'März'}}"))
    assert answer == HookAnswer(allowed=True, parameter_overrides={"CertDate": "März"})


async def test_is_asked_with_awss_members(ask: Asking) -> None:
    echo = "{'allowProvisioning': True, 'parameterOverrides': {k: str(v) for k, v in event.items()}}"
    answer = await ask(returns(echo), client="bench-7")
    assert answer.parameter_overrides == {
        "claimCertificateId": "c" * 64,
        "certificateId": "d" * 64,
        "certificatePem": "-----BEGIN CERTIFICATE-----\n",
        "templateArn": "arn:aws:iot:us-east-1:123456789012:provisioningtemplate/fleet",
        "clientId": "bench-7",
        "parameters": "{'SerialNumber': 'bench-7'}",
    }


@pytest.mark.parametrize(
    "source",
    [
        returns("None"),
        returns("[]"),
        returns("'true'"),
        returns("{'allowProvisioning': 1}"),
        returns("{'allowProvisioning': True, 'parameterOverrides': {'CertDate': 20240229}}"),
        returns("{'allowProvisioning': True, 'parameterOverrides': 'CertDate'}"),
        returns("{'allowProvisioning': True, 'parameterOverrides': {'x': 'x' * 300_000}}"),
        returns("{'allowProvisioning': True, 'note': object()}"),
        returns("{'allowProvisioning': True}", before="raise ValueError('no such device')"),
        returns("{'allowProvisioning': True}", before="sys.exit(0)"),
        "this is no Python",
        "import module_that_does_not_exist\ndef lambda_handler(event, context): return {'allowProvisioning': True}",
        "def another_name(event, context): return {'allowProvisioning': True}",
    ],
)
async def test_fails_closed(ask: Asking, source: str) -> None:
    answer = await ask(source)
    assert not answer.allowed
    assert answer.reason
    assert not answer.parameter_overrides


async def test_is_given_no_longer_than_its_time(ask: Asking) -> None:
    answer = await ask(returns("{'allowProvisioning': True}", before="time.sleep(30)"), limit=300)
    assert not answer.allowed
    assert "300 ms" in answer.reason


async def test_fifty_at_once_get_their_own_answers(ask: Asking) -> None:
    clients = [f"device-{number}" for number in range(50)]
    odd = "int(event['clientId'].rpartition('-')[2]) % 2 == 1"
    answers = await ask.many(
        returns(f"{{'allowProvisioning': {odd}, 'parameterOverrides': {{'who': event['clientId']}}}}"), clients
    )
    assert [answer.allowed for answer in answers] == [number % 2 == 1 for number in range(50)]
    assert [answer.parameter_overrides["who"] for answer in answers if answer.allowed] == clients[1::2]


async def test_cancellation_comes_through(ask: Asking) -> None:
    asking = asyncio.ensure_future(ask(returns("{'allowProvisioning': True}", before="time.sleep(30)")))
    await asyncio.wait({asking}, timeout=0.3)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
