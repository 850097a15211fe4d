from __future__ import annotations

from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys, function_keys, functions
from fleetgate.registry.access_keys import Credentials

KEY, OTHER_KEY = Credentials("AKIA" + "A" * 16, "secret"), Credentials("AKIA" + "B" * 16, "secret")


def test_a_function_keeps_its_first_key(tx: Tx, act: Act, elsewhere: Realm) -> None:
    assert function_keys.find(tx, act.realm, "greet") is None
    kept = function_keys.keep(tx, act, "greet", KEY, "sealed")
    assert (kept.id, kept.label, kept.account) == (KEY.id, "function/greet", act.realm.account)
    assert function_keys.keep(tx, act, "greet", OTHER_KEY, "sealed") == kept
    assert function_keys.find(tx, act.realm, "greet") == kept
    assert function_keys.find(tx, elsewhere, "greet") is None
    assert access_keys.find(tx, OTHER_KEY.id) is None


def test_a_key_that_an_operator_deleted_makes_room_for_another(tx: Tx, act: Act) -> None:
    function_keys.keep(tx, act, "greet", KEY, "sealed")
    access_keys.delete(tx, act, KEY.id)
    assert function_keys.find(tx, act.realm, "greet") is None
    assert function_keys.keep(tx, act, "greet", OTHER_KEY, "sealed").id == OTHER_KEY.id


def test_the_key_goes_with_its_function(tx: Tx, act: Act) -> None:
    for name, key in (("greet", KEY), ("check", OTHER_KEY)):
        functions.put(tx, act, name, "file.py", "lambda_handler")
        function_keys.keep(tx, act, name, key, "sealed")
    functions.delete(tx, act, "greet")
    function_keys.forget(tx, act, "greet")  # nothing is there any more
    assert access_keys.find(tx, KEY.id) is None
    assert access_keys.find(tx, OTHER_KEY.id) is not None
