"""A device that renews its certificate when the server asks (a rotation campaign's announcement).

It stays connected under its own name and subscribes to one topic. An announcement names the certificate that is to be
replaced: one that the device has replaced already is none of its business.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

from fleetgate.agent import tls
from fleetgate.agent.backoff import Surroundings, persist
from fleetgate.agent.client import Client, dial
from fleetgate.agent.errors import StoreUnusable
from fleetgate.agent.provision import SURROUNDINGS, Dial, Options, Result, rotate
from fleetgate.agent.store import Identity, Store
from fleetgate.wire.mqtt.packets import Connect

TOPIC: Final = "$fleetgate/rotation/{thing}/notify"
_KEEP_ALIVE: Final = 60


async def attend(
    options: Options,
    store: Store,
    around: Surroundings = SURROUNDINGS,
    dialler: Dial = dial,
    topic: str = TOPIC,
) -> AsyncIterator[Result]:
    """Wait to be asked, renew, and wait again; each renewal as it is done.

    Ends only by an `AgentFailed`: what repeating does not cure, or GaveUp after `options.backoff.attempts` in a row.
    """
    while True:

        async def asked(number: int) -> None:
            await _asked(options, store, dialler, topic, around)

        await persist(asked, options.backoff, around)
        known = _in_force(store)
        parameters = {**known.parameters, **options.parameters}
        yield await rotate(replace(options, parameters=parameters), store, around, dialler)


def _in_force(store: Store) -> Identity:
    if (known := store.current()) is None:
        raise StoreUnusable("There is no certificate to rotate. Provision the device first.")
    return known


async def _asked(options: Options, store: Store, dialler: Dial, topic: str, around: Surroundings) -> None:
    """Returns when an announcement for the certificate in force has come."""
    known = _in_force(store)
    name = known.thing_name or ""
    context = tls.present(tls.trust(options.endpoint), store.credentials(draft=False))
    connect = Connect(options.own_client_id or name, options.version, keep_alive=_KEEP_ALIVE)
    client: Client = await dialler(options.endpoint, context, connect, options.connect_timeout)
    try:
        await client.subscribe(topic.replace("{thing}", name), timeout=options.connect_timeout)
        around.say(f"Waiting to be asked on {topic.replace('{thing}', name)}.")
        async for message in client.messages():
            if _names(message.payload, known):
                return
    finally:
        await client.disconnect()


def _names(payload: bytes, known: Identity) -> bool:
    """Whether the announcement is about the certificate in force; one that names none is about whichever is."""
    try:
        asked: Any = json.loads(payload) if payload else None
    except ValueError:
        return False
    return isinstance(asked, dict) and asked.get("certificateId", known.certificate_id) == known.certificate_id
