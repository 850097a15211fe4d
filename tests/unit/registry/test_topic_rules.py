from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, RuleUnknown
from fleetgate.names import Act, Realm
from fleetgate.registry import outbox, tags, topic_rules
from fleetgate.registry.events import TopicRuleChanged
from fleetgate.registry.topic_rules import Definition

REPUBLISH = {"republish": {"roleArn": "arn:aws:iam::1:role/r", "topic": "b"}}
GIVEN = Definition("SELECT * FROM 'a'", "2016-03-23", "a", (REPUBLISH,), REPUBLISH, "a rule")


def test_what_is_kept_is_given_back(tx: Tx, act: Act, elsewhere: Realm) -> None:
    made = topic_rules.create(tx, act, "one", GIVEN)
    assert topic_rules.get(tx, act.realm, "one") == made
    assert made.definition == GIVEN
    with pytest.raises(RuleUnknown, match="Access to topic rule 'one' was denied"):
        topic_rules.get(tx, elsewhere, "one")
    with pytest.raises(AlreadyExists):
        topic_rules.create(tx, act, "one", GIVEN)
    with pytest.raises(InvalidRequest):
        topic_rules.create(tx, act, "o-ne", GIVEN)


def test_every_change_is_told(tx: Tx, act: Act, later: Callable[..., Act]) -> None:
    topic_rules.create(tx, act, "one", GIVEN)
    tags.put(tx, act, act.realm.arn("rule", "one"), {"a": "b"})
    other = replace(GIVEN, source="b", error_action=None, enabled=False)
    topic_rules.replace(tx, later(1), "one", other)
    assert topic_rules.get(tx, act.realm, "one").definition == other
    assert topic_rules.running(tx, act.realm) == []
    topic_rules.set_enabled(tx, later(2), "one", True)
    assert [rule.name for rule in topic_rules.running(tx, act.realm)] == ["one"]
    assert topic_rules.realms(tx) == [act.realm]
    topic_rules.delete(tx, later(3), "one")
    assert [entry.event for entry in outbox.pending(tx, 10)] == [TopicRuleChanged("one")] * 4
    topic_rules.create(tx, later(4), "one", GIVEN)
    assert tags.of(tx, act.realm, act.realm.arn("rule", "one")) == {}
    topic_rules.delete(tx, later(5), "one")
    with pytest.raises(RuleUnknown):
        topic_rules.replace(tx, act, "one", GIVEN)
    with pytest.raises(RuleUnknown):
        topic_rules.set_enabled(tx, act, "one", True)
    with pytest.raises(RuleUnknown):
        topic_rules.delete(tx, act, "one")


def test_pages(tx: Tx, act: Act) -> None:
    for name, source, enabled in (("a", "x", True), ("b", "x", False), ("c", "y", True)):
        topic_rules.create(tx, act, name, replace(GIVEN, source=source, enabled=enabled))
    first = topic_rules.page(tx, act.realm, limit=2)
    assert [rule.name for rule in first.items] == ["a", "b"]
    assert [rule.name for rule in topic_rules.page(tx, act.realm, first.next_key).items] == ["c"]
    assert [rule.name for rule in topic_rules.page(tx, act.realm, source="x").items] == ["a", "b"]
    assert [rule.name for rule in topic_rules.page(tx, act.realm, source="x", enabled=False).items] == ["b"]
