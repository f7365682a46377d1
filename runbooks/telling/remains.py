"""What was changed, what of it was put back, who allowed it, and what is still open."""

from __future__ import annotations

from collections.abc import Iterator

from runbooks.history import SUCCEEDED
from runbooks.left_alone import left_alone
from runbooks.plan import Phase, Plan
from runbooks.records import Decision, Outcome
from runbooks.steps import AnyStep, CreateSnapshots
from runbooks.telling.incident import Answer, Change, Material
from runbooks.telling.progress import STATUSES, WENT_WRONG
from runbooks.telling.words import ANSWERS, CHANNELS, case_name, doing
from runbooks.timestamps import moment
from runbooks.verdict import VerdictKind


def changes(material: Material) -> tuple[Change, ...]:
    """Each step that has an outcome, in the order of the plans."""
    history = material.history
    return tuple(
        _change(material, plan, step, outcome)
        for plan in history.plans.values()
        for step in plan.steps
        if (outcome := history.outcome(plan, step)) is not None
    )


def answers(material: Material) -> tuple[Answer, ...]:
    """Every answer, in the order they came."""
    return tuple(
        Answer(
            at=dated.at,
            plan=_plan_name(material, dated.record.digest),
            answer=ANSWERS[dated.record.answer],
            who=dated.record.approver or "",
            channel=CHANNELS[dated.record.channel],
            digest=dated.record.digest,
            comment=dated.record.comment,
            reason=dated.record.reason,
        )
        for dated in material.entries
        if isinstance(dated.record, Decision)
    )


def stays_open(material: Material) -> tuple[str, ...]:
    """What someone still has to see to; empty when nothing is left."""
    return tuple(
        dict.fromkeys((*_verdicts(material), *_containment(material), *_steps(material), *_left_behind(material)))
    )


def _change(material: Material, plan: Plan, step: AnyStep, outcome: Outcome) -> Change:
    remains, in_place = _fate(material, plan, step, outcome)
    detail = f" ({outcome.detail})" if outcome.detail else ""
    return Change(
        what=step.describe(),
        phase=doing(plan.phase, material.keys),
        result=f"{STATUSES[outcome.status]}{detail}",
        remains=remains,
        in_place=in_place,
    )


def _fate(material: Material, plan: Plan, step: AnyStep, outcome: Outcome) -> tuple[str, bool]:
    """What has become of a change, and whether it is still there."""
    if outcome.status in WENT_WRONG:
        return "not changed by this step, as far as is known", False
    if outcome.status == "already-done":
        return "was so before; not a change of this response", False
    if step.undoes:
        return "put back what was there before", False
    undo = step.undo
    if undo is None:
        return f"stays: {step.undo_reason}", plan.phase is not Phase.VERIFY
    at = _put_back(material, step, undo.key)
    return (f"put back at {at}", False) if at else ("still in place", True)


def _put_back(material: Material, step: AnyStep, undo_key: str) -> str | None:
    history = material.history
    for plan in history.plans.values():
        for other in plan.steps:
            if other.undoes and other.key == undo_key and other.target == step.target:
                outcome = history.outcome(plan, other)
                if outcome is not None and outcome.status in SUCCEEDED:
                    return moment(history.times[outcome.operation])
    return None


def _plan_name(material: Material, digest: str) -> str:
    plan = material.history.plans.get(digest)
    return f"{doing(plan.phase, material.keys)}, revision {plan.revision}" if plan else "a plan that is not known"


def _verdicts(material: Material) -> Iterator[str]:
    judged = {verdict.case for verdict in material.verdicts}
    for verdict in material.verdicts:
        if verdict.kind is not VerdictKind.FIXED:
            reasons = "; ".join(verdict.reasons)
            yield f"{case_name(verdict.case, material.keys)} is {verdict.kind.value}: {reasons}"
    over = left_alone(material.history, material.assessments)
    for case in material.keys:
        if case not in judged and case not in over:
            yield f"{case_name(case, material.keys)} has no verdict"


def _containment(material: Material) -> Iterator[str]:
    ended = material.history.ended
    if ended.contained if ended else material.history.contained:
        yield "The containment is still in place until a person releases it"


def _steps(material: Material) -> Iterator[str]:
    history = material.history
    for plan in history.plans.values():
        for step in plan.steps:
            outcome, began = history.outcome(plan, step), plan.operation(step) in history.intents
            if outcome is None and began:
                yield f"{step.describe()}: it was begun and no answer was recorded"
            elif outcome is not None and outcome.status in (*WENT_WRONG, "in-progress"):
                yield f"{step.describe()}: {STATUSES[outcome.status]}{f' ({outcome.detail})' if outcome.detail else ''}"


def _left_behind(material: Material) -> Iterator[str]:
    """What a containment leaves: what could not be put back, what was not, and the evidence that was kept."""
    history = material.history
    for digest, plan in history.plans.items():
        if plan.phase is not Phase.CONTAIN or not history.spent(digest):
            continue
        yield from plan.cannot_be_put_back
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if outcome is not None and outcome.status == "done":
                yield from _left_by(material, step)


def _left_by(material: Material, step: AnyStep) -> Iterator[str]:
    if isinstance(step, CreateSnapshots):
        yield f"The snapshots of {', '.join(step.volumes)} are kept as evidence until a person deletes them"
    elif step.undo is not None and not _put_back(material, step, step.undo.key):
        yield f"Not put back: {step.describe()}"
