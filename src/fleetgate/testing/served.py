"""What a test holds in its hand: where the server is, and what to ask of it."""

from __future__ import annotations

import importlib
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class MissingDependency(Exception):
    """What was asked for needs a package that is not installed; the message says which."""


class Tell(Protocol):
    def __call__(self, command: str, **arguments: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim certificate, in files."""

    certificate_file: Path
    private_key_file: Path
    template_name: str | None
    """The template to ask for; None for any."""
    certificate_id: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is provisioned already."""

    thing_name: str
    certificate_file: Path
    private_key_file: Path
    certificate_id: str
    device_configuration: Mapping[str, Any] = field(default_factory=dict)


class Fleetgate:
    """A running server with an access key, a template (`claim.template_name`, parameter SerialNumber), policies and a
    claim certificate.
    """

    def __init__(self, ready: Mapping[str, Any], tell: Tell, said: Callable[[], str] = lambda: "") -> None:
        self._tell, self._said = tell, said
        self._clients: dict[tuple[str, str], Any] = {}
        self.ready: Mapping[str, Any] = ready
        """Everything, as the ready file of `fleetgate dev` has it."""
        self.api_url: str = ready["api_url"]
        self.host: str = ready["mqtt_host"]
        """Of the devices' ports; its certificate is for this name."""
        self.mqtt_port: int = ready["mqtt_port"]
        """MQTT over TLS."""
        self.https_port: int = ready["https_port"]
        """HTTPS, and MQTT by ALPN."""
        self.ca_file = Path(ready["ca_file"])
        """What devices trust."""
        self.account: str = ready["account"]
        self.region: str = ready["region"]
        self.access_key_id: str = ready["access_key_id"]
        self.secret_access_key: str = ready["secret_access_key"]
        self.claim = _claim(ready["claim"])
        """There from the start, with a budget of a million devices."""

    @property
    def environment(self) -> dict[str, str]:
        """What points the AWS CLI and the SDKs of any language at the server; add it to `os.environ`."""
        return {
            "AWS_ENDPOINT_URL": self.api_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str = "iot", region: str | None = None) -> Any:
        """A boto3 client, the same one each time. Raises MissingDependency without boto3."""
        name = (service, region or self.region)
        if name not in self._clients:
            self._clients[name] = _boto3().client(
                service,
                endpoint_url=self.api_url,
                region_name=region or self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
            )
        return self._clients[name]

    def make_claim(
        self,
        template_name: str | None = None,
        *,
        count: int | None = None,
        rate: str | None = None,
        serials: Sequence[str] = (),
        batch: str = "",
    ) -> Claim:
        """Another claim certificate; for the seeded template unless *template_name* is given.

        *count* devices in all, *rate* at a time (`100/1m`), *serials* alone. Raises Failed with the server's refusal.
        """
        made = self._tell(
            "claim",
            template_name=template_name or self.claim.template_name,
            count=count,
            rate=rate,
            serials=list(serials),
            batch=batch,
        )
        return _claim(made)

    def switch_claim(self, claim: Claim, *, enabled: bool) -> None:
        """The kill switch of one claim."""
        self._tell("switch", certificate_id=claim.certificate_id, enabled=enabled)

    def make_template(
        self,
        name: str,
        body: str | Mapping[str, Any],
        *,
        hook: str | None = None,
        reprovisioning: str | None = None,
    ) -> str:
        """A provisioning template that is enabled; its name. *hook*: a function that `bind_function` was given.

        *reprovisioning*: never, same-key, hook or allow. Raises Failed with every problem of the body.
        """
        text = body if isinstance(body, str) else json.dumps(body)
        self._tell("template", name=name, body=text, hook=hook, reprovisioning=reprovisioning)
        return name

    def bind_function(self, name: str, handler: Path | str | Callable[..., Any]) -> str:
        """Let a Lambda-style handler stand behind *name*; its ARN, for hooks.

        *handler*: a file, with `:name` of the function behind it unless that is `lambda_handler`; or a function of the
        test's own, whose source is taken, so it may use nothing from outside itself but what it imports. It runs in
        a process of the server's.
        """
        source, place = None, ""
        if callable(handler):
            source = textwrap.dedent(inspect.getsource(handler)) + f"\n\nlambda_handler = {handler.__name__}\n"
        else:
            file, colon, function = str(handler).rpartition(":")
            place = f"{Path(file).absolute()}:{function}" if colon else f"{Path(handler).absolute()}:lambda_handler"
        arn: str = self._tell("function", name=name, place=place, source=source)
        return arn

    def provision(self, serial_number: str, claim: Claim | None = None, **parameters: str) -> Device:
        """A device that has gone the whole way, over TLS and MQTT, by *claim* (default: the seeded one).

        Raises Failed with what it was told where it was refused.
        """
        by = claim or self.claim
        made = self._tell(
            "provision",
            certificate_file=str(by.certificate_file),
            private_key_file=str(by.private_key_file),
            template_name=by.template_name or self.claim.template_name,
            parameters={"SerialNumber": serial_number, **parameters},
        )
        return Device(**made | {name: Path(made[name]) for name in ("certificate_file", "private_key_file")})

    def audit(self, *, action: str | None = None, request_id: str | None = None) -> list[dict[str, Any]]:
        """The audit trail, oldest entry first: who did what, and why somebody was refused."""
        entries: list[dict[str, Any]] = self._tell("audit", action=action, request_id=request_id)
        return entries

    def reset(self) -> None:
        """As it was at the start: records gone, connections closed, files of `make_claim` and `provision` removed."""
        self._tell("reset")

    @property
    def log(self) -> str:
        """What the server has logged, as far as it is kept."""
        return self._said()


def _claim(made: Mapping[str, Any]) -> Claim:
    return Claim(
        Path(made["certificate_file"]),
        Path(made["private_key_file"]),
        made["template_name"],
        made.get("certificate_id", ""),
    )


def _boto3() -> Any:
    try:
        return importlib.import_module("boto3")
    except ModuleNotFoundError as error:
        if error.name != "boto3":
            raise
        raise MissingDependency("fleetgate.client() makes boto3 clients: pip install boto3") from None
