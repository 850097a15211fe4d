from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import certificate_providers, tags

SIGN = "arn:aws:lambda:us-east-1:123456789012:function:sign"
TOKEN = "t" * 36


def test_one_for_each_realm(tx: Tx, act: Act, later: Callable[..., Act], elsewhere: Realm) -> None:
    made = certificate_providers.create(tx, act, "mine", SIGN)
    assert certificate_providers.find(tx, act.realm) == certificate_providers.get(tx, act.realm, "mine") == made
    with pytest.raises(AlreadyExists) as refused:
        certificate_providers.create(tx, later(), "mine", SIGN)
    assert refused.value.members["resourceArn"].endswith(":certificateprovider:mine")
    with pytest.raises(LimitExceeded, match="one certificate provider"):
        certificate_providers.create(tx, later(), "another", SIGN)
    certificate_providers.create(tx, later(of=elsewhere), "theirs", SIGN)
    assert certificate_providers.find(tx, act.realm) == made


def test_the_same_request_again(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    made = certificate_providers.create(tx, act, "mine", SIGN, TOKEN)
    assert certificate_providers.create(tx, later(), "mine", SIGN, TOKEN) == made
    for function, token in ((SIGN + "2", TOKEN), (SIGN, "u" * 36), (SIGN, None)):
        with pytest.raises(AlreadyExists):
            certificate_providers.create(tx, later(), "mine", function, token)


def test_update_and_delete(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    certificate_providers.create(tx, act, "mine", SIGN)
    arn = act.realm.arn("certificateprovider", "mine")
    tags.put(tx, act, arn, {"team": "pki"})
    assert certificate_providers.update(tx, later(), "mine").function_arn == SIGN
    changed = certificate_providers.update(tx, later(), "mine", SIGN + "2")
    assert changed == certificate_providers.get(tx, act.realm, "mine")
    assert (changed.function_arn, changed.updated_at) == (SIGN + "2", act.now + 1000)
    with pytest.raises(InvalidRequest, match="Not the ARN of a function"):
        certificate_providers.update(tx, later(), "mine", "sign")
    for change in (certificate_providers.update, certificate_providers.delete):
        with pytest.raises(NotFound):
            change(tx, later(), "another")
    certificate_providers.delete(tx, later(), "mine")
    assert certificate_providers.find(tx, act.realm) is None
    certificate_providers.create(tx, later(), "mine", SIGN)
    assert tags.of(tx, act.realm, arn) == {}


def test_names_are_checked(tx: Tx, act: Act) -> None:
    for name, function in (("a b", SIGN), ("mine", "sign")):
        with pytest.raises(InvalidRequest):
            certificate_providers.create(tx, act, name, function)
