"""Where the input file of a bulk registration is: in a bucket that is a folder of the server, or in S3.

A bucket is the server's where there is a folder of that name, and otherwise S3's where that is configured. A task that
began with the one never goes on with the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from fleetgate.config import Config
from fleetgate.errors import InvalidRequest
from fleetgate.provisioning import bucket as folders
from fleetgate.provisioning import s3
from fleetgate.registry.tasks import Input


def look(config: Config, account: str, bucket: str, key: str, clock: Callable[[], int]) -> Input:
    """The file as it is now, for *account*. Blocks. Raises InvalidRequest: it cannot be read; Unavailable: not now."""
    folder = folders.of_account(folders.root(config), account, bucket)
    if config.s3.credentials_file is None or folders.is_there(folder, bucket):
        return folders.look(folder, bucket, key)
    return s3.look(config.s3, bucket, key, clock)


def reopen(config: Config, account: str, source: Input, clock: Callable[[], int]) -> BinaryIO | s3.Object:
    """The file that *source* describes. Blocks. Raises as `look`, and InvalidRequest when it was changed since."""
    if source.etag is None:
        return folders.reopen(folders.of_account(folders.root(config), account, source.bucket), source)
    if config.s3.credentials_file is None:
        raise InvalidRequest(
            f"{source.key} is in S3 bucket {source.bucket}, and this server has no access to S3 any more "
            "(s3.credentials_file)."
        )
    return s3.reopen(config.s3, source, clock)
