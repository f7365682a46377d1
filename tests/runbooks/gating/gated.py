"""Values for tests of the gate: each with what every test would write anyway.

The default is one story: checkout, a Debian image with a zlib1g that has a HIGH vulnerability and a fix for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.gating import AcceptedRisk, Gate, Judgement, Refuse, Seen, Subject, Vulnerability, judge

ACCOUNT, REGION, REPOSITORY = "210987654321", "eu-west-1", "team/checkout"
DIGEST = f"sha256:{'5e' * 32}"
URI = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}"
ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}/{DIGEST}"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CVE = "CVE-2026-10002"


def a_subject(**values: Any) -> Subject:
    chosen: dict[str, Any] = {
        "kind": "image",
        "name": URI,
        "digest": DIGEST,
        "account": ACCOUNT,
        "region": REGION,
        "repository": REPOSITORY,
        "tags": ("1.4.0",),
    }
    return Subject(**(chosen | values))


def a_vulnerability(**values: Any) -> Vulnerability:
    chosen: dict[str, Any] = {
        "id": CVE,
        "title": f"{CVE} - zlib1g",
        "severity": "HIGH",
        "package": "zlib1g",
        "installed": "1:1.2.13.dfsg-1",
        "fixed_in": "1:1.2.13.dfsg-2",
        "fix_available": True,
        "epss": 0.01,
        "known_since": datetime(2026, 2, 27, tzinfo=UTC),
    }
    return Vulnerability(**(chosen | values))


def without_a_fix(**values: Any) -> Vulnerability:
    return a_vulnerability(fixed_in=None, fix_available=False, **values)


def a_gate(**values: Any) -> Gate:
    chosen: dict[str, Any] = {"name": "test", "title": "A gate", "refuse": Refuse(severities=("CRITICAL", "HIGH"))}
    return Gate(**(chosen | values))


def an_accepted_risk(**values: Any) -> AcceptedRisk:
    chosen: dict[str, Any] = {
        "vulnerability": CVE,
        "owner": "jane@example.com",
        "reason": "The parser is never given input from outside.",
        "compensating_controls": ("Nothing listens.",),
        "expires": "2026-03-31",
    }
    return AcceptedRisk.model_validate(chosen | values)


def judged(*vulnerabilities: Vulnerability, gate: Gate | None = None, **seen: Any) -> Judgement:
    return judge(gate or a_gate(), a_subject(), Seen(vulnerabilities=vulnerabilities, **seen), NOW)


def a_finding(**values: Any) -> Finding:
    chosen: dict[str, Any] = {
        "arn": f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{'0' * 31}1",
        "type": "PACKAGE_VULNERABILITY",
        "status": "ACTIVE",
        "severity": "HIGH",
        "title": f"{CVE} - zlib1g",
        "resource": Resource(type="AWS_ECR_CONTAINER_IMAGE", id=ARN, account=ACCOUNT, region=REGION),
        "vulnerability_id": CVE,
        "packages": (VulnerablePackage(name="zlib1g", version="1.2.13.dfsg", epoch=1, release="1"),),
        "first_observed_at": NOW,
        "last_observed_at": NOW,
        "updated_at": NOW,
    }
    return Finding(**(chosen | values))
