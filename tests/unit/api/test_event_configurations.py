from __future__ import annotations

from typing import Any

import pytest


def test_switching_events_on_and_off(iot: Any) -> None:
    before = iot.describe_event_configurations()
    assert len(before["eventConfigurations"]) == 11
    assert not any(each["Enabled"] for each in before["eventConfigurations"].values())
    assert "creationDate" not in before
    iot.update_event_configurations(eventConfigurations={"THING": {"Enabled": True}, "JOB": {"Enabled": True}})
    iot.update_event_configurations(eventConfigurations={"JOB": {"Enabled": False}})
    after = iot.describe_event_configurations()
    assert [name for name, each in after["eventConfigurations"].items() if each["Enabled"]] == ["THING"]
    assert after["creationDate"] <= after["lastModifiedDate"]
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.update_event_configurations(eventConfigurations={"SHADOW": {"Enabled": True}})
