"""A CycloneDX SBOM before ScanSbom sees it, and what ScanSbom says of it (Inspector API reference, "ScanSbom").

Its answer is CycloneDX 1.5 with `vulnerabilities`. Each has several ratings: of NVD, of the vendor, and EPSS's
probability as one more, under the method `other`; the properties of AWS are named in the Inspector user guide, "Using
CycloneDX namespaces".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast
from urllib.parse import unquote

from runbooks import timestamps
from runbooks.definition import SeverityName
from runbooks.errors import BadInput, Outside
from runbooks.gating.vulnerability import Vulnerability, is_malicious

MAX_COMPONENTS = 5_000
"""What ScanSbom takes."""
MAX_BYTES = 10 * 1024 * 1024
"""What ScanSbom answers with at most; the SBOM is part of the answer."""
SPEC_VERSION = "1.5"

Members = Mapping[str, object]

_OURS = "amazon:inspector:sbom_scanner:"
_SEVERITIES: dict[str, SeverityName] = {
    "critical": "CRITICAL",
    "high": "HIGH",
    "medium": "MEDIUM",
    "low": "LOW",
    "info": "INFORMATIONAL",
    "none": "INFORMATIONAL",
}
"""Worst first."""
_MANAGERS = {
    "alpm": "OS",
    "apk": "OS",
    "deb": "OS",
    "rpm": "OS",
    "cargo": "CARGO",
    "composer": "COMPOSER",
    "gem": "BUNDLER",
    "golang": "GOMOD",
    "maven": "POM",
    "npm": "NPM",
    "nuget": "NUGET",
    "pypi": "PIP",
}
"""Types of package URLs -> Inspector's packageManager."""


class Scanned(NamedTuple):
    """What the scan of an SBOM says."""

    vulnerabilities: tuple[Vulnerability, ...]
    components: int
    skipped: int
    """Components that Inspector has no rules for, or cannot name: nothing is known of them."""


def check_sbom(value: object) -> Members:
    """The SBOM, if ScanSbom will take it.

    Raises:
        BadInput: (not-an-sbom, sbom-version, sbom-too-large) It will not.
    """
    if not isinstance(value, dict) or cast(Members, value).get("bomFormat") != "CycloneDX":
        raise BadInput('this is no CycloneDX SBOM in JSON: "bomFormat" is not "CycloneDX"', code="not-an-sbom")
    document = cast(Members, value)
    if (version := document.get("specVersion")) != SPEC_VERSION:
        raise BadInput(
            f"it is CycloneDX {str(version)[:20]}, and Inspector scans {SPEC_VERSION} only: make it as that, for "
            f"example with inspector-sbomgen, or with syft -o cyclonedx-json@{SPEC_VERSION}",
            code="sbom-version",
        )
    count = sum(1 for _ in _components(document))
    if count > MAX_COMPONENTS:
        raise BadInput(
            f"it lists {count:,} components, and Inspector takes {MAX_COMPONENTS:,}: gate it in parts",
            code="sbom-too-large",
        )
    return document


def read_scan(value: object) -> Scanned:
    """What ScanSbom answered.

    Raises:
        Outside: (unreadable-scan) It is not a CycloneDX document, or a vulnerability in it has no id.
    """
    if not isinstance(value, dict) or cast(Members, value).get("bomFormat") != "CycloneDX":
        raise Outside("ScanSbom answered with something that is no CycloneDX document", code="unreadable-scan")
    document = cast(Members, value)
    components = list(_components(document))
    known = {str(each.get("bom-ref")): each for each in components}
    found = [one for each in _objects(document, "vulnerabilities") for one in _vulnerabilities(each, known)]
    return Scanned(tuple(found), len(components), sum(map(_is_skipped, components)))


def _vulnerabilities(each: Members, components: Mapping[str, Members]) -> Iterator[Vulnerability]:
    if not (name := _text(each, "id")):
        raise Outside("ScanSbom answered with a vulnerability that has no id", code="unreadable-scan")
    properties, ratings = _properties(each), _objects(each, "ratings")
    cvss = [rating for rating in ratings if not _is_epss(rating)]
    epss = [score for rating in ratings if _is_epss(rating) and (score := _number(rating, "score")) is not None]
    scores = [score for rating in cvss if (score := _number(rating, "score")) is not None]
    for ref in dict.fromkeys(_text(affected, "ref") for affected in _objects(each, "affects")) or ("",):
        component = components.get(ref, {})
        fixed_in = properties.get(f"fixed_version:{ref}")
        yield Vulnerability(
            id=name,
            title=_text(each, "description")[:200],
            severity=_severity(cvss),
            package=_text(component, "name") or ref or "(a component)",
            installed=unquote(_text(component, "version")),
            fixed_in=fixed_in,
            fix_available=fixed_in is not None,
            manager=_manager(_text(component, "purl")),
            path=_properties(component).get("path"),
            score=max(scores, default=None),
            epss=max(epss, default=None),
            known_exploited_since=_moment(properties.get("cisa_kev_date_added")),
            exploit_available=properties.get("exploit_available") == "true",
            malicious=is_malicious(name) or properties.get("is_malicious") == "true",
            known_since=_moment(_text(each, "created") or None),
            source_url=_text(_object(each, "source"), "url") or None,
        )


def _is_skipped(component: Members) -> bool:
    said = _properties(component)
    return any(said.get(name, "").startswith("Component skipped") for name in ("info", "warning"))


def _severity(ratings: Sequence[Members]) -> SeverityName:
    """The highest that anybody gave: NVD and the vendor may differ, and none of them is always right."""
    given = {_text(rating, "severity").lower() for rating in ratings}
    for word, severity in _SEVERITIES.items():
        if word in given:
            return severity
    return "UNTRIAGED"


def _is_epss(rating: Members) -> bool:
    return _text(_object(rating, "source"), "name").upper() == "EPSS"


def _manager(purl: str) -> str:
    kind = purl.removeprefix("pkg:").partition("/")[0].lower()
    return _MANAGERS.get(kind, kind.upper() or "UNKNOWN")


def _moment(text: str | None) -> datetime | None:
    """In the catalogue's own form a day is enough."""
    if not text:
        return None
    try:
        return timestamps.read(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise Outside(f"ScanSbom answered with a date that is none: {error}", code="unreadable-scan") from None


def _components(document: Members) -> Iterator[Members]:
    """With those inside others."""
    waiting = list(_objects(document, "components"))
    while waiting:
        each = waiting.pop()
        yield each
        waiting += _objects(each, "components")


def _properties(members: Members) -> dict[str, str]:
    """AWS's own, without the namespace."""
    named = ((_text(each, "name"), _text(each, "value")) for each in _objects(members, "properties"))
    return {name.removeprefix(_OURS): value for name, value in named if name.startswith(_OURS)}


def _objects(members: Members, name: str) -> list[Members]:
    listed = members.get(name)
    entries = cast(list[object], listed) if isinstance(listed, list) else []
    return [cast(Members, each) for each in entries if isinstance(each, dict)]


def _object(members: Members, name: str) -> Members:
    inner = members.get(name)
    return cast(Members, inner) if isinstance(inner, dict) else {}


def _text(members: Members, name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _number(members: Members, name: str) -> float | None:
    value = members.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
