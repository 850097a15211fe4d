"""A maker of devices with a CA of its own, and the account that registers it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.pki import TestAuthority, new_key
from tests.server import REALM, ROLE, Identity, Live, production_policy

from fleetgate.names import Realm
from fleetgate.pki import certificate as x509s
from fleetgate.registry import access_keys

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "AWS::IoT::Certificate::CommonName": {"Type": "String"},
        "AWS::IoT::Certificate::Country": {"Type": "String"},
        "AWS::IoT::Certificate::Id": {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"},
                "AttributePayload": {"version": "v1", "country": {"Ref": "AWS::IoT::Certificate::Country"}},
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "ACTIVE"},
        },
    },
}


def operator(live: Live, account: str = REALM.account, service: str = "iot") -> Any:
    """A client of an account's own."""
    made = access_keys.generate(live.server.runtime.entropy)
    sealed = live.server.runtime.vault.seal(made.secret)
    act = live.server.runtime.act(Realm(account, REALM.region), "system")
    live.run(
        live.server.runtime.write(lambda tx: access_keys.create(tx, act, made.id, label="test", sealed_secret=sealed))
    )
    client: Any = boto3.client(
        service,  # type: ignore[call-overload] # any service
        endpoint_url=live.api_url,
        region_name=REALM.region,
        aws_access_key_id=made.id,
        aws_secret_access_key=made.secret,
    )
    return client


class Maker:
    """A maker of devices with a CA of its own."""

    def __init__(self, live: Live, name: str, authority: TestAuthority | None = None) -> None:
        self.live, self.name = live, name
        self.authority = authority or TestAuthority(f"{name} CA")
        self.pem = self.authority.pem

    def register(self, iot: IoTClient, pem: str = "", **more: Any) -> str:
        """RegisterCACertificate as the guide tells it; the CA's certificateId."""
        if more.get("certificateMode") != "SNI_ONLY":
            code = iot.get_registration_code()["registrationCode"]
            more["verificationCertificate"] = self.authority.leaf(code)
        given: dict[str, Any] = {"setAsActive": True, "allowAutoRegistration": True} | more
        return iot.register_ca_certificate(caCertificate=pem or self.pem, **given)["certificateId"]

    def device(self, thing: str, *, country: str = "DE", chain: bool = False) -> Identity:
        """A device's files, with the CA's certificate behind its own if *chain*."""
        key = new_key()
        fields = [(NameOID.COMMON_NAME, thing), *([(NameOID.COUNTRY_NAME, country)] if country else [])]
        leaf = self.authority.device(x509.Name([x509.NameAttribute(oid, text) for oid, text in fields]), key)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        fingerprint = x509s.fingerprint(x509s.load(leaf))
        return self.live.keep(thing, leaf + self.pem if chain else leaf, secret, fingerprint)


def with_policy(iot: IoTClient, name: str, *, inline: bool) -> str:
    """The template's body. *inline* is written as AWS's Atlas has it: a policy as text, with escaped slashes."""
    body = json.loads(json.dumps(TEMPLATE))
    if inline:
        properties = {"PolicyDocument": production_policy(name).replace("/", "\\/")}
    else:
        iot.create_policy(policyName=f"{name}-production", policyDocument=production_policy(name))
        properties = {"PolicyName": f"{name}-production"}
    body["Resources"]["policy"] = {"Type": "AWS::IoT::Policy", "Properties": properties}
    return json.dumps(body)


def config(iot: IoTClient, name: str, by: str) -> Any:
    if by == "body":
        return {"templateBody": with_policy(iot, name, inline=True), "roleArn": ROLE}
    iot.create_provisioning_template(
        templateName=name,
        templateBody=with_policy(iot, name, inline=False),
        provisioningRoleArn=ROLE,
        type="JITP",
        enabled=True,
    )
    return {"templateName": name}
