"""Functions by ARN or name: what a rule, an authorizer or a registration calls where AWS calls AWS Lambda.

Behind a name stands a handler file bound in the registry (`fleetgate function bind`), else a file or an address of the
configuration (`hooks.functions`). A handler file has in its environment the address of this server's API and an access
key of its own, so that published handlers, which talk to AWS by boto3, talk to this server.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fleetgate.config import FunctionConfig, HooksConfig
from fleetgate.database.port import Database, Tx
from fleetgate.errors import FunctionTimedOut, FunctionUnavailable
from fleetgate.names import Act, Realm
from fleetgate.pki.seal import Vault
from fleetgate.provisioning.function import FunctionSpec
from fleetgate.provisioning.function_pool import FunctionPool
from fleetgate.provisioning.hooks import HttpsHook
from fleetgate.registry import access_keys, audit, function_keys, functions
from fleetgate.registry.access_keys import AccessKey
from fleetgate.runtime import Entropy

LONGEST: Final = 30_000
"""Milliseconds that a call may take at most."""
_UNBOUND: Final = FunctionConfig()


class BoundFunctions:
    """The port `Functions`. `invoke` is called on one event loop; `close` ends every process."""

    def __init__(self, config: HooksConfig, database: Database, vault: Vault, entropy: Entropy) -> None:
        """Raises InvalidRequest for a configured address or CA file that cannot be used."""
        self.api_url = ""
        """Where handlers reach this server's API; empty while it has no doors."""
        self._config, self._database, self._vault, self._entropy = config, database, vault, entropy
        self._pool = FunctionPool()
        self._addresses = {
            name: HttpsHook(one.url, one.ca_file, LONGEST, config.concurrency)
            for name, one in config.functions.items()
            if one.url is not None
        }

    async def invoke(self, act: Act, target_arn: str, payload: Any, time_limit: int = LONGEST) -> Any:
        name = function_name(target_arn)
        try:
            async with asyncio.timeout(time_limit / 1000):
                return await self._invoke(act, name, payload)
        except TimeoutError:
            raise FunctionTimedOut(f"{name} did not answer within {time_limit} ms and was ended") from None

    async def close(self) -> None:
        await self._pool.close()

    async def _invoke(self, act: Act, name: str, payload: Any) -> Any:
        bound, key = await self._database.glance(lambda tx: _look(tx, act.realm, name))
        spec = self._spec(act.realm, name, bound)
        if spec is None:
            if (address := self._addresses.get(name)) is not None:
                return await address.invoke(payload, act.request_id)
            raise FunctionUnavailable(
                f"No function {name} is bound in {act.realm}. Bind one: fleetgate function bind {name} FILE"
            )
        own = replace(spec, environment=await self._own(act, name, key) | dict(spec.environment))
        return await self._pool.get(own).invoke(payload, act.request_id)

    def _spec(self, realm: Realm, name: str, bound: functions.Function | None) -> FunctionSpec | None:
        file = None if bound is None else f"{bound.file}:{bound.handler}"
        return specified(self._config, realm, name, file, LONGEST)

    async def _own(self, act: Act, name: str, key: AccessKey | None) -> dict[str, str]:
        """What a function has in its environment here; its access key is made where it has none."""
        if key is None:
            made = access_keys.generate(self._entropy)
            sealed = self._vault.seal(made.secret)

            def keep(tx: Tx) -> AccessKey:
                kept = function_keys.keep(tx, act, name, made, sealed)
                audit.add(tx, act, "CreateFunctionKey", arn(act.realm, name), "ok", details={"accessKeyId": kept.id})
                return kept

            key = await self._database.write(keep)
        if key.status != access_keys.Status.ACTIVE:
            raise FunctionUnavailable(
                f"{name}: its access key {key.id} is switched off. Switch it on, or delete it: the next call makes "
                "another one"
            )
        return {
            "AWS_ENDPOINT_URL": self.api_url,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": self._vault.open_sealed(key.sealed_secret),
        }


def specified(config: HooksConfig, realm: Realm, name: str, bound: str | None, time_limit: int) -> FunctionSpec | None:
    """The handler file behind a function's *name*; *bound* is the registry's, as `FILE:HANDLER`. None: there is no
    file. A configured environment goes to either kind.
    """
    configured = config.functions.get(name, _UNBOUND)
    if bound is not None:
        file, _, handler = bound.rpartition(":")
    elif configured.file is not None:
        file, handler = str(configured.file), configured.handler
    else:
        return None
    return FunctionSpec(name, realm, Path(file), handler, configured.environment, time_limit, config.concurrency)


def function_name(arn: str) -> str:
    """The function's name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`; a bare name is one as well."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else parts[-1]


def arn(realm: Realm, name: str) -> str:
    return f"arn:aws:lambda:{realm.region}:{realm.account}:function:{name}"


def _look(tx: Tx, realm: Realm, name: str) -> tuple[functions.Function | None, AccessKey | None]:
    return functions.find(tx, realm, name), function_keys.find(tx, realm, name)
