"""Anchors: where checkpoints are kept, apart from the database, so that nobody who owns that can change them.

A checkpoint is kept under its size in twelve digits, three to a folder: names sort by size, no folder has more than a
thousand, and the newest is found in four listings however many there are. What is there is never replaced.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from runbooks.errors import LedgerError
from tasks.gateways.aws_errors import acts, code_of, reads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DEPTH = 4
_PART = re.compile(r"[0-9]{3}")
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class Anchor(Protocol):
    """Keeps texts by size."""

    def keep(self, size: int, content: bytes) -> bytes:
        """Keeps it for ever, unless something is kept under that size already. What is kept there now."""
        ...

    def newest(self) -> int | None:
        """The largest size there is."""
        ...

    def sizes(self) -> tuple[int, ...]:
        """All sizes there are, ascending."""
        ...

    def read(self, size: int) -> bytes:
        """What was kept first under that size."""
        ...


class FolderAnchor:
    """A folder of this machine, or one mounted from another. As safe as whoever may write to it.

    Every method raises LedgerError where the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, size: int, content: bytes) -> bytes:
        file = self._folder / _name(size)
        with _told(file):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whole under its name or not there at all: written elsewhere first, then linked, which replaces nothing.
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".") as draft:
                draft.write(content)
                draft.flush()
                os.fchmod(draft.fileno(), 0o444)
                os.fsync(draft.fileno())
                try:
                    os.link(draft.name, file)
                except FileExistsError:
                    return file.read_bytes()
            _flush_folder(file.parent)
        return content

    def newest(self) -> int | None:
        return next(_walk(self._parts, reverse=True), None)

    def sizes(self) -> tuple[int, ...]:
        return tuple(_walk(self._parts))

    def read(self, size: int) -> bytes:
        file = self._folder / _name(size)
        with _told(file):
            return file.read_bytes()

    def _parts(self, prefix: str) -> list[str]:
        folder = self._folder / prefix
        with _told(folder):
            return [each.name for each in folder.iterdir()] if folder.exists() else []


class S3Anchor:
    """A bucket with Object Lock: for the time given no one, its owner included, can change or delete what is kept.

    A delete marker can still hide an object, and another version be written on top. So versions are listed, never
    objects, and the first version counts. (S3 User Guide, "How S3 Object Lock works"; API reference, PutObject:
    If-None-Match.)

    Args:
        client: of S3.
        bucket: made with Object Lock.
        prefix: what the names begin with; empty, or ending in a slash.
        retention: how long nothing can be changed.
        now: the time.
    """

    def __init__(
        self, client: S3Client, bucket: str, prefix: str, retention: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._retention = retention
        self._now = now

    @acts()
    def keep(self, size: int, content: bytes) -> bytes:
        """As `Anchor.keep`.

        Raises:
            AnswerLost, Throttled, AccessDenied, Outside: It may or may not be kept: the same again is safe.
        """
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + _name(size),
                Body=content,
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=self._now() + self._retention,
            )
        except ClientError as error:
            if code_of(error) not in _TAKEN:
                raise
        return self._first_version(size)

    @reads()
    def newest(self) -> int | None:
        return next(_walk(self._parts, reverse=True), None)

    @reads()
    def sizes(self) -> tuple[int, ...]:
        names: set[str] = set()
        for page in self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        ):
            names |= {version.get("Key", "").removeprefix(self._prefix) for version in page.get("Versions", [])}
        return tuple(sorted(size for name in names if (size := _size(name)) is not None))

    @reads()
    def read(self, size: int) -> bytes:
        return self._first_version(size)

    def _first_version(self, size: int) -> bytes:
        key = self._prefix + _name(size)
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
        versions = [each for page in pages for each in page.get("Versions", []) if each.get("Key") == key]
        if not versions:
            raise LedgerError(f"checkpoint {size} is not in s3://{self._bucket}/{key}", code="no-checkpoint")
        oldest = versions[-1].get("VersionId", "null")  # S3 lists the newest version of a key first
        return self._client.get_object(Bucket=self._bucket, Key=key, VersionId=oldest)["Body"].read()

    def _parts(self, prefix: str) -> list[str]:
        """The next parts of the names that begin so."""
        start = self._prefix + prefix
        parts: set[str] = set()
        for page in self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=start, Delimiter="/"
        ):
            parts |= {each.get("Prefix", "").removeprefix(start).rstrip("/") for each in page.get("CommonPrefixes", [])}
            parts |= {each.get("Key", "").removeprefix(start) for each in page.get("Versions", [])}
        return list(parts)


def _name(size: int) -> str:
    digits = f"{size:012d}"
    return "/".join(digits[at : at + 3] for at in range(0, 12, 3))


def _size(name: str) -> int | None:
    """The size behind a name; None of what is no name of ours."""
    parts = name.split("/")
    return int("".join(parts)) if len(parts) == _DEPTH and all(map(_PART.fullmatch, parts)) else None


def _walk(parts: Callable[[str], list[str]], prefix: str = "", *, reverse: bool = False) -> Iterator[int]:
    """The sizes below a prefix, in order; no folder is listed before it is come to."""
    depth = prefix.count("/") + 1
    for part in sorted(filter(_PART.fullmatch, parts(prefix)), reverse=reverse):
        if depth == _DEPTH:
            yield int((prefix + part).replace("/", ""))
        else:
            yield from _walk(parts, f"{prefix}{part}/", reverse=reverse)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(f"anchor {path}: {error.strerror}; make its folder readable and writable") from error


def _flush_folder(folder: Path) -> None:
    """The name is on the disk too when this returns."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
