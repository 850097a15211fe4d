"""Provisioning by claim, the device's side: from a certificate that many share to one of its own, and then to the next.

    key kept -> connect with the claim -> certificate kept -> RegisterThing -> connect with the new certificate

Every arrow may break. A restart goes on where the last run stopped, with the same key, by which the server knows the
device again. Nothing here needs more than AWS IoT Core has.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fleetgate.agent import keys, requests, tls
from fleetgate.agent.backoff import Backoff, Surroundings, persist
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import Rejected, StoreUnusable
from fleetgate.agent.requests import Certified, Format, Operation
from fleetgate.agent.store import Identity, Step, Store
from fleetgate.agent.tls import Credentials, Endpoint
from fleetgate.pki.keys import KeyKind
from fleetgate.wire.mqtt.packets import V5, Connect, Publish

Dial = Callable[[Endpoint, ssl.SSLContext, Connect, float], Awaitable[Client]]

SURROUNDINGS: Final = Surroundings(random.random, time.monotonic, asyncio.sleep)
_KEEP_ALIVE: Final = 60


@dataclass(frozen=True, slots=True)
class Options:
    """What a device needs to know to be provisioned. Times are seconds."""

    endpoint: Endpoint
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """For the template: the serial number and whatever else it asks for."""
    client_id: str = ""
    """While it speaks with its claim; random where empty, because one that two devices share throws both out."""
    own_client_id: str = ""
    """With its own certificate; the thing's name where empty."""
    version: int = V5
    """`packets.V4` for MQTT 3.1.1, `packets.V5` for 5."""
    format: Format = "json"
    server_keys: bool = False
    """Let the server make the key pair: the key then crosses the network."""
    key_kind: KeyKind = KeyKind.EC_P256
    common_name: str = ""
    """Subject of the signing request; empty leaves it to the server."""
    confirm_topic: str = ""
    """Publish here with the new certificate before it counts as good; empty: connecting is enough."""
    confirm_payload: bytes = b"{}"
    connect_timeout: float = 10.0
    """For TCP and TLS, for the CONNACK, and for each acknowledgement."""
    answer_timeout: float = 20.0
    """For the answer to a request; a hook on the server's side may take five seconds of it."""
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long each step of the last attempt took; None for what an earlier run had done."""

    connect: float | None = None
    certificate: float | None = None
    provision: float | None = None
    reconnect: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A provisioned device."""

    thing_name: str | None
    """None where the template has no thing."""
    certificate_id: str
    device_configuration: Mapping[str, Any]
    seconds: Seconds
    attempts: int
    """0: it was provisioned already, and nothing was done."""


async def provision(
    options: Options,
    claim: Credentials,
    store: Store,
    around: Surroundings = SURROUNDINGS,
    dialler: Dial = dial,
) -> Result:
    """Turn *claim* into an identity of the device's own, or go on with what an earlier run began.

    Raises an `AgentFailed`: at once what repeating will not cure (Rejected with 400, 403, 404 and the like, a server
    that is not trusted, an unusable file), after `options.backoff.attempts` GaveUp.
    """
    if (known := already(store, options)) is not None:
        return known
    claimed = tls.present(tls.trust(options.endpoint), claim)
    return await Flow(options, store, claimed, tls.trust(options.endpoint), around, dialler).run()


def already(store: Store, options: Options) -> Result | None:
    """The device as an earlier run provisioned it. Raises StoreUnusable where that was another device."""
    known = store.current()
    if known is None:
        return None
    _check_same_device(known, options)
    return _result(known, Seconds(), 0)


def _check_same_device(known: Identity, options: Options) -> None:
    """Raises StoreUnusable where *known* was provisioned with other parameters: its key is another device's."""
    given = {name: value for name, value in options.parameters.items() if known.parameters.get(name, value) != value}
    if given:
        before = ", ".join(f"{name}={known.parameters[name]}" for name in given)
        wanted = ", ".join(f"{name}={value}" for name, value in given.items())
        owner = f"thing {known.thing_name}" if known.thing_name else f"certificate {known.certificate_id}"
        raise StoreUnusable(
            f"The folder holds another device's identity: {owner}, provisioned with {before}, not {wanted}. Name "
            "another folder for this device, or remove the folder if that device is gone."
        )


async def rotate(options: Options, store: Store, around: Surroundings = SURROUNDINGS, dialler: Dial = dial) -> Result:
    """A new key and certificate in place of those in force, which ask for them and are kept until the new ones have
    connected. They ask under the device's own client id, so its other connection is thrown out, unless
    `options.client_id` is another one that the policy allows.

    Parameters that `options` does not name are those that the device was provisioned with. Raises StoreUnusable where
    nothing is in force, and what `provision` raises.
    """
    if (known := store.current()) is None:
        raise StoreUnusable("There is no certificate to rotate. Provision the device first.")
    _check_same_device(known, options)
    options = replace(
        options,
        parameters={**known.parameters, **options.parameters},
        client_id=options.client_id or _own_client_id(options, known),
    )
    own = tls.present(tls.trust(options.endpoint), store.credentials(draft=False))
    return await Flow(options, store, own, tls.trust(options.endpoint), around, dialler).run()


class Flow:
    """One device on its way. *asking* shows the certificate that asks; *own* is loaded with the new one."""

    def __init__(
        self,
        options: Options,
        store: Store,
        asking: ssl.SSLContext,
        own: ssl.SSLContext,
        around: Surroundings = SURROUNDINGS,
        dialler: Dial = dial,
    ) -> None:
        self._options, self._store, self._asking, self._own = options, store, asking, own
        self._around, self._dial = around, dialler
        self._seconds = Seconds()
        form = options.format
        self._create = requests.create_keys(form) if options.server_keys else requests.create_from_csr(form)
        self._register = requests.register_thing(options.template, form)

    async def run(self) -> Result:
        """Raises as `provision` does."""
        identity, attempts = await persist(self._attempt, self._options.backoff, self._around)
        return _result(identity, self._seconds, attempts)

    async def _attempt(self, number: int) -> tuple[Identity, int]:
        identity = self._store.draft()
        _check_same_device(identity, self._options)
        if identity.step < Step.PROVISIONED:
            identity = await self._provisioned(self._with_key(identity))
        await self._confirm(identity)
        self._store.adopt()
        return identity, number

    def _with_key(self, identity: Identity) -> Identity:
        """With a key and its request, both kept before anybody is asked."""
        if self._options.server_keys:
            return identity
        if identity.private_key is None:
            self._around.say("Making a key.")
            identity = replace(identity, private_key=keys.make(self._options.key_kind))
        assert identity.private_key is not None
        if identity.request is None:
            identity = replace(identity, request=keys.signing_request(identity.private_key, self._options.common_name))
            self._store.keep(identity)
        return identity

    async def _provisioned(self, identity: Identity) -> Identity:
        """With a certificate that the template was applied to."""
        client_id = self._options.client_id or f"claim-{int(self._around.chance() * 2**52):013x}"
        async with self._connected(self._asking, client_id, "connect") as client:
            await client.subscribe(
                *self._create.answers, *self._register.answers, timeout=self._options.connect_timeout
            )
            if identity.step is Step.CERTIFIED:
                try:
                    return await self._registered(client, identity)
                except Rejected as rejected:
                    if rejected.status_code != 400:
                        raise
                # The token has expired, or the answer to an earlier request was lost and it is used.
                self._around.say("The kept certificate is not accepted any more; asking for another one.")
                identity = replace(identity, certificate=None, certificate_id=None, token=None)
                self._store.keep(identity)
            return await self._registered(client, await self._certified(client, identity))

    async def _certified(self, client: Client, identity: Identity) -> Identity:
        """With a certificate and its ownership token."""
        self._around.say("Asking for a certificate.")
        wish = {} if self._options.server_keys else {"certificateSigningRequest": identity.request}
        with self._timed("certificate"):
            members = await self._ask(client, self._create, wish)
        answer = requests.certified(self._create, members)
        identity = _with_answer(identity, answer)
        assert identity.private_key is not None
        keys.check_belongs(answer.certificate_pem, identity.private_key, self._create.name)
        self._store.keep(identity)
        return identity

    async def _registered(self, client: Client, identity: Identity) -> Identity:
        """With what the template made of it."""
        self._around.say(f"Asking to be provisioned by template {self._options.template}.")
        wish = {"certificateOwnershipToken": identity.token, "parameters": dict(self._options.parameters)}
        with self._timed("provision"):
            members = await self._ask(client, self._register, wish)
        answer = requests.registered(self._register, members)
        identity = replace(
            identity,
            token=None,
            registered=True,
            thing_name=answer.thing_name,
            device_configuration=answer.device_configuration,
            parameters=dict(self._options.parameters),
        )
        self._store.keep(identity)
        return identity

    async def _ask(self, client: Client, operation: Operation, wish: Mapping[str, Any]) -> Mapping[str, Any]:
        with client.expecting(*operation.answers) as answer:
            payload = operation.encode(wish)
            await client.publish(operation.topic, payload, timeout=self._options.connect_timeout)
            step = f"waiting for the answer to {operation.name}"
            message: Publish = await answer.within(self._options.answer_timeout, step)
        return operation.decode(message.topic, message.payload)

    async def _confirm(self, identity: Identity) -> None:
        """Connect with the new certificate: only what has worked is in force."""
        self._around.say("Connecting with the new certificate.")
        client_id = _own_client_id(self._options, identity)
        context = tls.present(self._own, self._store.credentials(draft=True))
        async with self._connected(context, client_id, "reconnect") as client:
            if topic := self._options.confirm_topic:
                payload = self._options.confirm_payload
                await client.publish(topic, payload, timeout=self._options.connect_timeout)

    @asynccontextmanager
    async def _connected(self, context: ssl.SSLContext, client_id: str, step: str) -> AsyncIterator[Client]:
        options = self._options
        connect = Connect(client_id, options.version, keep_alive=_KEEP_ALIVE)
        with self._timed(step):
            client = await self._dial(options.endpoint, context, connect, options.connect_timeout)
        try:
            yield client
        finally:
            await client.disconnect()

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begin = self._around.clock()
        yield
        self._seconds = replace(self._seconds, **{step: self._around.clock() - begin})


def _own_client_id(options: Options, identity: Identity) -> str:
    return options.own_client_id or identity.thing_name or identity.certificate_id or ""


def _with_answer(identity: Identity, answer: Certified) -> Identity:
    return replace(
        identity,
        private_key=answer.private_key or identity.private_key,
        certificate=answer.certificate_pem,
        certificate_id=answer.certificate_id,
        token=answer.token,
    )


def _result(identity: Identity, seconds: Seconds, attempts: int) -> Result:
    assert identity.certificate_id is not None
    return Result(identity.thing_name, identity.certificate_id, identity.device_configuration, seconds, attempts)
