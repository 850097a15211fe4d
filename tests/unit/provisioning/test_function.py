"""What a function's process is started with (tests/conformance/hooks starts it)."""

from __future__ import annotations

import sys
from pathlib import Path

from fleetgate.names import Realm
from fleetgate.provisioning import function
from fleetgate.provisioning.function import FunctionSpec

SPEC = FunctionSpec("ask", Realm("123456789012", "eu-west-1"), Path("hooks/ask.py"), environment={"TABLE": "devices"})


def test_the_arn_is_lambdas() -> None:
    assert SPEC.arn == "arn:aws:lambda:eu-west-1:123456789012:function:ask"


def test_nothing_of_the_servers_environment() -> None:
    assert function._environment(SPEC) == {
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_NAME": "ask",
        "TABLE": "devices",
    }


def test_the_configuration_may_overrule() -> None:
    spec = FunctionSpec("ask", SPEC.realm, SPEC.file, environment={"AWS_REGION": "us-east-1"})
    assert function._environment(spec)["AWS_REGION"] == "us-east-1"


def test_the_interpreter_is_isolated() -> None:
    command = function._command(SPEC, 7)
    assert command[:2] == [sys.executable, "-I"]
    assert command[-4:] == [str(SPEC.file.resolve()), "lambda_handler", "ask", SPEC.arn]
