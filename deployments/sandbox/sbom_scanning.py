"""Amazon Inspector Scan: a CycloneDX bill of materials in, its vulnerabilities out, by the sandbox's advisories.

A component is known by its package URL (purl specification: type, name, version, qualifiers). As with Inspector one
without it, or without a version, is skipped with a warning, and for one of a type that has no rules none are found.
Go's names are cut to their last part. Output is CycloneDX 1.5 with `amazon:inspector:sbom_scanner` properties, or
Inspector's own form (Inspector user guide, "Using CycloneDX namespaces with Amazon Inspector"; API reference,
ScanSbom).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.platforms import is_older
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import Advisory, VulnerablePackage

_MOST_COMPONENTS = 5000
_OS_TYPES = frozenset({"deb", "rpm", "apk"})
_MANAGERS = {
    "pypi": ("PIP", "PYTHONPKG", "PIPENV", "POETRY"),
    "npm": ("NPM", "YARN", "NODEPKG"),
    "maven": ("JAR", "POM"),
    "golang": ("GOBINARY", "GOMOD"),
    "gem": ("BUNDLER", "GEMSPEC"),
    "nuget": ("NUGET", "DOTNET_CORE"),
    "cargo": ("CARGO",),
    "composer": ("COMPOSER",),
}
_SCANNER = "amazon:inspector:sbom_scanner"
_COUNTED = ("critical", "high", "medium", "low")


@dataclass(frozen=True)
class PackageUrl:
    """A package URL, as far as it matters here."""

    type: str
    namespace: str
    name: str
    version: str
    qualifiers: dict[str, str]


@dataclass(frozen=True)
class Match:
    """A component that an advisory is about, and the version that fixes it."""

    reference: str
    purl: str
    fixed_in: str | None


@operation("inspector-scan", "ScanSbom")
def scan_sbom(call: Call) -> dict[str, Any]:
    """Scan a bill of materials; nothing is kept of it."""
    sbom = copy.deepcopy(call.params["sbom"])
    if not isinstance(sbom, dict) or sbom.get("bomFormat") != "CycloneDX" or str(sbom.get("specVersion")) != "1.5":
        raise AwsError("ValidationException", "The SBOM must be in CycloneDX 1.5 format.")
    components = list(_components(sbom))
    if len(components) > _MOST_COMPONENTS:
        raise AwsError("ValidationException", f"The SBOM has more than {_MOST_COMPONENTS} components.")
    for number, component in enumerate(components, start=1):
        component.setdefault("bom-ref", f"comp-{number}")
    found = [(advisory, _matches(advisory, components)) for advisory in call.world.advisories]
    found = [(advisory, matches) for advisory, matches in found if matches]
    if call.params.get("outputFormat", "CYCLONE_DX_1_5") == "CYCLONE_DX_1_5":
        return {"sbom": _cyclonedx(sbom, components, found)}
    return {"sbom": _inspector(components, found)}


def _components(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """With those inside others."""
    for component in holder.get("components") or []:
        yield component
        yield from _components(component)


def _matches(advisory: Advisory, components: list[dict[str, Any]]) -> list[Match]:
    return [
        Match(component["bom-ref"], component["purl"], package.fixed_in)
        for component in components
        for package in advisory.packages
        if (purl := _purl(component)) and _is_about(advisory, package, purl)
    ]


def _is_about(advisory: Advisory, package: VulnerablePackage, purl: PackageUrl) -> bool:
    if package.manager == "OS":
        known = purl.type in _OS_TYPES and _is_of(advisory, purl)
    else:
        known = package.manager in _MANAGERS.get(purl.type, ())
    named = package.name in (purl.name, f"{purl.namespace}/{purl.name}", f"{purl.namespace}:{purl.name}")
    if not known or not named or not purl.version:
        return False
    version = f"{epoch}:{purl.version}" if (epoch := purl.qualifiers.get("epoch")) else purl.version
    return package.fixed_in is None or is_older(advisory.platform, package.manager, version, package.fixed_in)


def _is_of(advisory: Advisory, purl: PackageUrl) -> bool:
    """Whether an operating system's package is of the advisory's release, as far as its `distro` qualifier says."""
    distro = purl.qualifiers.get("distro")
    family = {"deb": advisory.platform.is_debian, "apk": advisory.platform.code.startswith("ALPINE")}
    if not family.get(purl.type, not advisory.platform.is_debian):
        return False
    return not distro or distro.rpartition("-")[2].startswith(advisory.platform.release)


def _purl(component: dict[str, Any]) -> PackageUrl | None:
    """The component's package URL: pkg:type/namespace/name@version?qualifiers#subpath."""
    scheme, _, rest = str(component.get("purl") or "").partition("#")[0].partition(":")
    path, _, qualifiers = rest.partition("?")
    path, _, version = path.strip("/").rpartition("@") if "@" in path else (path.strip("/"), "", "")
    kind, _, full_name = path.partition("/")
    namespace, _, name = full_name.rpartition("/")
    if scheme != "pkg" or not name:
        return None
    return PackageUrl(kind.lower(), unquote(namespace), unquote(name), unquote(version), dict(parse_qsl(qualifiers)))


def _cyclonedx(
    sbom: dict[str, Any], components: list[dict[str, Any]], found: list[tuple[Advisory, list[Match]]]
) -> dict[str, Any]:
    vulnerable = {match.reference for _, matches in found for match in matches}
    for component in components:
        _cut_name(component)
        if component["bom-ref"] not in vulnerable:
            _say(component, *_outcome(component))
    counts = _counts(found)
    for name in _COUNTED:
        _say(sbom.setdefault("metadata", {}), f"{name}_vulnerabilities", str(counts[name]))
    sbom["vulnerabilities"] = [
        _vulnerability(number, advisory, matches) for number, (advisory, matches) in enumerate(found, start=1)
    ]
    return sbom


def _outcome(component: dict[str, Any]) -> tuple[str, str]:
    """Which property says it, and what, of a component without vulnerabilities."""
    purl = _purl(component)
    if purl is None:
        return "warning", "Component skipped: no purl provided."
    if not purl.version:
        return "warning", "Component skipped: unresolved version provided."
    if purl.type not in _OS_TYPES | set(_MANAGERS):
        return "info", "Component skipped: no rules found."
    return "info", "Component scanned: no vulnerabilities found."


def _cut_name(component: dict[str, Any]) -> None:
    purl = _purl(component)
    if purl is not None and purl.type == "golang":
        component["name"] = purl.name


def _vulnerability(number: int, advisory: Advisory, matches: list[Match]) -> dict[str, Any]:
    body, severity = advisory.body, advisory.body["severity"].lower()
    source = (body.get("packageVulnerabilityDetails") or {}).get("source", "NVD")
    rating: dict[str, Any] = {"source": {"name": source}, "severity": severity, "method": "CVSSv31"}
    if body.get("inspectorScore") is not None:
        rating["score"] = body["inspectorScore"]
    ratings = [rating]
    score = _epss(advisory)
    if score is not None:
        epss = {"name": "EPSS", "url": "https://www.first.org/epss/"}
        ratings.append({"source": epss, "score": score, "severity": "none", "method": "other"})
    shown: dict[str, Any] = {
        "bom-ref": f"vuln-{number}",
        "id": advisory.vulnerability_id,
        "source": {"name": source},
        "ratings": ratings,
        "description": body["description"],
        "affects": [{"ref": match.reference} for match in matches],
    }
    for name, value in _intelligence(advisory).items():
        _say(shown, name, value)
    for match in matches:
        if match.fixed_in:
            _say(shown, f"fixed_version:{match.reference}", match.fixed_in)
    return shown


def _inspector(components: list[dict[str, Any]], found: list[tuple[Advisory, list[Match]]]) -> dict[str, Any]:
    counts = _counts(found)
    noun = "vulnerability" if len(found) == 1 else "vulnerabilities"
    return {
        "status": f"SBOM parsed successfully, {len(found)} {noun} found",
        "inspector": {
            "messages": [
                {"name": component.get("name", ""), said[0]: said[1]}
                for component in components
                if (said := _outcome(component))[1].startswith("Component skipped")
            ],
            "vulnerability_count": {name: counts[name] for name in _COUNTED},
            "vulnerabilities": [
                {
                    "id": advisory.vulnerability_id,
                    "severity": advisory.body["severity"].lower(),
                    "description": advisory.body["description"],
                    "properties": _intelligence(advisory) | {"epss": _epss(advisory)},
                    "affects": [
                        {"installed_version": match.purl, "fixed_version": match.fixed_in} for match in matches
                    ],
                }
                for advisory, matches in found
            ],
        },
    }


def _epss(advisory: Advisory) -> float | None:
    return (advisory.body.get("epss") or {}).get("score")


def _intelligence(advisory: Advisory) -> dict[str, str]:
    """What is known of exploitation, by the names of the scanner's properties."""
    shown: dict[str, str] = {}
    if advisory.body.get("exploitAvailable") == "YES":
        shown["exploit_available"] = "true"
    observed = advisory.details.get("exploitObserved")
    if observed:
        shown["exploit_last_seen_in_public"] = _moment(observed["lastSeen"])
    listed = advisory.details.get("cisaData")
    if listed:
        shown["cisa_kev_date_added"] = _moment(listed["dateAdded"])
        shown["cisa_kev_date_due"] = _moment(listed["dateDue"])
    return shown


def _counts(found: list[tuple[Advisory, list[Match]]]) -> Counter[str]:
    return Counter(advisory.body["severity"].lower() for advisory, _ in found)


def _say(subject: dict[str, Any], name: str, value: str) -> None:
    subject.setdefault("properties", []).append({"name": f"{_SCANNER}:{name}", "value": value})


def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")
