"""The verify plan. It changes nothing: an instance's asks for a fresh inventory, so that Inspector looks again soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.definition import Runbook
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.steps import AnyStep, CollectInventory, Target
from runbooks.triage import Assessment


def plan_verification(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    associations: Mapping[str, str],
    *,
    revision: int = 1,
    previous: str | None = None,
) -> Plan:
    """One association run for each account and region of the cases. It needs no approval: it only reads.

    Args:
        associations: `account/region` -> id of the inventory association there, where there is one.
        previous: digest of the remediate plan whose effect it verifies.
    """
    steps: list[AnyStep] = []
    for place, association in associations.items():
        account, region = place.split("/")
        served = tuple(each.case for each in assessments if _place(each) == place)
        if served:
            target = Target(account=account, region=region, type="association", id=association)
            steps.append(CollectInventory(target=target, cases=served, association=association))
    reason = "Inspector evaluates an instance when its inventory is collected; this hurries that"
    return plan_looking(
        response, runbook, assessments, reason, steps=tuple(steps), revision=revision, previous=previous
    )


def plan_looking(
    response: str,
    runbook: Runbook,
    assessments: Sequence[Assessment],
    reason: str,
    *,
    steps: tuple[AnyStep, ...] = (),
    revision: int = 1,
    previous: str | None = None,
) -> Plan:
    """A plan that only looks, and needs no approval.

    Args:
        reason: what the verdict rests on.
        steps: what makes Inspector look again; empty where it scans by itself.
        previous: digest of the remediate plan whose effect it verifies.
    """
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.VERIFY,
        revision=revision,
        cases=tuple(each.case for each in assessments),
        steps=steps,
        reasons=(reason,),
        approval=ApprovalRule(required=False),
        previous=previous,
    )


def _place(each: Assessment) -> str | None:
    instance = each.facts.host.instance
    return f"{instance.account}/{instance.region}" if instance else None
