"""Reading all that triage takes of some cases: findings as they are now, what is known of exploits, the instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.case import CaseKey
from runbooks.facts import SUSPICION_TAG, CaseFacts
from runbooks.finding import Finding
from runbooks.instance import Exploitation, InstanceFacts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.inspector import InspectorGateway


def read_case_facts(
    aws: AwsSessions,
    keys: Mapping[str, CaseKey],
    seen: Mapping[str, Sequence[Finding]],
    image_parameter: str | None,
    environment_tag: str = "environment",
    *,
    protection: bool = True,
) -> dict[str, CaseFacts]:
    """The facts of each case, read in bulk for each account and region.

    Args:
        keys: case id -> where the case is.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.
        image_parameter: the runbook's parameter for the newest patched AMI, None for AWS's public one.
        environment_tag: the runbook's tag for the environment of an instance.
        protection: whether termination protection and shutdown behaviour are wanted, two calls for each instance.
    """
    places: dict[tuple[str, str], list[str]] = {}
    for case, key in keys.items():
        places.setdefault((key.account, key.region), []).append(case)
    facts: dict[str, CaseFacts] = {}
    for (account, region), cases in places.items():
        inspector = InspectorGateway(aws)
        hints = {each.arn: each.vulnerability_id for case in cases for each in seen[case] if each.arn_is_valid}
        now = inspector.findings(account, region, [*hints], hints)
        live_ids = {arn: finding.vulnerability_id for arn, finding in now.items() if finding is not None}
        exploitation = inspector.exploitation(account, region, [*live_ids], live_ids)
        platforms = {keys[case].resource_id: platform_of(seen[case]) for case in cases}
        resources = Ec2Gateway(aws).read_facts(
            account, region, [*platforms], platforms, image_parameter, environment_tag, protection=protection
        )
        for case in cases:
            live = tuple(found for finding in seen[case] if (found := now.get(finding.arn)) is not None)
            resource = resources[keys[case].resource_id]
            facts[case] = CaseFacts(
                case=case,
                findings=live,
                exploitation=_together([exploitation.get(finding.arn) for finding in live]),
                resource=_without_the_rest(resource, live),
                suspected=_suspected(resource),
            )
    return facts


def _suspected(resource: InstanceFacts) -> str | None:
    tags = resource.instance.tags if resource.instance else {}
    return (tags[SUSPICION_TAG] or "the instance is tagged so") if SUSPICION_TAG in tags else None


def _without_the_rest(resource: InstanceFacts, findings: Sequence[Finding]) -> InstanceFacts:
    """The facts with only the packages the findings name: an inventory lists hundreds that decide nothing."""
    if resource.inventory is None:
        return resource
    named = {package.name for finding in findings for package in finding.packages}
    packages = tuple(package for package in resource.inventory.packages if package.name in named)
    return resource.model_copy(update={"inventory": resource.inventory.model_copy(update={"packages": packages})})


def platform_of(findings: Sequence[Finding]) -> str:
    """Inspector's name of the platform, such as UBUNTU_22_04; empty when no finding tells."""
    for finding in findings:
        details = finding.resource.details
        for member in ("awsEc2Instance", "vm"):
            platform = details.get(member, {}).get("platform")
            if platform:
                return str(platform)
    return ""


def _together(known: Sequence[Exploitation | None]) -> Exploitation:
    """The worst that is known over the case's findings."""
    some = [each for each in known if each is not None]
    return Exploitation(
        exploit_available=any(each.exploit_available for each in some),
        epss=max((each.epss for each in some if each.epss is not None), default=None),
        known_exploited_since=min(
            (each.known_exploited_since for each in some if each.known_exploited_since is not None), default=None
        ),
        known_exploited_due=min(
            (each.known_exploited_due for each in some if each.known_exploited_due is not None), default=None
        ),
    )
