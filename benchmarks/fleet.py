"""A fleet in the sandbox that the internet reaches, every instance of it with the same critical finding."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from benchmarks.sandbox_apart import SandboxApart
from runbooks.case import CaseKey
from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.inspector import to_detail

ACCOUNT, REGION = "210987654321", "eu-west-1"
AT = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
_PACKAGE_SOURCE = "10.20.0.0/16"


def furnished(sandbox: SandboxApart, instances: int) -> tuple[list[Finding], str]:
    """Empty the sandbox, and give it so many instances that the internet reaches: their findings, and the bucket."""
    sandbox.reset()
    findings = [_finding(number) for number in range(instances)]
    built: dict[str, Any] = {}
    for each in findings:
        event = {"detail-type": "Inspector2 Finding", "source": "aws.inspector2", "detail": to_detail(each)}
        event |= {"account": ACCOUNT, "region": REGION, "time": "2026-03-02T09:15:31Z", "resources": [each.resource.id]}
        built = sandbox.furnish(event, interfaces=1, volumes=2, known_exploited=True)
    sandbox.forget_calls()
    return findings, built["bucket"]


def _finding(number: int) -> Finding:
    address = f"10.20.{number // 250}.{number % 250 + 4}"
    instance = {
        "imageId": "ami-00c0ffee00c0ffee0",
        "platform": "UBUNTU_22_04",
        "type": "m7g.large",
        "ipV4Addresses": [address],
        "iamInstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/fleet",
        "vpcId": "vpc-0feedc0de",
        "subnetId": "subnet-0feedc0de",
        "launchedAt": "Sun Feb 01 06:00:02.000 UTC 2026",
    }
    return Finding(
        arn=f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}",
        type="PACKAGE_VULNERABILITY",
        status="ACTIVE",
        severity="CRITICAL",
        title="CVE-2026-10001 - libssl3",
        description="An attacker who can reach the service can make it run what they send.",
        resource=Resource(
            type="AWS_EC2_INSTANCE",
            id=f"i-{number:017x}",
            account=ACCOUNT,
            region=REGION,
            tags={"Name": f"fleet-{number}", "environment": "production"},
            details={"awsEc2Instance": instance},
        ),
        vulnerability_id="CVE-2026-10001",
        packages=(
            VulnerablePackage(
                name="libssl3", version="3.0.2-0ubuntu1.10", fixed_in="3.0.2-0ubuntu1.15", arch="ARM64", manager="OS"
            ),
        ),
        inspector_score=9.1,
        exploit_available=True,
        first_observed_at=AT,
        last_observed_at=AT,
        updated_at=AT,
    )


def roomy_runbook(*, whole: bool) -> Runbook:
    """The shipped runbook with room for everything, asking nobody; `whole`: with the evidence protected."""
    values = Catalog.read().named("ec2-high-severity-cve").model_dump()
    values["contain"] |= {"protect_evidence": whole, "replacement_capacity": "none"}
    values["contain"]["quarantine"]["package_mirrors"] = (_PACKAGE_SOURCE,)
    for phase in ("contain", "remediate", "release"):
        values[phase]["approval"]["required"] = False
    values["limits"] |= {"maximum_cases": 1_000, "maximum_cases_at_once": 1_000, "maximum_cases_per_hour": 10_000}
    values["limits"] |= dict.fromkeys(
        ("maximum_share_of_auto_scaling_group", "maximum_share_of_target_group", "maximum_share_of_environment"), 100
    )
    return Runbook.model_validate(values)


def case_key(runbook: Runbook, finding: Finding) -> CaseKey:
    resource = finding.resource
    return CaseKey(
        runbook=runbook.name,
        account=resource.account,
        region=resource.region,
        resource_type=resource.type,
        resource_id=resource.id,
    )
