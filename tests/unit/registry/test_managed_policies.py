from __future__ import annotations

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, DeleteConflict, InvalidRequest, LimitExceeded, NotFound
from fleetgate.names import Act
from fleetgate.policy.document import IAM, parse
from fleetgate.registry import managed_policies, permissions

ACCOUNT = "123456789012"


@pytest.mark.parametrize("arn", managed_policies.EVERYWHERE)
def test_policies_that_every_account_has(tx: Tx, act: Act, arn: str) -> None:
    policy = managed_policies.get(tx, ACCOUNT, arn)
    assert policy.arn == arn
    assert 16 <= len(policy.policy_id) <= 128
    assert parse(managed_policies.in_force(tx, ACCOUNT, arn).document, IAM).statements
    for change in (
        lambda: managed_policies.delete(tx, act, arn),
        lambda: managed_policies.create_version(tx, act, arn, "{}"),
        lambda: managed_policies.set_default(tx, act, arn, 1),
    ):
        with pytest.raises(InvalidRequest, match="nobody may change"):
            change()


def test_versions(tx: Tx, act: Act) -> None:
    arn = managed_policies.create(tx, act, "P", "1", path="/a/").arn
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/a/P"
    for number in range(2, 6):
        made = managed_policies.create_version(tx, act, arn, str(number), set_as_default=number == 3)
        assert (made.label, made.is_default) == (f"v{number}", number == 3)
    with pytest.raises(LimitExceeded):
        managed_policies.create_version(tx, act, arn, "6")
    assert managed_policies.in_force(tx, ACCOUNT, arn).document == "3"
    with pytest.raises(DeleteConflict, match="default"):
        managed_policies.delete_version(tx, act, arn, 3)
    managed_policies.delete_version(tx, act, arn, 5)
    assert managed_policies.create_version(tx, act, arn, "6").number == 6
    assert [each.number for each in managed_policies.versions(tx, ACCOUNT, arn)] == [6, 4, 3, 2, 1]
    with pytest.raises(NotFound):
        managed_policies.set_default(tx, act, arn, 5)
    with pytest.raises(DeleteConflict, match="more than one version"):
        managed_policies.delete(tx, act, arn)


def test_one_in_use_stays(tx: Tx, act: Act) -> None:
    arn = managed_policies.create(tx, act, "P", "1").arn
    with pytest.raises(AlreadyExists):
        managed_policies.create(tx, act, "p", "1")
    permissions.attach(tx, act, permissions.role("r"), arn)
    assert managed_policies.attachments(tx, ACCOUNT, arn) == ["role/r"]
    with pytest.raises(DeleteConflict, match="attached"):
        managed_policies.delete(tx, act, arn)
    permissions.detach(tx, act, permissions.role("r"), arn)
    assert managed_policies.arns(tx, ACCOUNT) == [arn]
    managed_policies.delete(tx, act, arn)
    assert managed_policies.arns(tx, ACCOUNT) == []
    assert tx.rows("SELECT * FROM managed_policy_versions") == []


@pytest.mark.parametrize("arn", ["P", f"arn:aws:iam::{ACCOUNT}:role/P", f"arn:aws:iam::{ACCOUNT}:policy/x/P"])
def test_arns_of_none(tx: Tx, act: Act, arn: str) -> None:
    managed_policies.create(tx, act, "P", "1")
    with pytest.raises(NotFound):
        managed_policies.get(tx, ACCOUNT, arn)
