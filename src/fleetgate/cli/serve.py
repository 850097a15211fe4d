"""`fleetgate serve`"""

from __future__ import annotations

import os
from typing import Any

import structlog
import typer

from fleetgate import app as fleetgate_app
from fleetgate.app import Server
from fleetgate.cli import logs, running
from fleetgate.cli.place import ConfigFile, DataDir
from fleetgate.cli.running import ReadyFile
from fleetgate.config import Config, load

app = typer.Typer(add_completion=False)
log = structlog.get_logger(__name__)


@app.command()
def serve(config: ConfigFile = None, data_dir: DataDir = None, ready_file: ReadyFile = None) -> None:
    """Run the server until SIGTERM or Ctrl-C. No configuration file is needed to start.

    Where there is no installation yet, one is founded. It listens on loopback until the configuration says otherwise.
    """
    settings = load(config, {} if data_dir is None else {"server.data_dir": str(data_dir)})
    logs.configure(settings.log)
    running.check_addresses(settings)
    with running.alone(settings):
        running.run(_serve(settings, ready_file))


async def _serve(config: Config, ready_file: Any) -> None:
    with running.stopping() as stop:
        async with fleetgate_app.serve(config) as server:
            _say(server)
            with running.announced(ready_file, ready(server)):
                running.settled()
                await stop.wait()
            log.info("stopping")
    log.info("stopped")


def _say(server: Server) -> None:
    gateway, installation = server.runtime.config.gateway, server.works.installation
    if installation.founded:
        log.info(
            "installation founded",
            data_dir=str(installation.folder),
            next=f"make an access key with: fleetgate key create --data-dir {installation.folder}",
        )
    log.info(
        "ready",
        api=server.api_url,
        mqtt=f"{gateway.host}:{server.mqtt_port}",
        https=f"{gateway.host}:{server.https_port}",
        devices_trust=str(installation.root_file),
    )


def ready(server: Server) -> dict[str, Any]:
    """Where everything is."""
    return {
        "api_url": server.api_url,
        "mqtt_host": server.runtime.config.gateway.endpoint_names[0],
        "mqtt_port": server.mqtt_port,
        "https_port": server.https_port,
        "ca_file": str(server.works.installation.root_file.absolute()),
        "data_dir": str(server.works.installation.folder.absolute()),
        "pid": os.getpid(),
    }
