"""A CycloneDX document as ScanSbom takes and answers it: its components, their package URLs, and AWS's properties.

What has another shape than it should is as if it were not there. AWS's properties are named in the Inspector user
guide, "Using CycloneDX namespaces".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from runbooks.strict_json import entries_of, members_of

Members = Mapping[str, object]

_OURS = "amazon:inspector:sbom_scanner:"


class PackageUrl(NamedTuple):
    """As much of a component's package URL as says what its package is (Package URL specification)."""

    type: str
    """deb, npm, pypi, ...; empty where there is none."""
    package: str
    """Type, namespace, name and version."""
    system: str
    """Of a package of an operating system, which: the namespace and its release."""

    @classmethod
    def of(cls, component: Members) -> PackageUrl:
        plain, _, qualifiers = text_of(component, "purl").partition("#")[0].partition("?")
        kind, _, path = unquote(plain.removeprefix("pkg:").strip("/")).lower().partition("/")
        namespace = (path.rpartition("@")[0] or path).rpartition("/")[0]
        package = f"{kind}/{path}" if kind else ""
        return cls(kind, package, f"{namespace} {dict(parse_qsl(qualifiers)).get('distro', '')}".strip())


def is_cyclonedx(value: object) -> bool:
    """Whether it says so of itself."""
    return members_of(value).get("bomFormat") == "CycloneDX"


def components_of(document: Members) -> Iterator[Members]:
    """With those inside others, as they stand there."""
    waiting = objects_of(document, "components")[::-1]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += objects_of(each, "components")[::-1]


def name_of(component: Members) -> str:
    """With its group, as Inspector's findings in images have it, too: org.slf4j:slf4j-api, @angular/core."""
    purl = PackageUrl.of(component)
    parts = filter(None, (text_of(component, "group"), text_of(component, "name")))
    return (":" if purl.type == "maven" else "/").join(parts) or purl.package or text_of(component, "bom-ref")


def full_names(document: Members) -> dict[str, str]:
    """Package -> its name. ScanSbom answers with the last part only: of github.com/cespare/xxhash/v2 with v2."""
    named = ((PackageUrl.of(each).package, name_of(each)) for each in components_of(document))
    return {package: name for package, name in named if package}


def properties_of(members: Members) -> dict[str, str]:
    """AWS's own, without the namespace."""
    named = ((text_of(each, "name"), text_of(each, "value")) for each in objects_of(members, "properties"))
    return {name.removeprefix(_OURS): value for name, value in named if name.startswith(_OURS)}


def objects_of(members: Members, name: str) -> list[Members]:
    return [found for each in entries_of(members.get(name)) if (found := members_of(each))]


def object_of(members: Members, name: str) -> Members:
    return members_of(members.get(name))


def text_of(members: Members, name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def number_of(members: Members, name: str) -> float | None:
    value = members.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
