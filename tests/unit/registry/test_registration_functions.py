from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import access_keys, authorities, functions, registration_functions
from fleetgate.registry.access_keys import Credentials
from fleetgate.registry.registration_functions import Binding

RED, BLUE = "a" * 64, "b" * 64
KEY, OTHER_KEY = Credentials("AKIA" + "A" * 16, "secret"), Credentials("AKIA" + "B" * 16, "secret")


@pytest.fixture(autouse=True)
def furnished(tx: Tx, act: Act) -> None:
    for name in ("greet", "check"):
        functions.put(tx, act, name, f"{name}.py", "lambda_handler")
    for fingerprint in (RED, BLUE):
        authorities.create(
            tx,
            act,
            fingerprint,
            "pem",
            subject=f"CN={fingerprint[0]}",
            public_key_fingerprint=fingerprint,
            not_before=0,
            not_after=act.now,
        )


def bind(tx: Tx, act: Act, name: str = "greet", ca: str | None = None, key: Credentials = KEY) -> Binding:
    return registration_functions.bind(tx, act, name, ca, key, "sealed")


def called(tx: Tx, realm: Realm, ca: str) -> list[str]:
    return [each.function_name for each in registration_functions.of_authority(tx, realm, ca)]


def test_a_function_is_called_for_every_ca_or_for_one(tx: Tx, act: Act, elsewhere: Realm) -> None:
    assert bind(tx, act) == Binding("greet", None, KEY.id, act.now)
    assert bind(tx, act, "check", RED, OTHER_KEY) == Binding("check", RED, OTHER_KEY.id, act.now)
    assert called(tx, act.realm, RED) == ["check", "greet"]
    assert called(tx, act.realm, BLUE) == ["greet"]
    assert called(tx, elsewhere, RED) == []


def test_a_function_has_one_key_for_all_its_bindings(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    first = bind(tx, act)
    again = bind(tx, later(), key=OTHER_KEY)
    assert again == first
    assert bind(tx, later(), ca=RED, key=OTHER_KEY).access_key_id == KEY.id
    kept = access_keys.find(tx, KEY.id)
    assert kept is not None
    assert (kept.label, kept.account, kept.sealed_secret) == ("function/greet", act.realm.account, "sealed")
    assert access_keys.find(tx, OTHER_KEY.id) is None
    assert called(tx, act.realm, RED) == ["greet"]  # once, however often it is bound


def test_the_key_goes_with_the_last_binding(tx: Tx, act: Act) -> None:
    bind(tx, act)
    bind(tx, act, ca=RED)
    registration_functions.unbind(tx, act, "greet", None)
    assert access_keys.find(tx, KEY.id) is not None
    assert called(tx, act.realm, BLUE) == []
    registration_functions.unbind(tx, act, "greet", RED)
    assert access_keys.find(tx, KEY.id) is None


def test_a_key_that_an_operator_deleted(tx: Tx, act: Act) -> None:
    bind(tx, act)
    access_keys.delete(tx, act, KEY.id)
    registration_functions.unbind(tx, act, "greet", None)
    assert registration_functions.of_function(tx, act.realm, "greet") == []


def test_a_function_is_forgotten_whole(tx: Tx, act: Act) -> None:
    bind(tx, act)
    bind(tx, act, ca=RED)
    bind(tx, act, "check", key=OTHER_KEY)
    registration_functions.forget(tx, act, "greet")
    registration_functions.forget(tx, act, "greet")
    assert called(tx, act.realm, RED) == ["check"]
    assert access_keys.find(tx, KEY.id) is None
    assert access_keys.find(tx, OTHER_KEY.id) is not None


def test_what_is_not_there(tx: Tx, act: Act) -> None:
    with pytest.raises(NotFound, match="No function"):
        bind(tx, act, "nobody")
    with pytest.raises(NotFound, match="CA certificate"):
        bind(tx, act, ca="c" * 64)
    with pytest.raises(NotFound, match="for certificates of every CA"):
        registration_functions.unbind(tx, act, "greet", None)
    with pytest.raises(NotFound, match=RED):
        registration_functions.unbind(tx, act, "greet", RED)
