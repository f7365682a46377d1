"""The zips of Lambda functions, held to their SHA-256: that of a build, and that of a version, to be put back."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPException
from typing import Any
from urllib.request import urlopen

from runbooks.errors import Outside
from runbooks.function_package import FunctionPackage
from tasks.gateways.functions import LATEST, Members

_SECONDS = 20
_PIECE = 1024 * 1024


def version_with(versions: Sequence[Members], code_sha256: str) -> Members | None:
    """The newest published version with this very code; None where there is none."""
    published = [raw for raw in versions if raw["Version"] != LATEST and raw["CodeSha256"] == code_sha256]
    return max(published, key=lambda raw: int(raw["Version"]), default=None)


def check_package(client: Any, package: FunctionPackage) -> None:
    """That the zip is the one that the build has made: whoever writes to its bucket could have exchanged it since.

    Raises:
        Outside: it is another one (`not-what-was-built`).
    """
    version = {"VersionId": package.version} if package.version else {}
    answer = client.get_object(Bucket=package.bucket, Key=package.key, **version)
    found = hashlib.sha256()
    with closing(answer["Body"]) as body:
        for piece in body.iter_chunks(_PIECE):
            found.update(piece)
    if _base64(found.digest()) != package.code_sha256:
        raise Outside(f"{package.address} is not what build {package.build} has made", code="not-what-was-built")


def read_code(client: Any, function: str, version: str, code_sha256: str) -> bytes:
    """The zip of a version. It goes through this process's memory, and nowhere else.

    Raises:
        Outside: it could not be read, or is another one.
    """
    answer = client.get_function(FunctionName=function, Qualifier=version)
    what = f"the code of version {version} of {function}"
    content = _fetched(answer["Code"]["Location"], what)
    if _base64(hashlib.sha256(content).digest()) != code_sha256:
        raise Outside(f"{what} is not what Lambda says that it is")
    return content


def _base64(digest: bytes) -> str:
    """As Lambda gives a CodeSha256."""
    return b64encode(digest).decode()


def _fetched(location: str, what: str) -> bytes:
    """What is at an address that Lambda has signed, for ten minutes (Lambda API reference, GetFunction).

    The address is as good as the code, so that nothing may say it: httpx would log it.
    """
    try:
        with urlopen(location, timeout=_SECONDS) as answer:  # noqa: S310 - it is Lambda that names it
            content: bytes = answer.read()
    except (OSError, HTTPException) as error:
        raise Outside(f"{what} cannot be read: {type(error).__name__}", code="unreachable") from None
    return content
