"""The release plan: the contain plan's own changes, put back in reverse, each to exactly what was there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.history import CHANGED
from runbooks.in_force import is_ours
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import Outcome
from runbooks.steps import (
    AnyStep,
    AttachToAutoScaling,
    DeregisterTarget,
    DetachFromAutoScaling,
    SetDeleteOnTermination,
    SetStageTransition,
    Step,
    SwapSecurityGroups,
)
from runbooks.telling.words import listed

_Kept = Mapping[str, Collection[str]]


def plan_release(  # noqa: PLR0913 - each is a fact of its own, named at the call
    runbook: Runbook,
    contained: Sequence[Plan],
    outcomes: Mapping[str, Outcome],
    cases: Sequence[str],
    *,
    response: str,
    by_itself: bool,
    proven: str | None = None,
    revision: int = 1,
    kept_for: _Kept | None = None,
) -> Plan:
    """What puts back the contain plans for these cases, the newest change first.

    Args:
        contained: the contain plans, in the order in which they were carried out.
        outcomes: operation -> outcome; only what was changed is put back, or may have been (in progress), and what was
            found as another plan of this system had left it.
        by_itself: whether the approved contain plans said that this may run without asking again.
        proven: the newest verdict on the cases, None when there is none.
        kept_for: operation -> the cases that it is put back with, where they are others than those of its step.
    """
    newest_first = tuple(reversed(contained))
    steps: dict[str, AnyStep] = {}
    for changed in (True, False):
        for step in (step for plan in newest_first for step in _undone(plan, outcomes, cases, kept_for or {}, changed)):
            # What two plans changed is put back once, to what the newest of them found; what one of them merely found
            # so, to what there was before the other.
            steps.setdefault(step.key, step)
    touched = {each.case: each for plan in contained for each in plan.extents if each.case in cases}
    if by_itself and newest_first:
        rule = ApprovalRule(required=False, covered_by=newest_first[0].digest)
        reason = "the verdict is fixed, and the approved containment said that it ends then"
    else:
        rule = runbook.release.approval.rule([each.environment for each in touched.values()])
        reason = _why_asked(proven)
        if proven != "fixed":
            # Whatever the runbook says: putting back what is not proven fixed is a person's decision.
            rule = rule.model_copy(update={"required": True})
    return Plan(
        response=response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.RELEASE,
        revision=revision,
        cases=tuple(cases),
        steps=tuple(steps.values()),
        reasons=(reason,),
        not_covered=tuple(
            dict.fromkeys(words for plan in newest_first for words in _stays(plan, outcomes, set(cases)))
        ),
        approval=rule,
        extents=tuple(touched.values()),
    )


def _why_asked(proven: str | None) -> str:
    if proven == "fixed":
        return "the containment is to end; the newest verdict is fixed"
    known = f"the newest verdict is {proven}" if proven else "there is no verdict"
    return f"the containment is to end ALTHOUGH NOTHING PROVES A FIX ({known}): what was cut off is exposed again"


def staying(plan: Plan, counted_on: Mapping[str, Sequence[CaseKey]]) -> Plan:
    """The release plan, which says of what is not put back yet for whom it stays.

    Args:
        counted_on: key of a step -> the other cases that count on what it puts back.
    """
    told = (f"{step.describe()}: {stays_for(counted_on[step.key])}" for step in plan.steps if step.key in counted_on)
    return plan.model_copy(update={"not_covered": (*plan.not_covered, *told)})


def stays_for(who: Sequence[CaseKey]) -> str:
    """Why something is not put back, in words."""
    named = listed(f"case {key.id} ({key.name})" for key in who)
    return f"not as long as {named} {'counts' if len(who) == 1 else 'count'} on it; the last to be released does it"


def _undone(
    contained: Plan, outcomes: Mapping[str, Outcome], cases: Sequence[str], kept_for: _Kept, changed: bool
) -> Iterator[AnyStep]:
    for step in reversed(contained.steps):
        outcome = outcomes.get(contained.operation(step))
        if outcome is None or (outcome.status in CHANGED) is not changed or not is_ours(step, outcome):
            continue
        if not set(cases) & {*kept_for.get(outcome.operation, step.cases)}:
            continue
        if isinstance(step, DetachFromAutoScaling) and not step.room_to_return:
            continue
        if _followed_from_another(step, outcome, contained, outcomes):
            continue
        undo = _as_it_turned_out(step.undo, outcome)
        if undo is not None:
            released = tuple(case for case in step.cases if case in cases) or tuple(cases)
            yield cast(AnyStep, undo.model_copy(update={"cases": released}))


def _as_it_turned_out(undo: Step | None, outcome: Outcome) -> Step | None:
    """The undo of what was really changed, which the outcome tells better than the plan."""
    match undo:
        case SwapSecurityGroups():
            # The quarantine group by the id it turned out to have, not by its name.
            quarantine = tuple(cast("list[str]", outcome.result.get("groups", [])))
            return undo.model_copy(update={"expects": quarantine or undo.expects})
        case SetDeleteOnTermination() if devices := outcome.result.get("devices"):
            return undo.of(cast("list[str]", devices))
        case AttachToAutoScaling():
            return undo.model_copy(update={"protected": outcome.result.get("protected", undo.protected)})
        case SetStageTransition():
            return undo.model_copy(update={"reason": outcome.result.get("reason", undo.reason)})
        case _:
            return undo


def _followed_from_another(step: AnyStep, outcome: Outcome, contained: Plan, outcomes: Mapping[str, Outcome]) -> bool:
    """Whether somebody else took the instance out of its Auto Scaling group, and with that out of this target group."""
    if not isinstance(step, DeregisterTarget) or not step.follows or outcome.result:
        return False
    leaving = [
        outcomes.get(contained.operation(each))
        for each in contained.steps
        if isinstance(each, DetachFromAutoScaling) and each.target == step.target
    ]
    return not any(each is not None and each.status in CHANGED for each in leaving)


def _stays(contained: Plan, outcomes: Mapping[str, Outcome], cases: set[str]) -> Iterator[str]:
    for step in contained.steps:
        outcome = outcomes.get(contained.operation(step))
        if outcome is None or outcome.status not in CHANGED or not cases & set(step.cases):
            continue
        if isinstance(step, DetachFromAutoScaling) and not step.room_to_return:
            why = "where it was on standby" if step.on_standby else "which is at its maximum"
            yield f"{step.target.id} stays out of {step.group}, {why}"
        elif _followed_from_another(step, outcome, contained, outcomes):
            yield f"{step.describe()}: somebody else took it out of its Auto Scaling group, and it is left so"
        elif step.undo is None:
            yield f"{step.describe()}: {step.undo_reason}"
