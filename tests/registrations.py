"""Templates and devices for registration by a trusted caller."""

from __future__ import annotations

import json
from typing import Any

from tests.pki import new_key, signing_request

_SHINE = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}]}
)


def body(certificate: dict[str, Any] | None = None, **thing: Any) -> str:
    """A thing named by `ThingName`, a policy, and a certificate by the signing request in `CSR` unless given."""
    resources: dict[str, Any] = {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "ThingName"},
                "AttributePayload": {"serial": {"Ref": "SerialNumber"}},
                **thing,
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"Status": "ACTIVE", **(certificate or {"CertificateSigningRequest": {"Ref": "CSR"}})},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": _SHINE}},
    }
    names = {"ThingName": {}, "SerialNumber": {"Default": "none"}, "CSR": {"Default": ""}, "Pem": {"Default": ""}}
    parameters = {name: {"Type": "String", **more} for name, more in names.items()}
    return json.dumps({"Parameters": parameters, "Resources": resources})


def device(name: str) -> dict[str, str]:
    """Parameters with a signing request for a new key."""
    return {"ThingName": name, "SerialNumber": f"sn-{name}", "CSR": signing_request(new_key(), "Big Orchestra")}


def lines(*devices: dict[str, Any] | str) -> str:
    """A bulk file; what is text already is taken as it is."""
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in devices)
