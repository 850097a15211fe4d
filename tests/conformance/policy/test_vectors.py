"""The policy language, judged by the vectors in tests/vectors/policy.

A vector holds policies and cases. A case asks for an action on a resource, `as` somebody: the arguments of
`variables.connection` (and a `caller`, for trust policies). It expects `allow`, `explicit` or `implicit`, may say
which statement decides (`p0[1]`: the second of the first policy) and must say which variables or keys are missing, if
any are.
In malformed.json a document is refused, and the message must hold each of `problems`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetgate import errors
from fleetgate.policy.document import IAM, IOT, TRUST, parse
from fleetgate.policy.evaluate import Allowed, Named, Request, Rights, Verdict, decide, decide_all
from fleetgate.policy.principals import Caller
from fleetgate.policy.variables import Certificate, Context, Thing, connection

FOLDER = Path(__file__).parents[2] / "vectors" / "policy"
GRAMMARS = {"iot": IOT, "iam": IAM, "trust": TRUST}


def vectors(name: str) -> list[Any]:
    found: list[Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["vectors"]
    return found


def cases() -> list[Any]:
    return [
        pytest.param(vector, case, id=f"{path.stem}: {vector['rule']} #{number}")
        for path in sorted(FOLDER.glob("*.json"))
        if path.stem != "malformed"
        for vector in vectors(path.name)
        for number, case in enumerate(vector["cases"])
    ]


def context(given: dict[str, Any]) -> Context:
    known = {name: value for name, value in given.items() if name not in {"caller", "thing", "certificate"}}
    thing = Thing(**given["thing"]) if "thing" in given else None
    certificate = Certificate(**given["certificate"]) if "certificate" in given else None
    return connection(thing=thing, certificate=certificate, **known)


def caller(given: dict[str, Any]) -> Caller | None:
    if "caller" not in given:
        return None
    return Caller(given["caller"]["kind"], tuple(given["caller"]["names"]), given["caller"].get("account"))


def said(verdict: Verdict) -> str:
    return "allow" if isinstance(verdict, Allowed) else verdict.reason.value


@pytest.mark.parametrize(("vector", "case"), cases())
def test_decision(vector: Any, case: Any) -> None:
    grammar = GRAMMARS[vector["grammar"]]
    policies = [
        Named(f"p{number}", "1", parse(json.dumps(document), grammar))
        for number, document in enumerate(vector["policies"])
    ]
    given = case.get("as", {})
    request = Request(case["action"], case["resource"], context(given), caller(given))
    verdict = decide(policies, request)
    assert said(verdict) == case["expect"], verdict.explain()
    assert bool(verdict) is (case["expect"] == "allow")
    assert (() if isinstance(verdict, Allowed) else verdict.missing) == tuple(case.get("missing", ()))
    if "by" in case:
        assert verdict.statement is not None
        assert f"{verdict.statement.policy}[{verdict.statement.index}]" == case["by"]

    kept = Rights(policies, request.context, request.caller)
    assert kept.decide(request.action, request.resource) == verdict
    assert kept.decide(request.action, request.resource) == verdict

    findings = decide_all(policies, request)
    assert findings.verdict == verdict
    assert bool(findings.denies) is (case["expect"] == "explicit")
    assert bool(findings.allows) or case["expect"] != "allow"
    assert set(case.get("missing", ())) <= set(findings.missing)


@pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["rule"]) for vector in vectors("malformed.json")])
def test_refusal(vector: Any) -> None:
    text = vector["text"] if "text" in vector else json.dumps(vector["document"])
    with pytest.raises(errors.MalformedPolicy) as raised:
        parse(text, GRAMMARS[vector["grammar"]])
    for problem in vector["problems"]:
        assert problem in raised.value.message
    if len(vector["problems"]) > 1:
        assert raised.value.message.count("\n- ") == len(vector["problems"])
    else:
        assert "\n" not in raised.value.message
