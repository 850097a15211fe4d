from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("kind", [None, "iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs"])
def test_one_name_for_all(iot: Any, kind: str | None) -> None:
    asked = {} if kind is None else {"endpointType": kind}
    assert iot.describe_endpoint(**asked)["endpointAddress"] == "localhost"


def test_another_type(iot: Any) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match=r"iot:Data-ATS.*not 'iot:Nothing'"):
        iot.describe_endpoint(endpointType="iot:Nothing")
