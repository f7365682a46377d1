"""Reading all that triage takes of cases about ways into instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.finding import Finding
from tasks.facts import Resource, read_facts
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ways_in import WaysInGateway


def read_network_facts(
    aws: AwsSessions, keys: Mapping[str, CaseKey], seen: Mapping[str, Sequence[Finding]], runbook: Runbook
) -> dict[str, CaseFacts]:
    """The facts of each case, read in bulk for each account and region.

    Args:
        keys: case id -> where the case is; its resource is the instance.
        seen: case id -> its findings as they arrived; a hint of what to read, never an authority.

    Raises:
        Outside: AWS did not say.
    """

    def instances(
        account: str, region: str, cases: Sequence[str], findings: Mapping[str, Sequence[Finding]]
    ) -> dict[str, Resource]:
        ids = {case: keys[case].resource_id for case in cases}
        read = WaysInGateway(aws).facts(account, region, sorted({*ids.values()}), runbook.limits.environment_tag)
        found = {case: read[one] for case, one in ids.items()}
        return {case: Resource(facts, facts.instance.tags if facts.instance else {}) for case, facts in found.items()}

    return read_facts(aws, keys, seen, instances)
