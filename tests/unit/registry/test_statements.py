from __future__ import annotations

import pytest

from fleetgate.database.port import Conflict, Tx
from fleetgate.registry import statements

CODE = {"realm": "123456789012/us-east-1", "code": "c", "created_at": 1}


def test_insert_refuses_a_taken_key(tx: Tx) -> None:
    statements.insert(tx, "registration_codes", **CODE)
    with pytest.raises(Conflict):
        statements.insert(tx, "registration_codes", **CODE)


def test_insert_new_says_whether_the_key_was_free(tx: Tx) -> None:
    assert statements.insert_new(tx, "registration_codes", **CODE)
    assert not statements.insert_new(tx, "registration_codes", **CODE | {"code": "d"})
    assert tx.rows("SELECT code FROM registration_codes")[0]["code"] == "c"


def test_insert_new_still_refuses_what_refers_to_nothing(tx: Tx) -> None:
    with pytest.raises(Conflict):
        statements.insert_new(
            tx, "thing_attributes", realm="123456789012/us-east-1", thing_name="no", name="a", value="b"
        )
