"""A pump: it gets a certificate of its own by the claim certificate that it left the factory with, and reports its
pressure.

It knows nothing of fleetgate: the protocol is AWS IoT Core's fleet provisioning.
"""

from __future__ import annotations

import json
import queue
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

SECONDS = 10.0
CREATE = "$aws/certificates/create-from-csr/json"


class ProvisioningFailed(Exception):
    """What the server said; `code` is its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    ca_file: Path


class Pump:
    """Keeps its key and its certificate in *folder*."""

    def __init__(self, server: Server, serial_number: str, folder: Path) -> None:
        self.server, self.serial_number = server, serial_number
        self.key_file, self.certificate_file = folder / "pump.key", folder / "pump.pem"
        self.thing_name = ""
        self.settings: dict[str, Any] = {}

    def provision(self, claim_certificate: Path, claim_key: Path, template: str) -> None:
        """Become a thing. Raises ProvisioningFailed."""
        with Connection(self.server, claim_certificate, claim_key, f"new-{self.serial_number}") as connection:
            created = connection.ask(CREATE, {"certificateSigningRequest": self._signing_request()})
            request = {
                "certificateOwnershipToken": created["certificateOwnershipToken"],
                "parameters": {"SerialNumber": self.serial_number},
            }
            answer = connection.ask(f"$aws/provisioning-templates/{template}/provision/json", request)
        self.certificate_file.write_text(created["certificatePem"])
        self.thing_name, self.settings = answer["thingName"], answer["deviceConfiguration"]

    def report(self, bar: float) -> None:
        """Publish the pressure with the pump's own certificate, under its own name."""
        with Connection(self.server, self.certificate_file, self.key_file, self.thing_name) as connection:
            connection.publish(f"devices/{self.thing_name}/pressure", {"bar": bar})

    def _signing_request(self) -> str:
        """With a key that is made once: a pump that asks again is known by it."""
        if not self.key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            self.key_file.touch(mode=0o600)
            self.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        loaded = load_pem_private_key(self.key_file.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.serial_number)])
        signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(loaded, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode()


class Connection:
    """MQTT over mutual TLS, for as long as the block runs. Raises ConnectionError where the server will not have it."""

    def __init__(self, server: Server, certificate: Path, key: Path, client_id: str) -> None:
        self._server = server
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, reconnect_on_failure=False)
        context = ssl.create_default_context(cafile=server.ca_file)
        context.load_cert_chain(certificate, key)
        self._client.tls_set_context(context)
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._client.on_connect = lambda c, u, flags, reason, p: self._events.put(("connected", reason))
        self._client.on_disconnect = lambda c, u, flags, reason, p: self._events.put(("closed", reason))
        self._client.on_subscribe = lambda c, u, mid, reasons, p: self._events.put(("subscribed", reasons))
        self._client.on_publish = lambda c, u, mid, reason, p: self._events.put(("published", reason))
        self._client.on_message = lambda c, u, message: self._events.put(("message", message))

    def __enter__(self) -> Self:
        self._client.connect(self._server.host, self._server.port)
        self._client.loop_start()
        self._wait("connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def ask(self, topic: str, request: dict[str, Any]) -> dict[str, Any]:
        self.subscribe(f"{topic}/accepted", f"{topic}/rejected")
        self._client.publish(topic, json.dumps(request), qos=1)
        told, answer = self.receive()
        if told.endswith("/rejected"):
            raise ProvisioningFailed(answer["errorCode"], answer["errorMessage"])
        return answer

    def subscribe(self, *topics: str) -> None:
        self._client.subscribe([(topic, 1) for topic in topics])
        self._wait("subscribed")

    def receive(self) -> tuple[str, dict[str, Any]]:
        """The next message: its topic, and what it says."""
        message = self._wait("message")
        return message.topic, json.loads(message.payload)

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        self._client.publish(topic, json.dumps(value), qos=1)
        self._wait("published")

    def _wait(self, what: str) -> Any:
        """For the next event of that kind; those of other kinds are passed over."""
        while True:
            try:
                kind, value = self._events.get(timeout=SECONDS)
            except queue.Empty:
                raise TimeoutError(f"nothing was {what} within {SECONDS} seconds") from None
            if kind == what:
                return value
            if kind == "closed":
                raise ConnectionError(f"the server closed the connection: {value}")
