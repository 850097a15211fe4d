"""DescribeEndpoint: where the devices of an account and region connect to."""

from __future__ import annotations

from typing import Final

from fleetgate import endpoints
from fleetgate.api.handling import Params, Result
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act
from fleetgate.runtime import Runtime

_TYPES: Final = ("iot:Data", "iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs")


def describe_endpoint(runtime: Runtime, act: Act, params: Params) -> Result:
    """One name serves every type. As on AWS there is no port in it."""
    kind = params.get("endpointType", "iot:Data")
    if kind not in _TYPES:
        raise InvalidRequest(f"The endpointType is one of {', '.join(_TYPES)}, not {kind!r}.")
    return {"endpointAddress": endpoints.address(runtime.config.gateway, act.realm)}
