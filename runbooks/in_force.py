"""The containments in force, folded from the entries of responses alone: what was changed, and which cases count on it.

A case counts on what was changed for it, and on what is shared and was found as it wanted it: both are steps of its own
contain plan. Of several cases about one resource each that is to be contained counts on all that was changed for any:
its own plan leaves out what it finds isolated. Whoever is released lets go; the last one to let go puts it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runbooks.history import CHANGED, Dated, ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import Decision, Intent, Outcome, PhaseEnded, PlanMade
from runbooks.repository_policy import denies_pulls
from runbooks.steps import AnyStep, SetRepositoryPolicy, SetStageTransition
from runbooks.steps.image_promotion import is_our_reason

COUNTED_ON = "counted_on"
"""In the result of a release's step that changed nothing: the cases that count on what it would have put back."""
_LETS_GO = ("done", "not-needed")
_When = tuple[datetime, int, int]
"""Time of an entry, and the places of its response and of itself: what is written at once has an order too."""


@dataclass(frozen=True)
class Change:
    """What one step of a contain plan changed, or may have changed, and nobody has put back."""

    plan: Plan
    step: AnyStep
    outcome: Outcome
    kept_for: frozenset[str]
    """The cases that have not been released from it."""
    counted_on_by: frozenset[str]
    """Those of them that keep others from putting it back: not one whose own containment was declined."""


def in_force(
    histories: Sequence[ResponseHistory], alike: Mapping[str, frozenset[str]], to_contain: Mapping[str, datetime]
) -> list[Change]:
    """Every change of these responses that some case is not released from yet.

    Args:
        histories: in the order in which the responses were started.
        alike: case -> the cases about its own resource.
        to_contain: case -> when it was triaged last, of those that triage wants contained.
    """
    told = _Told(to_contain)
    for number, history in enumerate(histories):
        told.take(number, history)
    every = (change for history in histories for change in _changes(history))
    return [change for plan, step, outcome in every if (change := _kept(told, alike, plan, step, outcome)) is not None]


def is_ours(step: AnyStep, outcome: Outcome) -> bool:
    """Whether this system made it so: by this very step, or, where what it found bears our mark, by another one."""
    if outcome.status in CHANGED:
        return True
    if outcome.status != "already-done":
        return False
    match step:
        case SetStageTransition():
            return is_our_reason(outcome.result.get("reason"))
        case SetRepositoryPolicy():
            return denies_pulls(outcome.result.get("policy"))
        case _:
            return False


@dataclass
class _Told:
    """When the newest of each was written."""

    to_contain: Mapping[str, datetime]
    changed: dict[str, _When] = field(default_factory=dict[str, "_When"])
    """Operation -> its intent or outcome."""
    declined: set[str] = field(default_factory=set[str])
    """The cases whose newest contain plan nobody wanted."""
    released: dict[str, _When] = field(default_factory=dict[str, "_When"])
    """Case -> the release that let go of it."""
    put_back: dict[str, _When] = field(default_factory=dict[str, "_When"])
    """Key of a release's step -> the end of that release."""

    def take(self, number: int, history: ResponseHistory) -> None:
        for place, dated in enumerate(history.entries):
            self._take(history, dated, (dated.at, number, place))

    def _take(self, history: ResponseHistory, dated: Dated, when: _When) -> None:
        match dated.record:
            case PlanMade(plan=plan) if plan.phase is Phase.CONTAIN:
                self.declined -= set(plan.cases)
            case Decision(answer="rejected" | "expired", digest=digest) if _phase(history, digest) is Phase.CONTAIN:
                self.declined |= set(history.plans[digest].cases)
            case PhaseEnded(phase=Phase.RELEASE, result=result) as ended if result in _LETS_GO:
                _note(self.released, _released_by(history, ended), when)
                _note(self.put_back, _put_back_by(history, ended), when)
            case Intent() | Outcome() as act:
                _note(self.changed, (act.operation,), when)
            case _:
                pass


def _note(moments: dict[str, _When], names: Sequence[str], when: _When) -> None:
    for name in names:
        moments[name] = max(when, moments.get(name, when))


def _phase(history: ResponseHistory, digest: str) -> Phase | None:
    plan = history.plans.get(digest)
    return plan.phase if plan is not None else None


def _released_by(history: ResponseHistory, ended: PhaseEnded) -> tuple[str, ...]:
    """The cases of its plan: what stays contained as evidence is not among them."""
    plan = history.plans.get(ended.digest or "")
    if plan is not None or history.started is None:
        return plan.cases if plan is not None else ()
    return (*history.started.cases, *(case for joined in history.joined for case in joined.cases))


def _put_back_by(history: ResponseHistory, ended: PhaseEnded) -> tuple[str, ...]:
    """The keys of its plan's steps, without those that others count on."""
    plan = history.plans.get(ended.digest or "")
    outcomes = history.step_outcomes(plan) if plan is not None else {}
    return tuple(key for key, outcome in outcomes.items() if COUNTED_ON not in outcome.result)


def _changes(history: ResponseHistory) -> Iterator[tuple[Plan, AnyStep, Outcome]]:
    changes = history.changes
    plans = (plan for plan in history.plans.values() if plan.phase is Phase.CONTAIN)
    for plan in sorted(plans, key=lambda plan: plan.revision):
        for step in plan.steps:
            outcome = changes.get(plan.operation(step)) or history.outcome(plan, step)
            if outcome is not None and is_ours(step, outcome):
                yield plan, step, outcome


def _kept(
    told: _Told, alike: Mapping[str, frozenset[str]], plan: Plan, step: AnyStep, outcome: Outcome
) -> Change | None:
    changed = told.changed[outcome.operation]
    if step.undo is not None and told.put_back.get(step.undo.key, changed) > changed:
        return None
    own = frozenset(case for case in step.cases if told.released.get(case, changed) <= changed)
    others = frozenset(case for of in step.cases for case in alike.get(of, ()) if case not in step.cases)
    waiting = frozenset(case for case in others if _is_to_be_contained(told, case))
    if not own | waiting:
        return None
    return Change(plan, step, outcome, kept_for=own | waiting, counted_on_by=own | (waiting - told.declined))


def _is_to_be_contained(told: _Told, case: str) -> bool:
    """Whether triage wants it contained, and it was not released since."""
    triaged, released = told.to_contain.get(case), told.released.get(case)
    return triaged is not None and (released is None or released[0] < triaged)
