"""A whole server on loopback in a thread of its own, and what a test fills it with: operators' steps, without the API.

Client libraries bring threads of their own and block, so the server cannot share their event loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import uvloop

from fleetgate import authority, config
from fleetgate.app import Server, serve
from fleetgate.database.port import Tx
from fleetgate.names import Act, Realm
from fleetgate.pki import keys
from fleetgate.registry import attachments, claims, functions, outbox, policies, templates
from fleetgate.registry.certificates import Status
from fleetgate.registry.events import Event
from fleetgate.registry.templates import Reprovisioning

T = TypeVar("T")

REALM = Realm("123456789012", "us-east-1")
ROLE = f"arn:aws:iam::{REALM.account}:role/provisioning"
PATIENCE = 20.0
"""Seconds that a test waits for what must happen: it bounds a failure and delays no success."""
FREE_PORTS = {"gateway.mqtt_port": 0, "gateway.https_port": 0, "api.port": 0}


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, in files as device SDKs want them."""

    certificate_file: Path
    key_file: Path
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Devices that share one claim certificate, their template, and what their policies allow."""

    name: str
    claim: Identity
    observer: Identity
    """May connect as anything and subscribe to everything that the batch's devices publish."""

    @property
    def template(self) -> str:
        return self.name

    @property
    def policy(self) -> str:
        return f"{self.name}-production"

    def topic(self, thing: str, leaf: str = "telemetry") -> str:
        """A topic that the policy allows *thing*, and nobody else, to publish to."""
        return f"{self.name}/{thing}/{leaf}"


def keep(folder: Path, name: str, certificate: str, key: str, fingerprint: str) -> Identity:
    """Write a certificate and its key into files in *folder*."""
    identity = Identity(folder / f"{name}.crt", folder / f"{name}.key", fingerprint)
    identity.certificate_file.write_text(certificate)
    identity.key_file.write_text(key)
    identity.key_file.chmod(0o600)
    return identity


def statement(action: str | Sequence[str], *resources: str) -> dict[str, Any]:
    """A statement that allows *action* on resources of the test realm: `topic/a/b`, `client/*`; or plain `*`."""
    named = [one if one == "*" else f"arn:aws:iot:{REALM.region}:{REALM.account}:{one}" for one in resources]
    return {"Effect": "Allow", "Action": action, "Resource": named}


def policy_document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def claim_policy(template: str) -> str:
    """May provision itself by *template*, and nothing else."""
    topics = ["$aws/certificates/create/*", "$aws/certificates/create-from-csr/*"]
    topics.append(f"$aws/provisioning-templates/{template}/provision/*")
    return policy_document(
        statement("iot:Connect", "*"),
        statement(["iot:Publish", "iot:Receive"], *(f"topic/{topic}" for topic in topics)),
        statement("iot:Subscribe", *(f"topicfilter/{topic}" for topic in topics)),
    )


def production_policy(batch: str) -> str:
    """May connect under the name of its thing, speak on its own topics, and renew its certificate."""
    own = f"{batch}/${{iot:Connection.Thing.ThingName}}/*"
    renewal = ["$aws/certificates/*", f"$aws/provisioning-templates/{batch}/provision/*"]
    return policy_document(
        statement("iot:Connect", "client/${iot:Connection.Thing.ThingName}"),
        statement(["iot:Publish", "iot:Receive"], f"topic/{own}", *(f"topic/{topic}" for topic in renewal)),
        statement("iot:Subscribe", f"topicfilter/{own}", *(f"topicfilter/{topic}" for topic in renewal)),
    )


def template_body(policy: str, **members: Any) -> str:
    """A thing named after the parameter SerialNumber, an active certificate, and *policy*; *members* on top."""
    return json.dumps(
        {
            "Parameters": {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}},
            "Resources": {
                "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}},
                "certificate": {
                    "Type": "AWS::IoT::Certificate",
                    "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
                },
                "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}},
            },
            **members,
        }
    )


class Endpoint(Protocol):
    """Where devices connect: a server in this process, or another one."""

    @property
    def host(self) -> str: ...
    @property
    def mqtt_port(self) -> int: ...
    @property
    def https_port(self) -> int: ...
    @property
    def ca_file(self) -> Path: ...
    def keep(self, name: str, certificate: str, key: str, fingerprint: str) -> Identity:
        """Write a certificate and its key into files called *name*."""


class Happenings:
    """Every event that the server has committed and told, for tests that wait for one."""

    def __init__(self) -> None:
        self._told: list[Event] = []
        self._more = threading.Condition()

    def consume(self, entries: Sequence[outbox.Entry]) -> None:
        with self._more:
            self._told += [entry.event for entry in entries]
            self._more.notify_all()

    def wait_for(self, event: Callable[[Event], bool]) -> None:
        """Return when there was such an *event*, at whatever time; fails after `PATIENCE`."""
        with self._more:
            assert self._more.wait_for(lambda: any(map(event, self._told)), PATIENCE), "it did not happen"


@dataclass(frozen=True, slots=True)
class Live:
    """A running server, as other threads may use it."""

    server: Server
    loop: asyncio.AbstractEventLoop
    folder: Path
    """For files of the tests' own."""
    happenings: Happenings
    host: str = "localhost"

    @property
    def mqtt_port(self) -> int:
        return self.server.mqtt_port

    @property
    def https_port(self) -> int:
        return self.server.https_port

    @property
    def api_url(self) -> str:
        return self.server.api_url

    @property
    def ca_file(self) -> Path:
        return self.server.works.installation.root_file

    def act(self) -> Act:
        return self.server.runtime.act(REALM, "system")

    def now(self) -> int:
        return self.server.runtime.clock()

    def run(self, coroutine: Any) -> Any:
        """Run *coroutine* on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def read(self, work: Callable[[Tx], T]) -> T:
        done: T = self.run(self.server.runtime.database.read(work))
        return done

    def write(self, work: Callable[[Tx, Act], T]) -> T:
        """An operator's change, committed and told to live connections."""
        act = self.act()
        done: T = self.run(self.server.runtime.write(lambda tx: work(tx, act)))
        return done

    def identity(self, name: str, *documents: str, status: Status = Status.ACTIVE) -> Identity:
        """A certificate under policies made of *documents*, in files called *name*."""
        key = keys.generate(keys.KeyKind.EC_P256)
        act = self.act()
        issued: authority.Issued = self.run(authority.issue(self.server.runtime, act, key.public_key()))

        def keep(tx: Tx) -> None:
            authority.record(tx, act, issued, status)
            for number, document in enumerate(documents):
                policies.create(tx, act, f"{name}-{number}", document)
                attachments.attach_policy(tx, act, f"{name}-{number}", REALM.arn("cert", issued.fingerprint))

        self.run(self.server.runtime.write(keep))
        return self.keep(name, issued.pem, keys.private_key_pem(key), issued.fingerprint)

    def keep(self, name: str, certificate: str, key: str, fingerprint: str) -> Identity:
        """Write a certificate and its key into files called *name*."""
        return keep(self.folder, name, certificate, key, fingerprint)

    def batch(
        self,
        name: str,
        *,
        hook: str | None = None,
        reprovisioning: Reprovisioning | None = None,
        body: str | None = None,
        production: str | None = None,
        **bounds: Any,
    ) -> Batch:
        """Everything that a batch of devices needs: policies, template, and a claim with *bounds* (`claims.register`).

        *hook* is the source of a Lambda-style handler file. *name* is 30 characters long at most.
        """
        target = None if hook is None else self.bind(name, hook)
        body = body or template_body(f"{name}-production")

        def make(tx: Tx, act: Act) -> None:
            policies.create(tx, act, f"{name}-production", production or production_policy(name))
            templates.create(
                tx, act, name, body, ROLE, enabled=True, hook_target_arn=target, reprovisioning=reprovisioning
            )

        self.write(make)
        observer = policy_document(
            statement("iot:Connect", "*"),
            statement("iot:Receive", f"topic/{name}/*"),
            statement("iot:Subscribe", f"topicfilter/{name}/*"),
        )
        return Batch(name, self.claim(name, name, **bounds), self.identity(f"{name}-observer", observer))

    def claim(self, name: str, template: str, **bounds: Any) -> Identity:
        """A registered claim certificate for *template*."""
        identity = self.identity(f"{name}-claim", claim_policy(template))
        self.write(lambda tx, act: claims.register(tx, act, identity.fingerprint, template_name=template, **bounds))
        return identity

    def bind(self, name: str, source: str) -> str:
        """Bind a handler file to a function name; the function's ARN, for templates."""
        file = self.folder / f"{name}.py"
        file.write_text(source)
        self.write(lambda tx, act: functions.put(tx, act, name, str(file), "lambda_handler"))
        return f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:{name}"


@contextmanager
def serving(folder: Path, overrides: Mapping[str, Any] | None = None) -> Iterator[Live]:
    """A server with its data in *folder*, on free ports; *overrides* by dotted name, as `config.load` takes them."""
    settings = config.load(None, {"server.data_dir": str(folder / "data"), **FREE_PORTS, **(overrides or {})})
    ready: Future[tuple[Server, asyncio.AbstractEventLoop]] = Future()
    stop = asyncio.Event()
    happenings = Happenings()

    async def attend() -> None:
        async with serve(settings) as server:
            server.works.dispatcher.add(happenings.consume)
            ready.set_result((server, asyncio.get_running_loop()))
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(attend())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="fleetgate server")
    thread.start()
    try:
        server, loop = ready.result(PATIENCE)
        files = folder / "files"
        files.mkdir()
        yield Live(server, loop, files, happenings)
    finally:
        if ready.done() and ready.exception() is None:
            ready.result()[1].call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
