"""A CycloneDX SBOM before ScanSbom sees it, and what ScanSbom says of it (Inspector API reference, "ScanSbom").

Its answer is CycloneDX 1.5 with `vulnerabilities`. Each has several ratings: of NVD, of the vendor, and EPSS's
probability as one more, under the method `other`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import unquote

from runbooks import timestamps
from runbooks.definition import SeverityName
from runbooks.errors import BadInput, Outside
from runbooks.gating.cyclonedx import (
    Members,
    PackageUrl,
    components_of,
    full_names,
    is_cyclonedx,
    name_of,
    number_of,
    object_of,
    objects_of,
    properties_of,
    text_of,
)
from runbooks.gating.judgement import Unscanned
from runbooks.gating.unscanned import unscanned
from runbooks.gating.vulnerability import Vulnerability, is_malicious
from runbooks.packages import without_epoch_zero
from runbooks.strict_json import members_of

MAX_COMPONENTS = 5_000
"""What ScanSbom takes."""
MAX_BYTES = 10 * 1024 * 1024
"""What ScanSbom answers with at most; the SBOM is part of the answer."""
SPEC_VERSION = "1.5"

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
    packages: int
    """Components with a package URL."""
    unscanned: tuple[Unscanned, ...]


def check_sbom(value: object) -> Members:
    """The SBOM, if ScanSbom will take it.

    Raises:
        BadInput: (not-an-sbom, sbom-version, sbom-too-large) It will not.
    """
    if not is_cyclonedx(value):
        raise BadInput('this is no CycloneDX SBOM in JSON: "bomFormat" is not "CycloneDX"', code="not-an-sbom")
    document = members_of(value)
    if (version := document.get("specVersion")) != SPEC_VERSION:
        raise BadInput(
            f"it is CycloneDX {str(version)[:20]}, and Inspector scans {SPEC_VERSION} only: make it as that, for "
            f"example with inspector-sbomgen, or with syft -o cyclonedx-json@{SPEC_VERSION}",
            code="sbom-version",
        )
    count = sum(1 for _ in components_of(document))
    if count > MAX_COMPONENTS:
        raise BadInput(
            f"it lists {count:,} components, and Inspector takes {MAX_COMPONENTS:,}: gate it in parts",
            code="sbom-too-large",
        )
    return document


def read_scan(value: object, sent: Members) -> Scanned:
    """What ScanSbom answered.

    Args:
        sent: the SBOM that it was given.

    Raises:
        Outside: (unreadable-scan) It is not a CycloneDX document, or a vulnerability in it has no id.
    """
    if not is_cyclonedx(value):
        raise Outside("ScanSbom answered with something that is no CycloneDX document", code="unreadable-scan")
    answer = members_of(value)
    components = list(components_of(answer))
    known, names = {text_of(each, "bom-ref"): each for each in components}, full_names(sent)
    found = [one for each in objects_of(answer, "vulnerabilities") for one in _vulnerabilities(each, known, names)]
    packages = sum(bool(PackageUrl.of(each).type) for each in components)
    return Scanned(tuple(found), packages, unscanned(sent, answer))


def _vulnerabilities(
    each: Members, components: Mapping[str, Members], names: Mapping[str, str]
) -> Iterator[Vulnerability]:
    if not (name := text_of(each, "id")):
        raise Outside("ScanSbom answered with a vulnerability that has no id", code="unreadable-scan")
    properties, ratings = properties_of(each), objects_of(each, "ratings")
    cvss = [rating for rating in ratings if not _is_epss(rating)]
    epss = [score for rating in ratings if _is_epss(rating) and (score := number_of(rating, "score")) is not None]
    scores = [score for rating in cvss if (score := number_of(rating, "score")) is not None]
    for ref in dict.fromkeys(text_of(affected, "ref") for affected in objects_of(each, "affects")) or ("",):
        component = components.get(ref, {})
        fixed_in = without_epoch_zero(properties.get(f"fixed_version:{ref}"))
        yield Vulnerability(
            id=name,
            title=text_of(each, "description")[:200],
            severity=_severity(cvss),
            package=names.get(PackageUrl.of(component).package) or name_of(component) or ref or "(a component)",
            installed=unquote(text_of(component, "version")),
            fixed_in=fixed_in,
            fix_available=fixed_in is not None,
            manager=_manager(component),
            path=properties_of(component).get("path"),
            score=max(scores, default=None),
            epss=max(epss, default=None),
            known_exploited_since=_moment(properties.get("cisa_kev_date_added")),
            exploit_available=properties.get("exploit_available") == "true",
            malicious=is_malicious(name) or properties.get("is_malicious") == "true",
            known_since=_moment(text_of(each, "created") or None),
            source_url=text_of(object_of(each, "source"), "url") or None,
        )


def _severity(ratings: Sequence[Members]) -> SeverityName:
    """The highest that anybody gave: NVD and the vendor may differ, and none of them is always right."""
    given = {text_of(rating, "severity").lower() for rating in ratings}
    for word, severity in _SEVERITIES.items():
        if word in given:
            return severity
    return "UNTRIAGED"


def _is_epss(rating: Members) -> bool:
    return text_of(object_of(rating, "source"), "name").upper() == "EPSS"


def _manager(component: Members) -> str:
    kind = PackageUrl.of(component).type
    return _MANAGERS.get(kind, kind.upper() or "UNKNOWN")


def _moment(text: str | None) -> datetime | None:
    """In the catalogue's own form a day is enough."""
    if not text:
        return None
    try:
        return timestamps.read(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    except ValueError as error:
        raise Outside(f"ScanSbom answered with a date that is none: {error}", code="unreadable-scan") from None
