"""The verify plan of a function. There is nothing to hurry: Inspector scans $LATEST after each change by itself."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.definition import Runbook
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.triage import Assessment


def plan_function_verification(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    *,
    revision: int = 1,
    previous: str | None = None,
) -> Plan:
    """A plan without steps: the evidence is only looked at.

    Args:
        previous: digest of the remediate plan whose effect is verified.
    """
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.VERIFY,
        revision=revision,
        cases=tuple(each.case for each in assessments),
        steps=(),
        reasons=("the verdict rests on Inspector's scan of $LATEST, and on the aliases serving just what it scanned",),
        approval=ApprovalRule(required=False),
        previous=previous,
    )
