"""Reading all that triage takes of cases that only people act upon: their findings, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.case import CaseKey
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from runbooks.other_resource import OtherFacts
from tasks.facts import Resource, read_facts
from tasks.gateways.aws_session import AwsSessions


def read_other_facts(
    aws: AwsSessions, keys: Mapping[str, CaseKey], seen: Mapping[str, Sequence[Finding]]
) -> dict[str, CaseFacts]:
    """The facts of each case, read in bulk for each account and region.

    Args:
        keys: case id -> where the case is.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.

    Raises:
        Outside: Inspector did not say.
    """

    def others(
        account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> dict[str, Resource]:
        return {case: _resource(keys[case], findings[case]) for case in cases}

    return read_facts(aws, keys, seen, others)


def _resource(key: CaseKey, findings: Sequence[Finding]) -> Resource:
    tags = {name: text for each in findings for name, text in each.resource.tags.items()}
    facts = OtherFacts(type=key.resource_type, id=key.resource_id, account=key.account, region=key.region, tags=tags)
    return Resource(facts, tags)
