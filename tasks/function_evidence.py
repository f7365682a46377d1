"""Gathering the evidence on functions: Inspector's view of $LATEST, and what is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runbooks import timestamps
from runbooks.case import CaseKey
from runbooks.evidence import ABSENT, FunctionEvidence
from runbooks.finding import Finding, FindingStatus
from runbooks.function import FunctionContent
from runbooks.function_users import of_another_version
from tasks.function_facts import function_name
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.functions import FunctionGateway
from tasks.gateways.inspector import InspectorGateway


@dataclass(frozen=True)
class FunctionSubject:
    """A case about a function that is to be judged."""

    case: str
    key: CaseKey
    findings: tuple[Finding, ...]
    """As triage read them."""
    vulnerable: tuple[FunctionContent, ...]
    """What it was whenever triage found it vulnerable."""


def gather_functions(aws: AwsSessions, subjects: Sequence[FunctionSubject]) -> dict[str, FunctionEvidence]:
    """Case -> what there is to judge it by, read in bulk for each account and region.

    Raises:
        Outside: AWS did not say.
    """
    places: dict[tuple[str, str], list[FunctionSubject]] = {}
    for subject in subjects:
        places.setdefault((subject.key.account, subject.key.region), []).append(subject)
    found: dict[str, FunctionEvidence] = {}
    for (account, region), members in places.items():
        found |= _gathered(aws, account, region, members)
    return found


def _gathered(
    aws: AwsSessions, account: str, region: str, members: Sequence[FunctionSubject]
) -> dict[str, FunctionEvidence]:
    inspector = InspectorGateway(aws)
    # Read before the functions: a scan that is later than a change is then later than what is read of the change.
    coverage = inspector.coverage(account, region, [each.key.resource_id for each in members])
    arns = {each.arn for subject in members for each in subject.findings}
    live = inspector.findings(account, region, sorted(arns))
    functions = FunctionGateway(aws).functions(account, region, [function_name(each.key) for each in members])
    evidence: dict[str, FunctionEvidence] = {}
    for each in members:
        function = functions[function_name(each.key)]
        of_case = {finding.arn: live[finding.arn] for finding in each.findings}
        evidence[each.case] = FunctionEvidence(
            resource=each.key.resource_id,
            gone=function is None,
            findings={arn: finding.status if finding else ABSENT for arn, finding in of_case.items()},
            reported_at=max(_active(list(of_case.values())), default=None),
            coverage=coverage[each.key.resource_id],
            latest=function.content if function else None,
            modified_at=timestamps.read(function.last_modified) if function else None,
            aliases=function.aliases if function else (),
            pinned=of_another_version(function) if function else (),
            vulnerable=each.vulnerable,
        )
    return evidence


def _active(findings: Sequence[Finding | None]) -> list[datetime]:
    return [each.last_observed_at for each in findings if each is not None and each.status == FindingStatus.ACTIVE]
