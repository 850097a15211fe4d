"""A dev server that does what it is told on standard input, a JSON object in each line, until that ends.

    python -m fleetgate.testing.server '{"config_file": null, "log_level": "info"}'

Each line has a number and is answered with one on standard output: {"to": 1, "answer": ...}, or {"to": 1, "refused":
"why"}. The first answer, to nothing, is what `fleetgate dev` writes into its ready file.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import structlog
import typer

from fleetgate import dev
from fleetgate.agent.provision import Options, provision
from fleetgate.agent.store import MemoryStore
from fleetgate.agent.tls import Endpoint, KeyFiles, KeyTexts
from fleetgate.api.templates import judge
from fleetgate.cli import logs, running, scratch, values
from fleetgate.config import Config
from fleetgate.database.port import Tx
from fleetgate.dev import REALM, Dev
from fleetgate.errors import FleetgateError, InvalidRequest
from fleetgate.names import Act
from fleetgate.pki import keys
from fleetgate.provisioning import claim_certificate
from fleetgate.provisioning.claim_certificate import Budget
from fleetgate.registry import audit, claims, functions, templates
from fleetgate.registry.templates import Reprovisioning
from fleetgate.template.document import Kind

log = structlog.get_logger(__name__)

_ROLE: Final = f"arn:aws:iam::{REALM.account}:role/test"
_LONGEST_LINE: Final = 4 * 1024 * 1024


def main() -> None:
    """Until standard input ends."""
    asked = json.loads(sys.argv[1])
    with scratch.folder("dev") as folder:
        file = asked["config_file"] and Path(asked["config_file"])
        settings = dev.config(folder, free_ports=True, file=file)
        settings = replace(
            settings,
            log=replace(settings.log, level=asked["log_level"]),
            authority=replace(settings.authority, key_pool=min(settings.authority.key_pool, 2)),
        )
        logs.configure(settings.log)
        with running.alone(settings):
            running.run(_serve(settings))


async def _serve(config: Config) -> None:
    lines = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with dev.serve(config) as server:
        workshop = Workshop(server, config.server.data_dir / "tests")
        _say(to=0, answer=server.ready())
        running.settled()
        while line := await lines.readline():
            request = json.loads(line)
            number = request.pop("number")
            try:
                _say(to=number, answer=await workshop.do(request))
            except FleetgateError as refused:
                _say(to=number, refused=refused.message)
            except typer.BadParameter as bad:
                _say(to=number, refused=bad.message)
            except Exception as bug:
                log.exception("command failed", command=request["command"])
                _say(to=number, refused=f"The server could not do this: {bug!r}. Its log has more.")


def _say(**said: Any) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


class Workshop:
    """What tests ask for beyond AWS's API."""

    def __init__(self, server: Dev, folder: Path) -> None:
        self._server, self._runtime, self._folder = server, server.server.runtime, folder
        self._numbers = count(1)
        self._folder.mkdir(mode=0o700)

    async def do(self, request: Mapping[str, Any]) -> Any:
        """Raises FleetgateError."""
        arguments = dict(request)
        return await self._COMMANDS[arguments.pop("command")](self, **arguments)

    async def _claim(
        self, template_name: str | None, count: int | None, rate: str | None, serials: list[str], batch: str
    ) -> dict[str, Any]:
        pace = None if rate is None else values.rate(rate)
        budget = Budget(template_name, count, pace, serials=tuple(serials), batch=batch)
        key = keys.generate(keys.KeyKind.EC_P256)
        made = await claim_certificate.create(self._runtime, self._act(), key, budget)
        files = self._files("claim", made.certificate_pem, made.private_key_pem)
        return {**files, "template_name": template_name, "certificate_id": made.claim.fingerprint}

    async def _switch(self, certificate_id: str, enabled: bool) -> None:
        await self._write(lambda tx, act: claims.set_enabled(tx, act, certificate_id, enabled))

    async def _template(self, name: str, body: str, hook: str | None, reprovisioning: str | None) -> None:
        rule = None if reprovisioning is None else _rule(reprovisioning)

        def make(tx: Tx, act: Act) -> None:
            judge(body, Kind.FLEET_PROVISIONING)
            arn = None if hook is None else _function_arn(hook)
            templates.create(tx, act, name, body, _ROLE, enabled=True, hook_target_arn=arn, reprovisioning=rule)

        await self._write(make)

    async def _function(self, name: str, place: str, source: str | None) -> str:
        if source is not None:
            file = self._folder / f"function-{next(self._numbers)}.py"
            file.write_text(source)
            place = f"{file}:lambda_handler"
        path, handler = _handler(place)
        await self._write(lambda tx, act: functions.put(tx, act, name, path, handler))
        return _function_arn(name)

    async def _provision(
        self, certificate_file: str, private_key_file: str, template_name: str, parameters: dict[str, str]
    ) -> dict[str, Any]:
        ready, store = self._server.ready(), MemoryStore()
        endpoint = Endpoint(ready["mqtt_host"], ready["mqtt_port"], Path(ready["ca_file"]))
        by = KeyFiles(Path(certificate_file), Path(private_key_file))
        result = await provision(Options(endpoint, template_name, parameters), by, store)
        made = store.credentials(draft=False)
        assert isinstance(made, KeyTexts)
        return {
            "thing_name": result.thing_name,
            "certificate_id": result.certificate_id,
            "device_configuration": dict(result.device_configuration),
            **self._files("device", made.certificate, made.private_key),
        }

    async def _audit(self, action: str | None, request_id: str | None) -> list[dict[str, Any]]:
        await self._server.server.works.upkeep.finish()
        page = await self._runtime.database.read(
            lambda tx: audit.page_with_nobodys(tx, REALM, limit=1000, action=action, request_id=request_id)
        )
        return [asdict(entry) | {"details": dict(entry.details)} for entry in page.items]

    async def _reset(self) -> None:
        await self._server.reset()
        shutil.rmtree(self._folder)
        self._folder.mkdir(mode=0o700)

    _COMMANDS: Final[Mapping[str, Callable[..., Awaitable[Any]]]] = {
        "audit": _audit,
        "claim": _claim,
        "function": _function,
        "provision": _provision,
        "reset": _reset,
        "switch": _switch,
        "template": _template,
    }

    def _act(self) -> Act:
        return self._runtime.act(REALM, "test")

    async def _write(self, work: Callable[[Tx, Act], Any]) -> None:
        act = self._act()
        await self._runtime.write(lambda tx: work(tx, act))

    def _files(self, kind: str, certificate: str, private_key: str) -> dict[str, str]:
        stem = self._folder / f"{kind}-{next(self._numbers)}"
        files = {"certificate_file": stem.with_suffix(".pem"), "private_key_file": stem.with_suffix(".key")}
        for file, text in zip(files.values(), (certificate, private_key), strict=True):
            file.touch(mode=0o600)
            file.write_text(text)
        return {name: str(file) for name, file in files.items()}


def _handler(place: str) -> tuple[str, str]:
    """File and function's name."""
    path, _, handler = place.rpartition(":")
    if not Path(path).is_file():
        raise InvalidRequest(f"There is no handler file {path}.")
    return path, handler


def _rule(text: str) -> Reprovisioning:
    try:
        return Reprovisioning(text)
    except ValueError:
        raise InvalidRequest(f"reprovisioning is {text!r}; give one of {', '.join(Reprovisioning)}.") from None


def _function_arn(name: str) -> str:
    """*name*, or the ARN that it is already."""
    return name if name.startswith("arn:") else f"arn:aws:lambda:{REALM.region}:{REALM.account}:function:{name}"


if __name__ == "__main__":
    main()
