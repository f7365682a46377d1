"""Which program this is: what a plan was made by, and what is to carry it out, must be the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from runbooks.chain import canonical

PACKAGES = ("runbooks", "tasks", "flows")
"""What decides, acts and orders. The doors in (deployments) only start it, and the runbooks' YAML has digests of its
own, which the plan carries too."""
LIBRARIES = ("boto3", "botocore", "prefect")
"""What sends the calls, and what suspends and resumes: another version may do otherwise what the same source says."""


@cache
def code_digest() -> str:
    """SHA-256 over the program's sources, by name and content, and the versions of `LIBRARIES`, as 64 hex digits.

    Worked out once in a process. Every flow run has a process of its own, so it is what this run executes; a program
    that is exchanged under a run shows in the next one. A run that is forked has the digest of the process that
    imported the program, and is forked only while that is `digest_on_disk`.
    """
    return digest_on_disk()


def digest_on_disk() -> str:
    """The same of what is installed at this very moment, whatever this process has imported (5 ms)."""
    return digest_of(map(_folder, PACKAGES), {name: version(name) for name in LIBRARIES})


def digest_of(folders: Iterable[Path], versions: dict[str, str]) -> str:
    """The digest of the Python sources in these folders with these versions, in whatever order they are listed."""
    sources = {
        f"{folder.name}/{file.relative_to(folder).as_posix()}": hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in folder.rglob("*.py")
    }
    return hashlib.sha256(canonical({"sources": sources, "versions": versions})).hexdigest()


def _folder(package: str) -> Path:
    """Found without being imported: a task does not import a flow."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed", name=package)
    return Path(found.submodule_search_locations[0])
