"""Custom authentication (AWS: custom authorizers): a function of the account's decides who a connection is.

    present    what a CONNECT or a request brings with it: user name, password, headers, token, signature
    choose     which authorizer it is for, in which account and region
    ask        check the token's signature, call the function, judge its answer

Fails closed: whoever is not let in by an answer that is whole is refused. Nothing that was presented stands in an
error, in the log or in the audit trail.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fleetgate.errors import AccessDenied, FunctionFailed, InvalidRequest, MalformedPolicy, all_of
from fleetgate.names import Act, Realm
from fleetgate.pki.keys import PublicKey, as_public_key, verifies
from fleetgate.policy.document import parse
from fleetgate.policy.evaluate import Named
from fleetgate.registry.authorizers import Authorizer
from fleetgate.runtime import Runtime

NAME: Final = "x-amz-customauthorizer-name"
SIGNATURE: Final = "x-amz-customauthorizer-signature"
MILLISECONDS: Final = 5_000
"""What AWS gives the function."""
MOST_AT_ONCE: Final = 256
"""Connections that wait for one authorizer's function; more are refused."""
LONGEST_STAY: Final = 86_400
"""Seconds, and what is taken where the function names none."""
MOST_POLICIES: Final = 10
_LEAST_RSA_BITS: Final = 2048
_PRINCIPAL: Final = re.compile(r"[a-zA-Z0-9]{1,128}")


@dataclass(frozen=True, slots=True)
class Presented:
    """What was brought along; secrets, so never shown."""

    authorizer: str | None
    signature: str | None = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)
    """Where the token stands, under the authorizer's token key name; of headers in small letters."""
    protocols: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)
    """The function's `protocolData`."""
    token: str | None = field(default=None, repr=False)
    """Where it is known without the authorizer's token key name (TestInvokeAuthorizer)."""

    def token_for(self, authorizer: Authorizer) -> str | None:
        if self.token is not None or authorizer.token_key_name is None:
            return self.token
        name = authorizer.token_key_name
        return self.parameters.get(name, self.parameters.get(name.lower()))


@dataclass(frozen=True, slots=True)
class Permit:
    """What a function answered that lets somebody in."""

    principal_id: str
    documents: tuple[str, ...]
    policies: tuple[Named, ...]
    disconnect_after: int
    """Seconds."""
    refresh_after: int


# --- present ----------------------------------------------------------------------------------------------------------


def names_authorizer(username: str | None) -> bool:
    """Whether an MQTT user name asks for an authorizer; on the path of every connect."""
    return username is not None and NAME in username


def names_authorizer_over_http(headers: Mapping[str, str], query: str) -> bool:
    """Whether a request asks for an authorizer, or brings a token's signature for the default one."""
    return NAME in headers or SIGNATURE in headers or NAME in query or SIGNATURE in query


def of_mqtt(username: str | None, password: bytes | None, client_id: str, server_name: str | None) -> Presented:
    """Of a CONNECT. The user name goes to the function whole, with its query."""
    mqtt: dict[str, str] = {}
    if username is not None:
        mqtt["username"] = username
    if password is not None:
        mqtt["password"] = base64.b64encode(password).decode()
    if client_id:
        mqtt["clientId"] = client_id
    parameters = _query((username or "").partition("?")[2])
    return _presented(parameters, ("tls", "mqtt"), {"tls": _tls(server_name), "mqtt": mqtt})


def of_http(headers: Mapping[str, str], query: str, server_name: str | None) -> Presented:
    """Of a request; *headers* in small letters win over the *query*, which comes without its question mark."""
    http = {"headers": dict(headers), "queryString": f"?{query}" if query else ""}
    data = {"tls": _tls(server_name), "http": http}
    return _presented({**_query(query), **headers}, ("tls", "http"), data)


def with_mqtt(presented: Presented, connect: Presented) -> Presented:
    """A WebSocket's request and the CONNECT that came over it: what the CONNECT names wins."""
    return Presented(
        connect.authorizer or presented.authorizer,
        connect.signature or presented.signature,
        {**presented.parameters, **connect.parameters},
        ("tls", "http", "mqtt"),
        {**presented.data, "mqtt": connect.data["mqtt"]},
    )


def _presented(parameters: Mapping[str, str], protocols: tuple[str, ...], data: Mapping[str, Any]) -> Presented:
    return Presented(parameters.get(NAME), parameters.get(SIGNATURE), parameters, protocols, data)


def _tls(server_name: str | None) -> dict[str, str]:
    return {} if server_name is None else {"serverName": server_name}


def _query(text: str) -> dict[str, str]:
    """Of a name that comes twice the first counts. A plus sign is one: base64 has them, and SDKs leave them alone.
    Older SDKs put their metrics behind a second question mark.
    """
    found: dict[str, str] = {}
    for pair in re.split("[&?]", text):
        name, _, value = pair.partition("=")
        found.setdefault(unquote(name), unquote(value))
    return found


# --- signatures -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def token_key(pem: str) -> PublicKey:
    """A token signing public key: RSA of 2048 bits or more, or elliptic curve. Raises InvalidRequest."""
    try:
        key = as_public_key(load_pem_public_key(pem.encode()), InvalidRequest)
    except (ValueError, UnsupportedAlgorithm, TypeError) as error:
        raise InvalidRequest("it is no public key in PEM (-----BEGIN PUBLIC KEY-----)") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        raise InvalidRequest(f"it is an RSA key of {key.key_size} bits; at least {_LEAST_RSA_BITS} are needed")
    return key


def is_signed(authorizer: Authorizer, token: str, signature: str) -> bool:
    """Whether one of the authorizer's keys signed *token*: base64 of RSA (PKCS#1 v1.5) or ECDSA over SHA-256."""
    try:
        raw = base64.b64decode(signature.replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError):
        return False
    over = hashes.SHA256()
    for key in map(token_key, authorizer.token_keys.values()):
        how = padding.PKCS1v15() if isinstance(key, rsa.RSAPublicKey) else ec.ECDSA(over)
        if verifies(key, raw, token.encode("utf-8", "surrogatepass"), how, over):
            return True
    return False


# --- ask --------------------------------------------------------------------------------------------------------------


class CustomAuthentication:
    """Shared by all doors of a server."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: Counter[tuple[Realm, str]] = Counter()

    async def ask(self, act: Act, authorizer: Authorizer, presented: Presented) -> Permit:
        """Raises AccessDenied for who is not let in, with a reason for the audit trail."""
        try:
            permit = await self.permit(act, authorizer, presented)
        except FunctionFailed as error:
            raise AccessDenied(f"The function of authorizer {authorizer.name} failed: {error.message}") from error
        if permit is None:
            raise AccessDenied(f"The function of authorizer {authorizer.name} did not authenticate the client.")
        return permit

    async def permit(self, act: Act, authorizer: Authorizer, presented: Presented) -> Permit | None:
        """None: isAuthenticated is false. Raises AccessDenied, InvalidAnswer, FunctionFailed."""
        key = (act.realm, authorizer.name)
        question = _question(act, authorizer, presented)
        if self._waiting[key] >= MOST_AT_ONCE:
            raise AccessDenied(
                f"More than {MOST_AT_ONCE} connections wait for authorizer {authorizer.name}: its function is too slow."
            )
        self._waiting[key] += 1
        try:
            answer = await self._runtime.functions.invoke(act, authorizer.function_arn, question, MILLISECONDS)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        return read(answer, authorizer.name)


def _question(act: Act, authorizer: Authorizer, presented: Presented) -> dict[str, Any]:
    """AWS's event. Raises AccessDenied where the token is not signed as the authorizer asks; the function is not called
    then.
    """
    token, signature = presented.token_for(authorizer), presented.signature
    if not authorizer.signing_disabled:
        if token is None or signature is None:
            raise AccessDenied(
                f"Authorizer {authorizer.name} asks for a signed token: {authorizer.token_key_name} and {SIGNATURE}."
            )
        if not is_signed(authorizer, token, signature):
            raise AccessDenied(f"The token's signature is none by a key of authorizer {authorizer.name}.")
    return {
        **({} if token is None else {"token": token}),
        "signatureVerified": not authorizer.signing_disabled,
        "protocols": list(presented.protocols),
        "protocolData": dict(presented.data),
        "connectionMetadata": {"id": act.request_id},
    }


def read(answer: Any, name: str) -> Permit | None:
    """What a function's *answer* (a JSON value) permits; None where it says isAuthenticated false. *name* is the
    authorizer's. Raises InvalidAnswer with every problem.
    """
    if not isinstance(answer, Mapping):
        raise InvalidAnswer(name, ["it is no object"])
    if answer.get("isAuthenticated") is False:
        return None
    problems: list[str] = []
    if answer.get("isAuthenticated") is not True:
        problems.append("isAuthenticated is neither true nor false")
    principal = answer.get("principalId")
    if not isinstance(principal, str) or not _PRINCIPAL.fullmatch(principal):
        problems.append("principalId is not 1 to 128 letters and digits")
    documents = _documents(answer.get("policyDocuments"), problems)
    policies = tuple(_policies(documents, name, problems))
    stay = _seconds(answer, "disconnectAfterInSeconds", problems)
    refresh = _seconds(answer, "refreshAfterInSeconds", problems)
    if problems:
        raise InvalidAnswer(name, problems)
    return Permit(str(principal), documents, policies, stay, refresh)


class InvalidAnswer(AccessDenied):
    """A function's answer cannot be used. At the door nobody is let in by it."""

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        super().__init__(f"The answer of authorizer {name}'s function cannot be used: {all_of(problems)}")


def _documents(given: Any, problems: list[str]) -> tuple[str, ...]:
    """As texts; published functions answer with objects as well."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_POLICIES:
        problems.append(f"policyDocuments is no list of 1 to {MOST_POLICIES} policies")
        return ()
    return tuple(each if isinstance(each, str) else json.dumps(each) for each in given)


def _policies(documents: Sequence[str], name: str, problems: list[str]) -> Iterator[Named]:
    for number, document in enumerate(documents):
        try:
            yield Named(f"{name}/policyDocuments[{number}]", "1", parse(document))
        except MalformedPolicy as error:
            problems.append(f"policyDocuments[{number}]: {error.message}")


def _seconds(answer: Mapping[str, Any], name: str, problems: list[str]) -> int:
    given = answer.get(name, LONGEST_STAY)
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= LONGEST_STAY:
        problems.append(f"{name} is no number of seconds from 1 to {LONGEST_STAY}")
        return LONGEST_STAY
    return given
