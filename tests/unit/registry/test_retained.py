"""Retained messages: one for each topic of a realm."""

from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.names import Realm
from fleetgate.registry import retained
from fleetgate.registry.retained import Retained


def test_the_last_one_of_each_topic(tx: Tx, realm: Realm, elsewhere: Realm) -> None:
    retained.keep(tx, Retained(realm, "a", "MQ==", 1))
    retained.keep(tx, Retained(realm, "a", "Mg==", 2))
    retained.keep(tx, Retained(realm, "b", "MQ==", 3))
    retained.keep(tx, Retained(elsewhere, "a", "Mw==", 4))
    retained.drop(tx, realm, "b")
    retained.drop(tx, realm, "none")
    assert retained.stored(tx) == [Retained(realm, "a", "Mg==", 2), Retained(elsewhere, "a", "Mw==", 4)]
