"""What the schema promises: every record hangs on a realm, every reference is indexed, no hot query scans a table."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleetgate.database.migrate import SCHEMA
from fleetgate.database.port import Row, Tx
from fleetgate.errors import NotFound
from fleetgate.names import Act, Realm
from fleetgate.registry import (
    access_keys,
    attachments,
    audit,
    authorities,
    authorizers,
    billing_groups,
    campaigns,
    certificate_providers,
    certificates,
    claim_batches,
    claims,
    connectivity,
    domains,
    dynamic_groups,
    event_configurations,
    function_keys,
    functions,
    issuances,
    managed_policies,
    outbox,
    permissions,
    policies,
    registration_functions,
    role_aliases,
    roles,
    search,
    tags,
    tasks,
    templates,
    temporary_credentials,
    thing_groups,
    thing_types,
    things,
    tokens,
    topic_rules,
    transfers,
    users,
)
from fleetgate.registry.certificates import Certificate, Status
from fleetgate.registry.connectivity import Change, Connectivity
from fleetgate.registry.topic_rules import Definition
from fleetgate.search.query import parse

INSTALLATION_WIDE = {
    "nodes": "a process serves all realms",
    "revocations": "a list is a CA's, which signs for all realms",
    "revocation_lists": "a list is a CA's, which signs for all realms",
    "access_keys": "a signed request names its key before any realm is known",
    "temporary_credentials": "the same",
    "users": "an account's, in every region",
    "roles": "an account's, in every region",
    "inline_policies": "an account's, in every region",
    "managed_policies": "an account's, in every region",
    "managed_policy_versions": "an account's, in every region",
    "managed_policy_attachments": "an account's, in every region",
    "outbox": "the events of all realms are handed out together",
    "audit_entries": "one chain of hashes runs through all realms",
    "schema_versions": "the database has one schema",
}
SCRIPT = "\n".join(file.read_text() for file in sorted(SCHEMA.iterdir(), key=lambda file: file.name))


def tables(tx: Tx) -> list[str]:
    rows = tx.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
    return [row["name"] for row in rows]


def key_of(tx: Tx, table: str) -> list[str]:
    columns = [row for row in tx.rows(f"PRAGMA table_info({table})") if row["pk"]]
    return [row["name"] for row in sorted(columns, key=lambda row: int(row["pk"]))]


def indexes_of(tx: Tx, table: str) -> list[list[str]]:
    """The columns of each index, the primary key's included."""
    return [
        [row["name"] for row in tx.rows(f"PRAGMA index_info({index['name']})")]
        for index in tx.rows(f"PRAGMA index_list({table})")
    ]


def test_every_table_hangs_on_a_realm_or_says_why_not(tx: Tx) -> None:
    found = {table for table in tables(tx) if key_of(tx, table)[0] != "realm"}
    assert found == set(INSTALLATION_WIDE)


def test_columns_are_text_or_bigint(tx: Tx) -> None:
    for table in tables(tx):
        for column in tx.rows(f"PRAGMA table_info({table})"):
            assert column["type"] in {"TEXT", "BIGINT"}, f"{table}.{column['name']}"


def test_every_foreign_key_is_indexed_on_both_sides(tx: Tx) -> None:
    checked = 0
    for table in tables(tx):
        keys: dict[int, list[Row]] = {}
        for row in tx.rows(f"PRAGMA foreign_key_list({table})"):
            keys.setdefault(row["id"], []).append(row)
        for parts in keys.values():
            columns = [row["from"] for row in parts]
            assert any(set(index[: len(columns)]) == set(columns) for index in indexes_of(tx, table)), (
                f"{table}{columns}"
            )
            assert [row["to"] for row in parts] == key_of(tx, parts[0]["table"])
            checked += 1
    assert checked > 10


def test_no_index_is_the_beginning_of_another_in_vain(tx: Tx) -> None:
    for table in tables(tx):
        for index in tx.rows(f"PRAGMA index_list({table})"):
            columns = [row["name"] for row in tx.rows(f"PRAGMA index_info({index['name']})")]
            longer = [each for each in indexes_of(tx, table) if len(each) > len(columns)]
            alone = not index["unique"] and not index["partial"]
            assert not (alone and any(each[: len(columns)] == columns for each in longer)), index["name"]


def test_a_comment_stands_above_every_table() -> None:
    assert len(re.findall(r"^CREATE TABLE", SCRIPT, re.MULTILINE)) == len(
        re.findall(r"^-- .*\nCREATE TABLE", SCRIPT, re.MULTILINE)
    )


def test_the_schema_uses_what_both_engines_have() -> None:
    for word in ("AUTOINCREMENT", "SERIAL", "JSON(", "WITHOUT ROWID", "STRICT", "DEFAULT", "BLOB", "BOOLEAN"):
        assert not re.search(rf"\b{re.escape(word)}", re.sub("--.*", "", SCRIPT)), word


# --- query plans ------------------------------------------------------------------------------------------------------


class Watch:
    """A `Tx` that asks for the plan of each statement, and keeps those that go through a whole table or realm."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._tables = set(tables(tx))
        self.asked = 0
        self.slow: list[str] = []

    def rows(self, sql: str, /, **values: Any) -> list[Row]:
        self._explain(sql, values)
        return self._tx.rows(sql, **values)

    def run(self, sql: str, /, **values: Any) -> int:
        self._explain(sql, values)
        return self._tx.run(sql, **values)

    def _explain(self, sql: str, values: dict[str, Any]) -> None:
        self.asked += 1
        aliases = dict(re.findall(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", sql))
        named = {name for pair in aliases.items() for name in pair if pair[0] in self._tables}
        for row in self._tx.rows(f"EXPLAIN QUERY PLAN {sql}", **values):
            scanned = re.match(r"SCAN (\w+)", row["detail"])
            if scanned and scanned[1] in named and "USING" not in row["detail"]:
                self.slow.append(f"{row['detail']}: {' '.join(sql.split())}")
            if scanned and scanned[1] in named and "LIMIT" not in sql and "count" not in sql:
                self.slow.append(f"{row['detail']}: {' '.join(sql.split())}")
            if re.search(r"^SEARCH (?!registration_codes|certificate_providers).*\(realm=\?\)", row["detail"]):
                self.slow.append(f"{row['detail']}: {' '.join(sql.split())}")
            if "TEMP B-TREE FOR ORDER BY" in row["detail"] and "LIMIT" in sql:
                self.slow.append(f"{row['detail']}: {' '.join(sql.split())}")


E, F, G = "e" * 64, "f" * 64, "9" * 64
TASK = "task"
MANAGED = "arn:aws:iam::123456789012:policy/m"
DEEP = "attributes.room:x*"
HOT: dict[str, Callable[[Tx, Realm, Act], object]] = {
    "thing": lambda tx, realm, act: things.find(tx, realm, "one"),
    "things": lambda tx, realm, act: things.page(tx, realm, "a"),
    "things of a type": lambda tx, realm, act: things.page(tx, realm, "a", type_name="lamp"),
    "things by attribute": lambda tx, realm, act: things.page(tx, realm, "a", attribute="room", value="x"),
    "things by prefix": lambda tx, realm, act: things.page(tx, realm, "x a", attribute="room", value="x", prefix=True),
    "create thing": lambda tx, realm, act: things.create(tx, act, "new", attributes={"room": "x"}),
    "update thing": lambda tx, realm, act: things.update(tx, act, "one", attributes={"room": "y"}),
    "delete thing": lambda tx, realm, act: things.delete(tx, act, "one"),
    "delete thing type": lambda tx, realm, act: thing_types.delete(tx, act, "old"),
    "thing types": lambda tx, realm, act: thing_types.page(tx, realm, "a"),
    "thing groups": lambda tx, realm, act: thing_groups.page(tx, realm, "a", prefix="g"),
    "root groups": lambda tx, realm, act: thing_groups.page(tx, realm, "a", recursive=False),
    "child groups": lambda tx, realm, act: thing_groups.page(tx, realm, "a", parent="g", recursive=False),
    "groups of a branch": lambda tx, realm, act: thing_groups.page(tx, realm, "a", parent="g", prefix="h"),
    "things of a group": lambda tx, realm, act: thing_groups.page_things(tx, realm, "g", "g/a"),
    "things of a branch": lambda tx, realm, act: thing_groups.page_things(tx, realm, "g", "g/a", recursive=True),
    "groups of a thing": lambda tx, realm, act: thing_groups.groups_of(tx, realm, "one"),
    "create group": lambda tx, realm, act: thing_groups.create(tx, act, "h", parent="g"),
    "delete group": lambda tx, realm, act: thing_groups.delete(tx, act, "g"),
    "leave a group": lambda tx, realm, act: thing_groups.remove_thing(tx, act, "g", "one"),
    "join a group": lambda tx, realm, act: thing_groups.add_thing(tx, act, "g", "one"),
    "billing groups": lambda tx, realm, act: billing_groups.page(tx, realm, "a", prefix="b"),
    "join a billing group": lambda tx, realm, act: billing_groups.add_thing(tx, act, "bill", "one"),
    "leave a billing group": lambda tx, realm, act: billing_groups.remove_thing(tx, act, "bill", "one"),
    "billing group of a thing": lambda tx, realm, act: billing_groups.of_thing(tx, realm, "one"),
    "things of a billing group": lambda tx, realm, act: billing_groups.page_things(tx, realm, "bill", "a"),
    "delete billing group": lambda tx, realm, act: billing_groups.delete(tx, act, "bill"),
    "certificate": lambda tx, realm, act: certificates.find(tx, realm, F),
    "certificate everywhere": lambda tx, realm, act: certificates.find_everywhere(tx, F),
    "certificates": lambda tx, realm, act: certificates.page(tx, realm, f"1/{F}"),
    "certificates, oldest first": lambda tx, realm, act: certificates.page(tx, realm, f"1/{F}", ascending=True),
    "certificates of a CA": lambda tx, realm, act: certificates.page(tx, realm, f"1/{F}", ca=F),
    "change status": lambda tx, realm, act: certificates.set_status(tx, act, F, Status.INACTIVE),
    "delete certificate": lambda tx, realm, act: certificates.delete(tx, act, E, force=True),
    "outgoing certificates": lambda tx, realm, act: transfers.page(tx, realm, f"1/{F}"),
    "offer a certificate": lambda tx, realm, act: transfers.offer(tx, act, E, "210987654321"),
    "take a certificate back": lambda tx, realm, act: [
        step()
        for step in (
            lambda: transfers.offer(tx, act, E, "210987654321"),
            lambda: transfers.cancel(tx, act, E),
        )
    ],
    "accept a certificate": lambda tx, realm, act: (
        transfers.offer(tx, act, E, "210987654321"),
        transfers.accept(tx, replace(act, realm=Realm("210987654321", realm.region)), E),
    ),
    "transfers of a certificate": lambda tx, realm, act: transfers.of(tx, certificates.get(tx, realm, F)),
    "first connection": lambda tx, realm, act: certificates.connected(tx, act, F),
    "sweep": lambda tx, realm, act: certificates.sweep(tx, act.now),
    "CAs": lambda tx, realm, act: authorities.page(tx, realm, f"1/{F}"),
    "CAs of a template": lambda tx, realm, act: authorities.page(tx, realm, f"1/{F}", template_name="t"),
    "issuers": lambda tx, realm, act: authorities.issuers(tx, realm, "CN=x"),
    "issuers everywhere": lambda tx, realm, act: authorities.issuers_everywhere(tx, "CN=x"),
    "registration code": lambda tx, realm, act: authorities.registration_code(tx, act, "c"),
    "certificate provider": lambda tx, realm, act: certificate_providers.find(tx, realm),
    "begin an issuance": lambda tx, realm, act: issuances.begin_unless_provided(
        tx, act, issuances.Intent("ca", "0b", "CN=x", "k", "d", "device")
    ),
    "complete issuance": lambda tx, realm, act: issuances.complete(tx, act, "ca", "0a", F),
    "issuance": lambda tx, realm, act: issuances.find(tx, "ca", "0a"),
    "unfinished issuances": lambda tx, realm, act: issuances.unfinished(tx, realm, act.now, "1/ca/0a"),
    "policies": lambda tx, realm, act: policies.page(tx, realm, "1/p"),
    "create policy version": lambda tx, realm, act: policies.create_version(tx, act, "p", "{}", set_as_default=True),
    "delete policy": lambda tx, realm, act: policies.delete(tx, act, "p"),
    "policy version": lambda tx, realm, act: policies.get_version(tx, realm, "p"),
    "policies of a certificate": lambda tx, realm, act: attachments.policies_for(tx, realm, F, None),
    "policies of a connection": lambda tx, realm, act: attachments.policies_for(tx, realm, F, "one"),
    "attached policies": lambda tx, realm, act: attachments.page_policies(tx, realm, realm.arn("cert", F), "a"),
    "attach policy": lambda tx, realm, act: attachments.attach_policy(tx, act, "p", realm.arn("cert", F)),
    "attach policy to group": lambda tx, realm, act: attachments.attach_policy(
        tx, act, "p", realm.arn("thinggroup", "g")
    ),
    "detach policy": lambda tx, realm, act: attachments.detach_policy(tx, act, "p", realm.arn("cert", F)),
    "attach certificate": lambda tx, realm, act: attachments.attach_principal(tx, act, "one", F),
    "detach certificate": lambda tx, realm, act: attachments.detach_principal(tx, act, "one", F),
    "things of a certificate": lambda tx, realm, act: attachments.things_of(tx, realm, F),
    "targets": lambda tx, realm, act: attachments.page_targets(tx, realm, "p", "a"),
    "thing of a connection": lambda tx, realm, act: attachments.spoken_for(tx, realm, F, "one"),
    "principals": lambda tx, realm, act: attachments.page_principals(tx, realm, "one", "a"),
    "things of a principal": lambda tx, realm, act: attachments.page_things(tx, realm, F, "a"),
    "certificates of a thing": lambda tx, realm, act: attachments.certificates_of(tx, realm, "one"),
    "templates": lambda tx, realm, act: templates.page(tx, realm, "a"),
    "delete template": lambda tx, realm, act: templates.delete(tx, act, "t"),
    "create template version": lambda tx, realm, act: templates.create_version(tx, act, "t", "{}"),
    "template by its default version": lambda tx, realm, act: templates.find_default(tx, realm, "t"),
    "template version": lambda tx, realm, act: templates.get_version(tx, realm, "t"),
    "template versions": lambda tx, realm, act: templates.page_versions(tx, realm, "t", "1"),
    "claims": lambda tx, realm, act: claims.page(tx, realm, "a"),
    "switch off a batch": lambda tx, realm, act: claims.set_batch_enabled(tx, act, "b", False),
    "list serials": lambda tx, realm, act: claims.add_serials(tx, act, F, ["s2"]),
    "claims of a batch": lambda tx, realm, act: claims.page(tx, realm, "a", batch="b"),
    "serials": lambda tx, realm, act: claims.page_serials(tx, realm, F, "a"),
    "spend": lambda tx, realm, act: claims.spend(tx, act, claims.get(tx, realm, F), "t", "s1", "one"),
    "spend by a batch": lambda tx, realm, act: claims.spend(tx, act, claims.get(tx, realm, G), "t", "s1", "one"),
    "place of a key": lambda tx, realm, act: claims.has_place(tx, act, claims.get(tx, realm, F), "k"),
    "batches": lambda tx, realm, act: claim_batches.page(tx, realm, "a"),
    "bounds of a batch": lambda tx, realm, act: claim_batches.set_bounds(tx, act, "b", maximum=1, rate=None),
    "serials of a batch": lambda tx, realm, act: claim_batches.page_serials(tx, realm, "b", "a"),
    "list serials of a batch": lambda tx, realm, act: claim_batches.add_serials(tx, act, "b", ["s2"]),
    "issue a token": lambda tx, realm, act: tokens.issue(tx, act, "e", fingerprint=F, claim_fingerprint=F),
    "redeem a token": lambda tx, realm, act: tokens.redeem(tx, act, "d", claim_fingerprint=F),
    "tokens that wait": lambda tx, realm, act: tokens.room_at(tx, act, F, 1000),
    "functions of a registration": lambda tx, realm, act: registration_functions.of_authority(tx, realm, F),
    "functions": lambda tx, realm, act: functions.page(tx, realm, "a"),
    "rule": lambda tx, realm, act: topic_rules.get(tx, realm, "r"),
    "rules": lambda tx, realm, act: topic_rules.page(tx, realm, "a", source="a", enabled=True),
    "switch a rule": lambda tx, realm, act: topic_rules.set_enabled(tx, act, "r", False),
    "running rules": lambda tx, realm, act: topic_rules.running(tx, realm),
    "event configuration": lambda tx, realm, act: event_configurations.get(tx, realm),
    "key of a function": lambda tx, realm, act: function_keys.find(tx, realm, "f"),
    "access key": lambda tx, realm, act: access_keys.find(tx, "AKIA"),
    "access keys": lambda tx, realm, act: access_keys.page(tx, realm.account, "a"),
    "access keys of the account": lambda tx, realm, act: access_keys.page_of_account(tx, realm.account, "a"),
    "access keys of a user": lambda tx, realm, act: access_keys.of_user(tx, realm.account, "ana"),
    "user": lambda tx, realm, act: users.find(tx, realm.account, "ana"),
    "users": lambda tx, realm, act: users.page(tx, realm.account, "a", path="/p/"),
    "delete user": lambda tx, realm, act: users.delete(tx, act, "bea"),
    "role": lambda tx, realm, act: roles.find_by_arn(tx, f"arn:aws:iam::{realm.account}:role/r"),
    "roles": lambda tx, realm, act: roles.page(tx, realm.account, "a", path="/p/"),
    "trust of a role": lambda tx, realm, act: roles.set_trust(tx, act, "r", "{}"),
    "rights of a user": lambda tx, realm, act: permissions.of(tx, realm.account, "user/ana"),
    "put an inline policy": lambda tx, realm, act: permissions.put(tx, act, "user/ana", "p", "{}"),
    "inline policies": lambda tx, realm, act: permissions.page(tx, realm.account, "user/ana", "a"),
    "attach a managed policy": lambda tx, realm, act: permissions.attach(tx, act, "role/r", MANAGED),
    "attached managed policies": lambda tx, realm, act: permissions.page_attached(tx, realm.account, "user/ana", "a"),
    "managed policy": lambda tx, realm, act: managed_policies.in_force(tx, realm.account, MANAGED),
    "create managed policy version": lambda tx, realm, act: managed_policies.create_version(
        tx, act, MANAGED, "{}", set_as_default=True
    ),
    "who has a managed policy": lambda tx, realm, act: managed_policies.attachments(tx, realm.account, MANAGED),
    "temporary credentials": lambda tx, realm, act: temporary_credentials.find(tx, "ASIA"),
    "sweep temporary credentials": lambda tx, realm, act: temporary_credentials.sweep(tx, act.now),
    "role alias": lambda tx, realm, act: role_aliases.find(tx, realm, "a"),
    "role aliases": lambda tx, realm, act: role_aliases.page(tx, realm, "1/a"),
    "campaign": lambda tx, realm, act: campaigns.find(tx, realm, "c"),
    "campaigns": lambda tx, realm, act: campaigns.page(tx, realm, "a"),
    "campaigns at work": lambda tx, realm, act: campaigns.at_work(tx),
    "candidates of a campaign": lambda tx, realm, act: campaigns.page_candidates(
        tx, realm, campaigns.Selection(expiring_before=1, type_name="lamp", issued_by=F, group="g"), "a/b"
    ),
    "join a campaign": lambda tx, realm, act: campaigns.add_devices(tx, act, "c", [("two", F)]),
    "devices of a campaign": lambda tx, realm, act: campaigns.page_devices(tx, realm, "c", "a"),
    "progress of a campaign": lambda tx, realm, act: campaigns.progress(tx, realm, "c"),
    "a campaign's next": lambda tx, realm, act: campaigns.open_devices(
        tx, campaigns.get(tx, realm, "c"), campaigns.DeviceStatus.DUE, 10
    ),
    "a campaign waits for": lambda tx, realm, act: campaigns.outstanding(tx, campaigns.get(tx, realm, "c"), act.now),
    "came to a campaign": lambda tx, realm, act: campaigns.replaced(tx, campaigns.get(tx, realm, "c"), 10),
    "end of a campaign": lambda tx, realm, act: campaigns.set_status(tx, act, "c", campaigns.Status.CANCELLED),
    "put tags": lambda tx, realm, act: tags.put(tx, act, realm.arn("policy", "p"), {"a": "b"}),
    "authorizers": lambda tx, realm, act: authorizers.page(tx, realm, "1/a"),
    "authorizer": lambda tx, realm, act: authorizers.find(tx, realm, "a"),
    "authorizer everywhere": lambda tx, realm, act: authorizers.find_everywhere(tx, "a"),
    "authorizers of a status": lambda tx, realm, act: authorizers.page(
        tx, realm, "1/a", status=authorizers.Status.ACTIVE, ascending=True
    ),
    "default authorizer": lambda tx, realm, act: authorizers.find_default(tx, realm),
    "domain": lambda tx, realm, act: domains.find_domain(tx, "a.example"),
    "domain configuration": lambda tx, realm, act: domains.find(tx, realm, "d"),
    "tags": lambda tx, realm, act: tags.of(tx, realm, realm.arn("policy", "p")),
    "task": lambda tx, realm, act: tasks.get(tx, realm, TASK),
    "tasks": lambda tx, realm, act: tasks.page(tx, realm, "1/x"),
    "tasks by status": lambda tx, realm, act: tasks.page(tx, realm, "1/x", status=tasks.Status.FAILED),
    "waiting tasks": lambda tx, realm, act: tasks.waiting(tx, act.now),
    "take a task": lambda tx, realm, act: tasks.take(tx, realm, TASK, "r", act.now),
    "answer a line": lambda tx, realm, act: tasks.answer(tx, tasks.get(tx, realm, TASK), 1, tasks.Report.ERRORS, "{}"),
    "answered lines": lambda tx, realm, act: tasks.answered(tx, tasks.get(tx, realm, TASK)),
    "advance": lambda tx, realm, act: tasks.advance(tx, tasks.get(tx, realm, TASK), 1, 1, "r", act.now),
    "stop a task": lambda tx, realm, act: tasks.stop(tx, act, TASK),
    "prune tasks": lambda tx, realm, act: tasks.prune(tx, act.now + 2 * tasks.KEPT, 10),
    "parts of a report": lambda tx, realm, act: list(tasks.parts(tx, realm, TASK, tasks.Report.RESULTS, 10)),
    "search by name": lambda tx, realm, act: search.page(tx, realm, parse("thingName:o*")),
    "search by attribute": lambda tx, realm, act: search.page(tx, realm, parse("attributes.room:x")),
    "search by values": lambda tx, realm, act: search.page(tx, realm, parse("attributes.room:[a TO z]")),
    "search by numbers": lambda tx, realm, act: search.page(tx, realm, parse("attributes.room>1 NOT thingName:z")),
    "search by type and group": lambda tx, realm, act: search.page(tx, realm, parse("thingTypeName:l OR g")),
    "search deep": lambda tx, realm, act: search.page(
        tx, realm, parse(DEEP), json.dumps([search.branches(tx, realm, parse(DEEP))[0].seal, 0, ["x", "x", "a"]]), 10
    ),
    "attribute names": lambda tx, realm, act: search.attribute_names(tx, realm),
    "dynamic groups of a thing": lambda tx, realm, act: dynamic_groups.of_thing(tx, realm, "one"),
    "note connectivity": lambda tx, realm, act: connectivity.note(
        tx, "n", [Change(realm, Connectivity("one", "one", True, 1))]
    ),
    "nodes": lambda tx, realm, act: connectivity.holding(tx),
    "end of a node": lambda tx, realm, act: connectivity.end_of(tx, "n", 1, "SERVER_ERROR"),
    "pending events": lambda tx, realm, act: outbox.pending(tx, 10),
    "delivered events": lambda tx, realm, act: outbox.delivered(tx, ["a", "b"]),
    "events to take": lambda tx, realm, act: outbox.take(tx, "node", act.now, 10),
    "events taken": lambda tx, realm, act: outbox.taken_since(tx, outbox.Mark(1, "a"), 10),
    "prune events": lambda tx, realm, act: outbox.prune(tx, act.now),
    "unsealed": lambda tx, realm, act: audit.unsealed(tx),
    "seal": lambda tx, realm, act: audit.seal(tx, act.now, 10),
    "audit trail": lambda tx, realm, act: audit.page(tx, realm, "a"),
    "audit trail of an action": lambda tx, realm, act: audit.page(tx, realm, "a", action="x"),
    "audit trail of a target": lambda tx, realm, act: audit.page(tx, realm, "a", target="x"),
    "audit trail of a request": lambda tx, realm, act: audit.page(tx, realm, "a", request_id="x"),
}


@pytest.fixture
def furnished(tx: Tx, act: Act, certified: Callable[..., Certificate]) -> Tx:
    """One of everything that the hot queries ask for."""
    thing_types.create(tx, act, "lamp")
    thing_types.create(tx, act, "old")
    thing_types.deprecate(tx, Act(act.realm, act.actor, 0, act.request_id), "old")
    things.create(tx, act, "one", attributes={"room": "x"})
    thing_groups.create(tx, act, "g")
    billing_groups.create(tx, act, "bill")
    topic_rules.create(tx, act, "r", Definition("SELECT * FROM 'a'", "2016-03-23", "a", ()))
    policies.create(tx, act, "p", "{}")
    templates.create(tx, act, "t", "{}", "role")
    made = certified().fingerprint
    tx.run("UPDATE certificates SET fingerprint = :name WHERE fingerprint = :old", name=F, old=made)
    other = certified("other", Status.INACTIVE).fingerprint
    tx.run("UPDATE certificates SET fingerprint = :name WHERE fingerprint = :old", name=E, old=other)
    issuances.begin(tx, act, issuances.Intent("ca", "0a", "CN=x", "k", "d", "device"))
    claims.register(tx, act, F, serials=["s1"])
    claim_batches.set_bounds(tx, act, "b", maximum=5, rate=None)
    claim_batches.add_serials(tx, act, "b", ["s1"])
    third = certified("third").fingerprint
    tx.run("UPDATE certificates SET fingerprint = :name WHERE fingerprint = :old", name=G, old=third)
    claims.register(tx, act, G, batch="b")
    tokens.issue(tx, act, "d", fingerprint=F, claim_fingerprint=F)
    audit.add(tx, act, "CreateThing", "thing/one", "ok")
    for name in ("ana", "bea"):
        users.create(tx, act, name)
    roles.create(tx, act, "r", "{}")
    managed_policies.create(tx, act, "m", "{}")
    permissions.attach(tx, act, "user/ana", MANAGED)
    role_aliases.create(tx, act, "a", f"arn:aws:iam::{act.realm.account}:role/r")
    campaigns.create(tx, act, "c", campaigns.Selection(), campaigns.Pace())
    campaigns.add_devices(tx, act, "c", [("one", F)])
    task = tasks.start(tx, act, "{}", tasks.Input("bucket", "key", 1, 1), "role", runner="r")
    tx.run("UPDATE registration_tasks SET id = :name WHERE id = :old", name=TASK, old=task.id)
    return tx


@pytest.mark.parametrize("name", sorted(HOT))
def test_hot_queries_use_indexes(furnished: Tx, act: Act, name: str) -> None:
    watch = Watch(furnished)
    HOT[name](watch, act.realm, Act(act.realm, act.actor, act.now + 1, str(uuid.UUID(int=99))))
    assert watch.asked
    assert watch.slow == []


def test_the_watch_sees_a_scan(furnished: Tx) -> None:
    watch = Watch(furnished)
    watch.rows("SELECT * FROM things WHERE updated_at = :now", now=1)
    watch.rows("SELECT * FROM certificates c WHERE c.pem = :pem", pem="x")
    watch.rows("SELECT * FROM certificates ORDER BY pem LIMIT 1")
    watch.rows("SELECT name FROM things ORDER BY updated_at")
    watch.rows("SELECT name FROM things WHERE realm = 'r' AND updated_at = 1")
    assert len([each for each in watch.slow if each.startswith("SCAN")]) >= 4
    assert any(each.startswith("USE TEMP B-TREE") for each in watch.slow)
    assert any(each.startswith("SEARCH things") for each in watch.slow)


def test_policies_of_a_connection_are_one_statement(furnished: Tx, act: Act) -> None:
    watch = Watch(furnished)
    attachments.policies_for(watch, act.realm, F, "one")
    assert watch.asked == 1


def test_foreign_keys_hold(furnished: Tx, act: Act) -> None:
    with pytest.raises(NotFound):
        things.update(furnished, act, "one", type_name="unknown")
    certificates.set_status(furnished, act, F, Status.INACTIVE)
    certificates.delete(furnished, act, F)
    assert furnished.rows("PRAGMA foreign_key_check") == []
