"""The verify plan of an image. There is nothing to hurry: Inspector scans what is pushed by itself."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.definition import Runbook
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.triage import Assessment


def plan_image_verification(
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
        reasons=("the verdict rests on which image runs now, and on its scan, which nothing has to start",),
        approval=ApprovalRule(required=False),
        previous=previous,
    )
