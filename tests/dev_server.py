"""`fleetgate dev` as a process of its own, as programs use it that attach to its ready file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from tests.server import PATIENCE, Identity, keep

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient


@dataclass(frozen=True, slots=True)
class DevServer:
    """What the ready file says."""

    api_url: str
    host: str
    mqtt_port: int
    https_port: int
    ca_file: Path
    account: str
    region: str
    access_key_id: str
    secret_access_key: str
    claim: Identity
    """The seeded one."""
    template: str
    folder: Path
    """For files of the tests' own."""
    pid: int

    def iot(self, region: str | None = None, **more: Any) -> IoTClient:
        """A boto3 client of the `iot` service."""
        credentials = {"aws_access_key_id": self.access_key_id, "aws_secret_access_key": self.secret_access_key} | more
        return boto3.client("iot", endpoint_url=self.api_url, region_name=region or self.region, **credentials)

    @property
    def environment(self) -> dict[str, str]:
        """For programs that use an AWS SDK, and for nothing else of this machine."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.api_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:iot:{self.region}:{self.account}:{kind}/{name}"

    def keep(self, name: str, certificate: str, key: str, fingerprint: str) -> Identity:
        """Write a certificate and its key into files called *name*."""
        return keep(self.folder, name, certificate, key, fingerprint)


@contextmanager
def dev_server(folder: Path, functions: Mapping[str, str] | None = None) -> Iterator[DevServer]:
    """A dev server with its data in *folder*; *functions* are handler sources by the name in a hook's ARN.

    It is stopped as a user stops it, and must then exit with 0.
    """
    arguments = ["--free-ports", "--quiet", "--data-dir", str(folder / "data"), "--ready-file", str(folder / "ready")]
    files = folder / "files"
    files.mkdir()
    for name, source in (functions or {}).items():
        (files / f"{name}.py").write_text(source)
        arguments += ["--function", f"{name}={files / name}.py"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleetgate", "dev", *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()  # what it prints comes after the ready file
            yield _read(json.loads((folder / "ready").read_text()), files)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (folder / "log").read_text()


def _read(ready: Mapping[str, Any], files: Path) -> DevServer:
    claim = ready["claim"]
    return DevServer(
        api_url=ready["api_url"],
        host=ready["mqtt_host"],
        mqtt_port=ready["mqtt_port"],
        https_port=ready["https_port"],
        ca_file=Path(ready["ca_file"]),
        account=ready["account"],
        region=ready["region"],
        access_key_id=ready["access_key_id"],
        secret_access_key=ready["secret_access_key"],
        claim=Identity(Path(claim["certificate_file"]), Path(claim["private_key_file"]), ""),
        template=claim["template_name"],
        folder=files,
        pid=ready["pid"],
    )
