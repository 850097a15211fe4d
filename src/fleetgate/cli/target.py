"""Which server a device goes to, and with which claim: the options that `agent` and `simulate` share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleetgate.agent.provision import Options
from fleetgate.agent.tls import Endpoint, KeyFiles
from fleetgate.cli.options import option, sharing
from fleetgate.wire.mqtt.packets import V4, V5

_PANEL: Final = "Server and claim"


@dataclass(frozen=True, slots=True)
class Target:
    """A server that was named, and the template to ask for."""

    endpoint: Endpoint
    claim: KeyFiles | None
    options: Options

    def needed_claim(self) -> KeyFiles:
        """Raises BadParameter where none was given."""
        if self.claim is None:
            raise typer.BadParameter("Give --claim-certificate and --claim-key, or --ready-file.")
        return self.claim


def _gather(
    ready_file: Path | None,
    host: str | None,
    port: int | None,
    ca_file: Path | None,
    claim_certificate: Path | None,
    claim_key: Path | None,
    template: str | None,
    mqtt: str,
    cbor: bool,
    server_keys: bool,
) -> Target:
    ready = _ready(ready_file) if ready_file else {}
    claimed: dict[str, str] = ready.get("claim", {})
    address = host or ready.get("mqtt_host")
    name = template or claimed.get("template_name")
    if address is None or name is None:
        raise typer.BadParameter("Say where and how: --ready-file, or --host and --template.")
    ca = ca_file or (Path(ready["ca_file"]) if "ca_file" in ready and host is None else None)
    endpoint = Endpoint(address, port or ready.get("mqtt_port", 8883), ca)
    options = Options(
        endpoint,
        name,
        version=V5 if mqtt == "5" else V4,
        format="cbor" if cbor else "json",
        server_keys=server_keys,
    )
    certificate = claim_certificate or claimed.get("certificate_file")
    key = claim_key or claimed.get("private_key_file")
    return Target(endpoint, KeyFiles(Path(certificate), Path(key)) if certificate and key else None, options)


def _ready(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} is no ready file of fleetgate dev.", param_hint="--ready-file")
    return found


def _version(text: str) -> str:
    if text not in {"3.1.1", "5"}:
        raise typer.BadParameter(f"MQTT has the versions 3.1.1 and 5, not {text!r}.")
    return text


def _file(*names: str, text: str) -> Any:
    return Annotated[
        Path | None,
        typer.Option(*names, metavar="FILE", exists=True, dir_okay=False, rich_help_panel=_PANEL, help=text),
    ]


def _plain(kind: Any, *names: str, text: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, rich_help_panel=_PANEL, help=text, **more)]


at_target = sharing(
    (
        option("ready_file", _file("--ready-file", text="All of these, from a dev server's ready file."), None),
        option("host", _plain(str | None, "--host", text="The server's name; its certificate must carry it."), None),
        option("port", _plain(int | None, "--port", text="MQTT over TLS (default: 8883).", min=1, max=65_535), None),
        option("ca_file", _file("--ca-file", text="CAs that vouch for the server (default: the system's)."), None),
        option("claim_certificate", _file("--claim-certificate", text="PEM file of the claim certificate."), None),
        option("claim_key", _file("--claim-key", text="PEM file of its private key."), None),
        option("template", _plain(str | None, "--template", text="The provisioning template's name."), None),
        option("mqtt", _plain(str, "--mqtt", text="3.1.1 or 5.", parser=_version), "5"),
        option("cbor", _plain(bool, "--cbor", text="Ask in CBOR, not in JSON."), False),
        option("server_keys", _plain(bool, "--server-keys", text="Let the server make the key pair."), False),
    ),
    _gather,
)
"""A command with these options; the function is given the Target first."""
