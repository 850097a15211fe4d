from __future__ import annotations

from collections.abc import Callable

from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import attachments, audit, claim_batches, claims, everything, policies, templates, things
from fleetgate.registry.certificates import Certificate


def test_every_table_is_named(tx: Tx) -> None:
    known = {row["name"] for row in tx.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert known - {"schema_versions"} == set(everything.TABLES)


def test_records_that_refer_to_each_other_are_all_deleted(
    tx: Tx, act: Act, certified: Callable[..., Certificate]
) -> None:
    certificate = certified()
    things.create(tx, act, "lamp", attributes={"colour": "red"})
    attachments.attach_principal(tx, act, "lamp", certificate.fingerprint)
    policies.create(tx, act, "all", "{}")
    attachments.attach_policy(tx, act, "all", act.realm.arn("cert", certificate.fingerprint))
    templates.create(tx, act, "fleet", "{}", "role")
    claims.register(tx, act, certificate.fingerprint, template_name="fleet", serials=["1"])
    claim_batches.set_bounds(tx, act, "box", maximum=1, rate=None)
    claim_batches.add_serials(tx, act, "box", ["1"])
    audit.add(tx, act, "Try", "all", "ok")

    everything.empty(tx)

    counts = {table: tx.rows(f"SELECT count(*) AS number FROM {table}")[0]["number"] for table in everything.TABLES}
    assert set(counts.values()) == {0}
