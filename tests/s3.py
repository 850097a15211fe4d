"""An S3 for tests: moto's server as a process of its own, which checks signatures and whose key may do what."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from tests.process import free_port

_PATIENCE = 30.0
REGION = "eu-central-1"
BUCKET = "factory-lines"
"""What the access key may read and write."""
CLOSED = "somebody-elses"
"""What it may not."""
_RIGHTS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]},
        {"Effect": "Allow", "Action": "s3:CreateBucket", "Resource": "*"},
    ],
}


@dataclass(frozen=True, slots=True)
class S3Server:
    url: str
    credentials_file: Path
    client: Any
    """boto3's, with the key in the file."""

    @property
    def settings(self) -> dict[str, Any]:
        """For a fleetgate that reads from here."""
        return {
            "s3.endpoint": self.url,
            "s3.region": REGION,
            "s3.credentials_file": str(self.credentials_file),
        }

    def put(self, key: str, text: str) -> dict[str, str]:
        """Upload a file; where a task finds it."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        return {"inputFileBucket": BUCKET, "inputFileKey": key}


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """A server with two buckets and one access key."""
    port = free_port()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
        # Nobody can have a right before these four requests; from then on every signature and right is checked.
        env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "4"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        url = f"http://127.0.0.1:{port}"
        nobody: Any = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing", "region_name": REGION}
        iam = boto3.client("iam", endpoint_url=url, **nobody)
        iam.create_user(UserName="fleetgate")
        iam.put_user_policy(UserName="fleetgate", PolicyName="read", PolicyDocument=json.dumps(_RIGHTS))
        key = iam.create_access_key(UserName="fleetgate")["AccessKey"]
        place: Any = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
        boto3.client("s3", endpoint_url=url, **nobody).create_bucket(Bucket=CLOSED, **place)
        credentials = folder / "s3-credentials"
        credentials.write_text(
            f"[default]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
        )
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )
        client.create_bucket(Bucket=BUCKET, **place)
        yield S3Server(url, credentials, client)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
