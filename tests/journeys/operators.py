"""Operators of any account, with boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from tests.server import Live

from fleetgate.names import Realm
from fleetgate.registry import access_keys

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient


def operator(live: Live, realm: Realm) -> IoTClient:
    """A client with a new access key of the account."""
    runtime = live.server.runtime
    made = access_keys.generate(runtime.entropy)
    act, sealed = runtime.act(realm, "system"), runtime.vault.seal(made.secret)
    live.run(runtime.write(lambda tx: access_keys.create(tx, act, made.id, label="test", sealed_secret=sealed)))
    return boto3.client(
        "iot",
        endpoint_url=live.api_url,
        region_name=realm.region,
        aws_access_key_id=made.id,
        aws_secret_access_key=made.secret,
    )
