"""The packages in a Lambda deployment package or layer, read from the zip itself as a scanner would.

Python: `NAME-VERSION.dist-info` folders and the pinned lines of `requirements.txt`; Node.js: what `package.json` says
below `node_modules`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator

from deployments.sandbox.world import Package

LANGUAGE_ARCH = "all"

_DIST_INFO = re.compile(r"(?:^|/)(?P<name>[^/]+?)-(?P<version>\d[^/-]*)\.dist-info/METADATA$")
_PINNED = re.compile(r"^\s*(?P<name>[A-Za-z0-9._-]+)\s*==\s*(?P<version>[^\s;#]+)", re.MULTILINE)
_NODE_MODULE = re.compile(r"(?:^|/)node_modules/(?:@[^/]+/)?[^/]+/package\.json$")


def packages_in(zipped: bytes, source: str | None = None) -> tuple[Package, ...]:
    """What a zip holds; `source` names the layer version it is. A file that is no zip holds nothing."""
    if not zipfile.is_zipfile(io.BytesIO(zipped)):
        return ()
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        return tuple(
            Package(name, LANGUAGE_ARCH, version, manager, path, source)
            for path in archive.namelist()
            for manager, name, version in _read(archive, path)
        )


def zip_of(files: dict[str, str]) -> bytes:
    """A zip with these files, the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return buffer.getvalue()


def python_layer(packages: dict[str, str]) -> bytes:
    """A layer with these Python packages, by name and version."""
    return zip_of(
        {
            f"python/{name}-{version}.dist-info/METADATA": f"Name: {name}\nVersion: {version}\n"
            for name, version in packages.items()
        }
    )


def _read(archive: zipfile.ZipFile, path: str) -> Iterator[tuple[str, str, str]]:
    found = _DIST_INFO.search(path)
    if found:
        yield "PIP", found["name"].lower(), found["version"]
    elif path.rpartition("/")[2] == "requirements.txt":
        for line in _PINNED.finditer(archive.read(path).decode()):
            yield "PIP", line["name"].lower(), line["version"]
    elif _NODE_MODULE.search(path):
        stated = json.loads(archive.read(path))
        yield "NPM", stated["name"], stated["version"]
