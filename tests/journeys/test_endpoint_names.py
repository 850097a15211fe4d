"""Several accounts behind one port: the name that a device asks TLS for tells which one it means."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.journeys.operators import operator
from tests.journeys.paho_device import Closed, Device
from tests.pki import TestAuthority, new_key
from tests.server import PATIENCE, Identity, Live, keep, policy_document, serving

from fleetgate.names import Realm

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

ONE, TWO = Realm("111111111111", "us-east-1"), Realm("222222222222", "us-east-1")
SUFFIX = "fleet.test"
ANYTHING = policy_document({"Effect": "Allow", "Action": "iot:*", "Resource": "*"})
Connect = Callable[..., Device]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(tmp_path_factory.mktemp("home"), {"gateway.endpoint_suffix": SUFFIX}) as live:
        yield live


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wildcard record that DNS would have."""
    ask = socket.getaddrinfo

    def answer(host: Any, *rest: Any, **more: Any) -> Any:
        return ask("127.0.0.1" if str(host).endswith(".test") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@dataclass(frozen=True, slots=True)
class Named:
    """The server, called by one of its names."""

    host: str
    live: Live

    @property
    def mqtt_port(self) -> int:
        return self.live.mqtt_port

    @property
    def https_port(self) -> int:
        return self.live.https_port

    @property
    def ca_file(self) -> Path:
        return self.live.ca_file

    def keep(self, name: str, certificate: str, key: str, fingerprint: str) -> Identity:
        return keep(self.live.folder, name, certificate, key, fingerprint)


@pytest.fixture
def one(home: Live) -> IoTClient:
    return operator(home, ONE)


@pytest.fixture
def two(home: Live) -> IoTClient:
    return operator(home, TWO)


def endpoint(home: Live, iot: IoTClient) -> Named:
    return Named(iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"], home)


def leaf(home: Live, name: str) -> tuple[Identity, str]:
    """A certificate of a CA that nobody here knows; and its PEM."""
    return issued(home, TestAuthority(f"CA of {name}"), name)


def issued(home: Live, ca: TestAuthority, name: str) -> tuple[Identity, str]:
    key = new_key()
    pem = ca.device(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return keep(home.folder, name, pem, secret, ""), pem


def admit(iot: IoTClient, pem: str, policy: str) -> None:
    arn = iot.register_certificate_without_ca(certificatePem=pem, status="ACTIVE")["certificateArn"]
    iot.create_policy(policyName=policy, policyDocument=ANYTHING)
    iot.attach_policy(policyName=policy, target=arn)


def test_the_same_leaf_in_two_accounts_is_told_apart_by_the_endpoint(
    home: Live, one: IoTClient, two: IoTClient, connect: Connect, name: str
) -> None:
    identity, pem = leaf(home, name)
    admit(one, pem, name)
    admit(two, pem, name)
    first, second = endpoint(home, one), endpoint(home, two)
    assert (first.host, second.host) == (f"{ONE.account}-us-east-1.{SUFFIX}", f"{TWO.account}-us-east-1.{SUFFIX}")
    there, here = connect(identity, name, to=second), connect(identity, name, to=first)
    there.subscribe("news")
    here.subscribe("news")
    here.publish("news", b"of one")  # the same client id lives in both, and no message crosses over
    there.publish("news", b"of two")
    assert (here.receive().payload, there.receive().payload) == (b"of one", b"of two")
    assert here.messages.empty()


def test_a_name_that_tells_another_account_lets_nobody_in(
    home: Live, one: IoTClient, two: IoTClient, connect: Connect, name: str
) -> None:
    identity, pem = leaf(home, name)
    admit(one, pem, name)
    with pytest.raises(Closed):
        connect(identity, name, to=endpoint(home, two))
    assert connect(identity, name, to=endpoint(home, one)).reason == 0
    assert connect(identity, name, to=home).reason == 0  # the shared name tells nothing: who registered it first


def test_a_domain_of_a_users_own_is_shown_a_certificate_and_can_be_disabled(
    home: Live, one: IoTClient, connect: Connect, name: str
) -> None:
    identity, pem = leaf(home, name)
    admit(one, pem, name)
    domain = f"{name}.customer.test"
    one.create_domain_configuration(domainConfigurationName=name, domainName=domain)
    shows(home, domain)
    assert connect(identity, name, to=Named(domain, home)).reason == 0
    one.update_domain_configuration(domainConfigurationName=name, domainConfigurationStatus="DISABLED")
    with pytest.raises(Closed):
        connect(identity, name, to=Named(domain, home))
    one.delete_domain_configuration(domainConfigurationName=name)


def shows(home: Live, domain: str) -> None:
    """Return when the server's certificate speaks for *domain*: it is made after the answer."""
    context = ssl.create_default_context(cafile=home.ca_file)
    for _ in range(int(PATIENCE * 100)):
        try:
            with socket.create_connection((home.host, home.mqtt_port)) as plain:
                context.wrap_socket(plain, server_hostname=domain).close()
        except ssl.SSLCertVerificationError:
            home.run(_pause())
        else:
            return
    raise AssertionError(f"no certificate for {domain}")


async def _pause() -> None:
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("account", ["one", "two"])
def test_a_ca_in_two_accounts_registers_where_the_endpoint_says(
    home: Live, one: IoTClient, two: IoTClient, connect: Connect, name: str, account: str
) -> None:
    ca = TestAuthority(f"CA of {name}")
    ca_pem = ca.pem
    for iot in (one, two):
        made = iot.register_ca_certificate(
            caCertificate=ca_pem, certificateMode="SNI_ONLY", setAsActive=True, allowAutoRegistration=True
        )
    identity, _ = issued(home, ca, name)
    chosen, other = (one, two) if account == "one" else (two, one)
    with pytest.raises(Closed):
        connect(identity, name, to=home)  # the shared name does not tell whose it is
    with pytest.raises(Closed):
        connect(identity, name, to=endpoint(home, chosen))
    fingerprint = made["certificateId"]
    [registered] = chosen.list_certificates_by_ca(caCertificateId=fingerprint)["certificates"]
    assert registered["status"] == "PENDING_ACTIVATION"
    assert other.list_certificates_by_ca(caCertificateId=fingerprint)["certificates"] == []
