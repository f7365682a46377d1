"""The advisory behind a finding that is furnished: what Inspector knows of it, and whether there is a fix to be had."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from deployments.sandbox.finding_body import advisory_body
from deployments.sandbox.payload import StatedFinding
from deployments.sandbox.world import Advisory, World

_ADDED = timedelta(days=3)
_DUE = timedelta(days=21)
_FIRST_SEEN = timedelta(days=5)
_LAST_SEEN = timedelta(days=1)


def ensure_advisory(
    world: World,
    stated: StatedFinding,
    *,
    known_exploited: bool = False,
    exploit_observed: bool = False,
    patch_available: bool = True,
) -> Advisory:
    """Have Inspector know the finding's vulnerability.

    Args:
        known_exploited: it is in CISA's catalogue of known exploited vulnerabilities.
        exploit_observed: it was seen exploited by Inspector's sources.
        patch_available: the repositories of packages hold the fixed versions.
    """
    for known in world.advisories:
        same = known.vulnerability_id == stated.vulnerability_id and known.platform == stated.platform
        if same and known.packages == stated.vulnerable_packages:
            return known
    details = _details(stated.finding)
    if known_exploited:
        added = world.now - _ADDED
        action = "Apply mitigations per vendor instructions."
        details["cisaData"] = {"dateAdded": added, "dateDue": added + _DUE, "action": action}
    if exploit_observed:
        details["exploitObserved"] = {"firstSeen": world.now - _FIRST_SEEN, "lastSeen": world.now - _LAST_SEEN}
    body = advisory_body(stated.finding)
    advisory = Advisory(stated.vulnerability_id, stated.platform, stated.vulnerable_packages, body, details)
    world.advisories.append(advisory)
    for package in advisory.packages:
        if patch_available and package.fixed_in:
            world.repository[stated.platform.code, package.name] = package.fixed_in
    return advisory


def _details(finding: dict[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "cwes": [],
        "referenceUrls": list((finding.get("packageVulnerabilityDetails") or {}).get("referenceUrls") or []),
        "riskScore": round(10 * float(finding.get("inspectorScore") or 0)),
        "tools": [],
        "ttps": [],
    }
    score = (finding.get("epss") or {}).get("score")
    return details | ({"epssScore": score} if score is not None else {})
