"""Authorizers: CreateAuthorizer ... ClearDefaultAuthorizer, and TestInvokeAuthorizer."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import FunctionFailed, InvalidRequest, InvalidResponse, NotFound, all_of
from fleetgate.names import Act, Realm
from fleetgate.provisioning import custom_authentication
from fleetgate.provisioning.custom_authentication import CustomAuthentication, InvalidAnswer, Presented
from fleetgate.registry import authorizers
from fleetgate.registry.authorizers import Authorizer, Status
from fleetgate.runtime import Runtime

_AUTHORIZERS: Final = Listing("authorizers")
_FUNCTION: Final = re.compile(r"arn:aws[\w-]*:lambda:([a-z0-9-]+):([0-9]{12}):function:[a-zA-Z0-9_-]{1,64}(:[\w$-]+)?")
_MOST_KEYS: Final = 10


def create_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    """INACTIVE unless said otherwise. Its function need not be bound yet."""
    name, function = params["authorizerName"], params["authorizerFunctionArn"]
    signing_disabled: bool = params.get("signingDisabled", False)
    key_name, keys = params.get("tokenKeyName"), params.get("tokenSigningPublicKeys") or {}
    problems = [*_function_problems(act.realm, function), *_key_problems(keys)]
    if not signing_disabled and (key_name is None or not keys):
        problems.append("Tokens are signed: give tokenKeyName and tokenSigningPublicKeys, or set signingDisabled.")
    if signing_disabled and keys:
        problems.append("signingDisabled goes with no tokenSigningPublicKeys.")
    if problems:
        raise InvalidRequest(all_of(problems))
    made = authorizers.create(
        tx,
        act,
        name,
        function,
        token_key_name=key_name,
        token_keys=keys,
        status=Status(params.get("status", Status.INACTIVE)),
        signing_disabled=signing_disabled,
        cached_for_http=params.get("enableCachingForHttp", False),
    )
    tags.put_given(tx, act, act.realm.arn("authorizer", name), params)
    return _summary(act, made)


def describe_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    return {"authorizerDescription": _description(act, authorizers.get(tx, act.realm, params["authorizerName"]))}


def update_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    """What is left out stays as it is; the keys that are given replace all there are."""
    present = authorizers.get(tx, act.realm, params["authorizerName"])
    changed = replace(
        present,
        function_arn=params.get("authorizerFunctionArn", present.function_arn),
        token_key_name=params.get("tokenKeyName", present.token_key_name),
        token_keys=params.get("tokenSigningPublicKeys", present.token_keys),
        status=Status(params.get("status", present.status)),
        cached_for_http=params.get("enableCachingForHttp", present.cached_for_http),
    )
    problems = [*_function_problems(act.realm, changed.function_arn), *_key_problems(changed.token_keys)]
    if present.signing_disabled and changed.token_keys:
        problems.append("Signing is disabled for this authorizer, which cannot be changed; it has no use for keys.")
    if not present.signing_disabled and not changed.token_keys:
        problems.append("Tokens are signed: leave at least one key in tokenSigningPublicKeys.")
    if problems:
        raise InvalidRequest(all_of(problems))
    return _summary(act, authorizers.update(tx, act, changed))


def delete_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    authorizers.delete(tx, act, params["authorizerName"])
    return {}


def list_authorizers(tx: Tx, act: Act, params: Params) -> Result:
    """Newest first unless ascendingOrder."""
    status = params.get("status")
    page = authorizers.page(
        tx,
        act.realm,
        *_AUTHORIZERS.opened(params),
        ascending=params.get("ascendingOrder", False),
        status=None if status is None else Status(status),
    )
    found = [_summary(act, each) for each in page.items]
    return {"authorizers": found, "nextMarker": _AUTHORIZERS.token(page, params)}


def _function_problems(realm: Realm, arn: str) -> Iterator[str]:
    parts = _FUNCTION.fullmatch(arn)
    if parts is None or (parts[1], parts[2]) != (realm.region, realm.account):
        yield (
            f"authorizerFunctionArn is {arn[:200]!r}, not the ARN of a function of this account and region: "
            f"arn:aws:lambda:{realm.region}:{realm.account}:function:NAME."
        )


def _key_problems(keys: Mapping[str, str]) -> Iterator[str]:
    if len(keys) > _MOST_KEYS:
        yield f"tokenSigningPublicKeys has {len(keys)} keys; at most {_MOST_KEYS} are allowed."
    for name, pem in keys.items():
        try:
            custom_authentication.token_key(pem)
        except InvalidRequest as error:
            yield f"tokenSigningPublicKeys[{name}]: {error.message}."


def _summary(act: Act, authorizer: Authorizer) -> Result:
    return {"authorizerName": authorizer.name, "authorizerArn": act.realm.arn("authorizer", authorizer.name)}


def _description(act: Act, authorizer: Authorizer) -> Result:
    return {
        **_summary(act, authorizer),
        "authorizerFunctionArn": authorizer.function_arn,
        **({} if authorizer.token_key_name is None else {"tokenKeyName": authorizer.token_key_name}),
        **({"tokenSigningPublicKeys": dict(authorizer.token_keys)} if authorizer.token_keys else {}),
        "status": authorizer.status,
        "creationDate": authorizer.created_at,
        "lastModifiedDate": authorizer.updated_at,
        "signingDisabled": authorizer.signing_disabled,
        "enableCachingForHttp": authorizer.cached_for_http,
    }


# --- the default one --------------------------------------------------------------------------------------------------


def set_default_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    name = params["authorizerName"]
    authorizers.set_default(tx, act, name)
    return _summary(act, authorizers.get(tx, act.realm, name))


def clear_default_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    authorizers.clear_default(tx, act)
    return {}


def describe_default_authorizer(tx: Tx, act: Act, params: Params) -> Result:
    found = authorizers.find_default(tx, act.realm)
    if found is None:
        raise NotFound("There is no default authorizer in this account and region.")
    return {"authorizerDescription": _description(act, found)}


# --- TestInvokeAuthorizer ---------------------------------------------------------------------------------------------


async def test_invoke_authorizer(runtime: Runtime, act: Act, params: Params) -> Result:
    """Also of an INACTIVE one, so that it can be tried before it decides. Signatures are checked as at the door."""
    found = await runtime.database.glance(lambda tx: authorizers.get(tx, act.realm, params["authorizerName"]))
    presented = _presented(params)
    if not found.signing_disabled:
        _check_signature(found, params)
    try:
        permit = await CustomAuthentication(runtime).permit(act, found, presented)
    except (FunctionFailed, InvalidAnswer) as error:
        raise InvalidResponse(error.message) from error
    if permit is None:
        return {"isAuthenticated": False}
    return {
        "isAuthenticated": True,
        "principalId": permit.principal_id,
        "policyDocuments": list(permit.documents),
        "refreshAfterInSeconds": permit.refresh_after,
        "disconnectAfterInSeconds": permit.disconnect_after,
    }


def _check_signature(authorizer: Authorizer, params: Params) -> None:
    token, signature = params.get("token"), params.get("tokenSignature")
    if token is None or signature is None:
        raise InvalidRequest(f"Authorizer {authorizer.name} asks for a signed token: give token and tokenSignature.")
    if not custom_authentication.is_signed(authorizer, token, signature):
        raise InvalidRequest(f"The tokenSignature over the token is none by a key of authorizer {authorizer.name}.")


def _presented(params: Params) -> Presented:
    """What a connection with these contexts would bring."""
    data: dict[str, Any] = {}
    if "tlsContext" in params:
        data["tls"] = dict(params["tlsContext"])
    if "httpContext" in params:
        http = params["httpContext"]
        data["http"] = {"headers": dict(http.get("headers", {})), "queryString": http.get("queryString", "")}
    if "mqttContext" in params:
        mqtt = dict(params["mqttContext"])
        if "password" in mqtt:
            mqtt["password"] = base64.b64encode(mqtt["password"]).decode()
        data["mqtt"] = mqtt
    return Presented(None, params.get("tokenSignature"), {}, tuple(data), data, params.get("token"))
