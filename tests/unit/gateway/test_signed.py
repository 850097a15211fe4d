"""Whoever signed the URL of a WebSocket: let in, looked at again, and out when the key is switched off."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.server import REALM
from tests.unit.gateway.callers import Hall

from fleetgate.access import grounds
from fleetgate.errors import AccessDenied
from fleetgate.gateway.signed import AGAIN, LONGEST, SignedEntrance
from fleetgate.registry import access_keys
from fleetgate.registry.access_keys import Status
from fleetgate.wire.restjson.message import Request
from fleetgate.wire.restjson.sigv4 import SignatureRefused

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "secret"


def upgrade(service: str = "iotdevicegateway", secret: str = SECRET) -> Request:
    request = AWSRequest("GET", "https://host/mqtt", headers={"host": "host"})
    SigV4QueryAuth(Credentials(KEY, secret), service, REALM.region, expires=86_400).add_auth(request)
    parts = urlsplit(str(request.url))
    return Request("GET", parts.path, parts.query, {"host": "host"}, b"")


async def entrance(hall: Hall) -> SignedEntrance:
    """With an access key of the account."""
    sealed = hall.runtime.vault.seal(SECRET)
    act = hall.runtime.act(REALM, "system")
    await hall.runtime.write(lambda tx: access_keys.create(tx, act, KEY, label="", sealed_secret=sealed))
    return SignedEntrance(hall.runtime)


async def test_an_accounts_own_key(hall: Hall) -> None:
    door = await entrance(hall)
    now = hall.runtime.clock()
    principal = await door.identify(upgrade())
    assert (principal.realm, principal.key_id) == (REALM, KEY)
    assert (principal.ends_at, principal.refresh_at) == (now + LONGEST, now + AGAIN)
    rights = (await hall.runtime.database.read(lambda tx: grounds(tx, principal, "c", "127.0.0.1"))).rights()
    assert rights.decide("iot:Publish", REALM.arn("topic", "t"))
    assert not rights.decide("s3:GetObject", "arn:aws:s3:::b/o")
    for wrong in (upgrade("iot"), upgrade(secret="other")):
        with pytest.raises(SignatureRefused):
            await door.identify(wrong)


async def test_a_key_that_is_switched_off_ends_it(hall: Hall) -> None:
    door = await entrance(hall)
    principal = await door.identify(upgrade())
    hall.house.time[0] += AGAIN
    again = await door.refreshed(principal)
    assert again.ends_at == principal.ends_at, "looking again makes it no longer"
    act = hall.runtime.act(REALM, "system")
    await hall.runtime.write(lambda tx: access_keys.set_status(tx, act, KEY, Status.INACTIVE))
    with pytest.raises(AccessDenied):
        await door.refreshed(again)
