"""Reading all that triage takes of some cases: findings as they are now, what is known of exploits, the resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runbooks.case import CaseKey
from runbooks.facts import SUSPICION_TAG, CaseFacts, ResourceFacts
from runbooks.finding import Finding
from runbooks.instance import Exploitation, InstanceFacts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ec2 import Ec2Gateway
from tasks.gateways.inspector import InspectorGateway


@dataclass(frozen=True)
class Resource:
    """What was read of a case's resource."""

    facts: ResourceFacts
    tags: Mapping[str, str] = field(default_factory=dict)


class ReadResources(Protocol):
    """Reads the resources of some cases that are all in one account and region."""

    def __call__(
        self, account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> Mapping[str, Resource]:
        """Case -> its resource.

        Args:
            findings: case -> its findings as they are now.

        Raises:
            Outside: AWS did not say.
        """
        ...


def read_facts(
    aws: AwsSessions,
    keys: Mapping[str, CaseKey],
    seen: Mapping[str, Sequence[Finding]],
    resources: ReadResources,
) -> dict[str, CaseFacts]:
    """The facts of each case, read in bulk for each account and region.

    Args:
        keys: case id -> where the case is.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.
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
        live = {
            case: tuple(found for finding in seen[case] if (found := now.get(finding.arn)) is not None)
            for case in cases
        }
        read = resources(account, region, cases, live)
        for case in cases:
            facts[case] = CaseFacts(
                case=case,
                findings=live[case],
                exploitation=_together([exploitation.get(finding.arn) for finding in live[case]]),
                resource=read[case].facts,
                suspected=_suspected(read[case]),
            )
    return facts


def read_case_facts(
    aws: AwsSessions,
    keys: Mapping[str, CaseKey],
    seen: Mapping[str, Sequence[Finding]],
    image_parameter: str | None,
    environment_tag: str = "environment",
    *,
    protection: bool = True,
) -> dict[str, CaseFacts]:
    """As `read_facts`, of cases about EC2 instances.

    Args:
        image_parameter: the runbook's parameter for the newest patched AMI, None for AWS's public one.
        environment_tag: the runbook's tag for the environment of an instance.
        protection: whether termination protection and shutdown behaviour are wanted, two calls for each instance.
    """

    def instances(
        account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> dict[str, Resource]:
        platforms = {keys[case].resource_id: platform_of(seen[case]) for case in cases}
        read = Ec2Gateway(aws).read_facts(
            account, region, [*platforms], platforms, image_parameter, environment_tag, protection=protection
        )
        return {case: _instance(read[keys[case].resource_id], findings[case]) for case in cases}

    return read_facts(aws, keys, seen, instances)


def _instance(facts: InstanceFacts, findings: Sequence[Finding]) -> Resource:
    tags = facts.instance.tags if facts.instance else {}
    return Resource(_without_the_rest(facts, findings), tags)


def _suspected(resource: Resource) -> str | None:
    tags = resource.tags
    return (tags[SUSPICION_TAG] or f"the {resource.facts.kind} is tagged so") if SUSPICION_TAG in tags else None


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
