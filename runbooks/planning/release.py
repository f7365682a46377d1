"""The release plan: the contain plan's own changes, put back in reverse, each to exactly what was there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from runbooks.definition import Runbook
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import Outcome
from runbooks.steps import AnyStep, DetachFromAutoScaling, SwapSecurityGroups

CHANGED = ("done", "already-done", "in-progress")


def plan_release(
    runbook: Runbook,
    contained: Plan,
    outcomes: Mapping[str, Outcome],
    cases: Sequence[str],
    *,
    by_itself: bool,
    revision: int = 1,
    previous: str | None = None,
) -> Plan:
    """What puts back the contain plan for these cases.

    Args:
        outcomes: step key -> the contain plan's outcome; only what was really changed is put back.
        by_itself: whether the approved contain plan said that this may run without asking again.
    """
    steps = tuple(_undone(contained, outcomes, set(cases)))
    covered = contained.digest if by_itself else None
    rule = ApprovalRule(required=False, covered_by=covered) if by_itself else runbook.release.approval.rule()
    return Plan(
        response=contained.response,
        runbook=contained.runbook,
        runbook_digest=contained.runbook_digest,
        phase=Phase.RELEASE,
        revision=revision,
        cases=tuple(cases),
        steps=steps,
        reasons=("the verdict is fixed: the containment has done its work",)
        if by_itself
        else ("a person asked for it",),
        not_covered=tuple(_stays(contained, outcomes)),
        approval=rule,
        previous=previous,
    )


def _undone(contained: Plan, outcomes: Mapping[str, Outcome], cases: set[str]) -> Iterator[AnyStep]:
    for step in reversed(contained.steps):
        outcome = outcomes.get(step.key)
        if outcome is None or outcome.status not in CHANGED or not cases & set(step.cases):
            continue
        if isinstance(step, DetachFromAutoScaling) and not step.room_to_return:
            continue
        undo = step.undo
        if isinstance(undo, SwapSecurityGroups):
            # The quarantine group by the id it turned out to have, not by its name.
            quarantine = tuple(cast("list[str]", outcome.result.get("groups", [])))
            undo = undo.model_copy(update={"expects": quarantine or undo.expects})
        if undo is not None:
            yield cast(AnyStep, undo)


def _stays(contained: Plan, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    for step in contained.steps:
        outcome = outcomes.get(step.key)
        if outcome is None or outcome.status not in CHANGED:
            continue
        if isinstance(step, DetachFromAutoScaling) and not step.room_to_return:
            yield f"{step.target.id} stays out of {step.group}, which is at its maximum"
        elif step.undo is None:
            yield f"{step.describe()}: {step.undo_reason}"
