"""Buckets: folders of the server that input files come from.

A bucket and the parts of a key are each one plain name, opened one after the other and never through a symbolic link,
so that no name leads out of the folder of buckets. Below it, a folder named like an account has that account's own
buckets; the others are everybody's.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

from fleetgate.config import Config
from fleetgate.errors import InvalidRequest
from fleetgate.registry.tasks import Input

_BUCKET: Final = re.compile(r"[a-zA-Z0-9._-]{3,256}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_PART: Final = re.compile(r"[a-zA-Z0-9!_.*'()-]+")
_LONGEST_KEY: Final = 1024
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe must not make the server wait


def root(config: Config) -> Path:
    """The folder whose folders are the buckets."""
    return config.bulk.buckets or config.server.data_dir / "buckets"


def of_account(folder: Path, account: str, bucket: str) -> Path:
    """The folder that has *bucket* for *account*: its own, or else everybody's *folder*."""
    own = folder / account
    return own if is_there(own, bucket) else folder


def is_there(folder: Path, bucket: str) -> bool:
    """Is there a bucket of that name, usable or not?"""
    named = _BUCKET.fullmatch(bucket) is not None and bucket.strip(".") != "" and not _ACCOUNT.fullmatch(bucket)
    return named and os.path.lexists(folder / bucket)


def look(folder: Path, bucket: str, key: str) -> Input:
    """The file as it is now. Raises InvalidRequest: a bad name, or no plain file there."""
    with _opened(folder, bucket, key) as file:
        return _described(file, bucket, key)


def reopen(folder: Path, source: Input) -> BinaryIO:
    """The file that *source* describes. Raises InvalidRequest as `look`, and when it was changed since."""
    file = _opened(folder, source.bucket, source.key)
    if _described(file, source.bucket, source.key) == source:
        return file
    file.close()
    raise InvalidRequest(
        f"{source.key} in bucket {source.bucket} was changed after the task was started; start another one."
    )


def _described(file: BinaryIO, bucket: str, key: str) -> Input:
    found = os.fstat(file.fileno())
    return Input(bucket, key, found.st_size, found.st_mtime_ns // 1_000_000)


def _opened(folder: Path, bucket: str, key: str) -> BinaryIO:
    *folders, name = _names(bucket, key)
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for each in folders:
                inner = os.open(each, _FOLDER, dir_fd=at)
                os.close(at)
                at = inner
            descriptor = os.open(name, _FILE, dir_fd=at)
        finally:
            os.close(at)
    except OSError as error:
        raise InvalidRequest(
            f"There is no file {key} in bucket {bucket} ({error.strerror}). A bucket is a folder below the server's "
            "folder of buckets, where symbolic links are not followed, or one in S3 if that is configured ([s3])."
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidRequest(f"{key} in bucket {bucket} is not a plain file.")
    return os.fdopen(descriptor, "rb")


def _names(bucket: str, key: str) -> list[str]:
    if _ACCOUNT.fullmatch(bucket):
        raise InvalidRequest(f"The bucket name {bucket} is an account's: name a bucket of that account's folder.")
    if not _BUCKET.fullmatch(bucket) or bucket.strip(".") == "":
        raise InvalidRequest(f"The bucket name {bucket!r} does not match {_BUCKET.pattern}.")
    parts = key.split("/")
    if len(key) > _LONGEST_KEY or not all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        raise InvalidRequest(
            f"The key {key[:100]!r} must be at most {_LONGEST_KEY} characters: names that match {_PART.pattern}, none "
            "of them . or .., with a single / between them."
        )
    return [bucket, *parts]
