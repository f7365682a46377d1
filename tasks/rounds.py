"""Which plan of a phase counts, and whether the phase has ended: a plan is made anew where the one before is over.

A phase ends with its newest plan, but for these: cases that fell out because the world had moved are planned again,
they alone, a few times; what the limits put off is planned next; what was kept waiting until the yes to it ended is
asked about again; and what verification finds not fixed may be remediated again, all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import Decision, PhaseEnded, Waiting
from runbooks.verdict import VerdictKind
from runbooks.waves import not_begun, to_verify
from tasks.run import Run, current
from tasks.verdicts import verdicts_on

MOST_REVISIONS = 3
"""How many plans of a phase may find that a case has moved, before a person looks at it."""


def settled(phase: Phase) -> PhaseEnded | None:
    """How the phase ended, over all its plans; None while there is something to plan or to carry out."""
    run = current()
    history = run.history()
    plan, ended = history.plan(phase), history.phase_ended(phase)
    if plan is None or ended is None or not is_current(run, history, plan) or asked_again(history, plan):
        return None
    return _over_all(history, plan, ended)


def is_current(run: Run, history: ResponseHistory, plan: Plan) -> bool:
    """Whether the phase's newest plan belongs to this round; a round ends with a verdict that asks for another."""
    if plan.phase is Phase.REMEDIATE:
        return not remediates_again(run, history, plan)
    return not outdated(history, plan)


def outdated(history: ResponseHistory, plan: Plan) -> bool:
    """Whether the plan belongs to an earlier round: a verify plan judges one remediate plan, or one wave of it."""
    if plan.phase is not Phase.VERIFY:
        return False
    remediation = history.plan(Phase.REMEDIATE)
    if remediation is None:
        return False
    another = bool(remediation.waves) and not set(to_verify(history, remediation)) & set(plan.cases)
    return another or plan.previous != remediation.digest


def remediates_again(run: Run, history: ResponseHistory, plan: Plan) -> bool:
    """Whether this remediate plan left a case not fixed, and the runbook tries once more."""
    choice = run.runbook.verify
    if choice.when_not_fixed != "remediate-again" or plan.revision >= choice.maximum_attempts:
        return False
    verdicts = verdicts_on(run.services, run.response, plan)
    return any(verdict.kind is VerdictKind.NOT_FIXED for verdict in verdicts.values())


def asked_again(history: ResponseHistory, plan: Plan) -> tuple[str, ...]:
    """The cases that are planned, and asked about, after a plan that has ended; a person looks at the rest.

    It comes to an end: what drifted is planned so many times and no more, what the limits put off is fewer each time,
    and what was kept waiting takes another yes of a person each time.
    """
    ended, lost = history.phase_ended(plan.phase), lapsed(history, plan)
    declined = not lost and ended is not None and ended.result in ("rejected", "expired")
    plans = (each for each in history.plans.values() if each.phase is plan.phase)
    often = Counter(case for each in plans for case in drifted(history, each))
    those = plan.cases if lost else drifted(history, plan)
    return (*(case for case in those if often[case] < MOST_REVISIONS), *(() if declined else plan.deferred))


def kept_waiting(history: ResponseHistory, plan: Plan) -> Literal["limits", "window"] | None:
    """What has held the plan back since a person approved it; None where nothing has, or nobody was asked.

    What goes unasked is not planned again for it: only a person's yes each time keeps that from going on for ever.
    """
    decision = history.decisions.get(plan.digest)
    if decision is None or decision.answer != "approved" or decision.channel in ("plan", "runbook"):
        return None
    for dated in reversed(history.entries):
        match dated.record:
            case Waiting(phase="limits" | "window" as held):
                return held
            case Decision() as made if made == decision:
                return None
            case _:
                continue
    return None


def lapsed(history: ResponseHistory, plan: Plan) -> bool:
    """Whether the yes to the plan ended before its first change could be made: nobody has declined it."""
    decision = history.decisions.get(plan.digest)
    if decision is None or decision.answer != "approved":
        return False
    ends = (each.record for each in history.entries if isinstance(each.record, PhaseEnded))
    return any(each.digest == plan.digest and each.result == "expired" for each in ends)


def drifted(history: ResponseHistory, plan: Plan) -> tuple[str, ...]:
    """The cases that fell out of the plan because the world had moved."""
    found = {
        case: None
        for step in plan.steps
        if step.essential and not step.undoes and (outcome := history.outcome(plan, step)) is not None
        for case in step.cases
        if outcome.cases.get(case, outcome.status) == "drifted"
    }
    return tuple(found)


def earlier(history: ResponseHistory, plan: Plan) -> Iterator[Plan]:
    """The plans of the same round that this one was made after, for what had drifted of them; the newest first."""
    before = history.plans.get(plan.previous or "")
    while before is not None and before.phase is plan.phase:
        if history.step_outcomes(before):  # one without was overtaken, or lapsed, before it began
            left = before.cases if lapsed(history, before) else drifted(history, before)
            if not set(plan.cases) <= {*left, *before.deferred}:
                return
            yield before
            plan = before
        before = history.plans.get(before.previous or "")


def scope_of(run: Run, history: ResponseHistory, known: Plan | None) -> tuple[str, ...]:
    """The cases that the next plan of the phase is about, after this one."""
    everything = run.response.cases
    if known is None or not is_current(run, history, known):
        return everything
    if history.phase_ended(known.phase) is not None:
        return asked_again(history, known) or everything
    return (*known.cases, *known.deferred) if any(earlier(history, known)) else everything


def going_on(history: ResponseHistory, plan: Plan) -> set[str]:
    """The cases that have not fallen out of the round that this plan belongs to, this plan included once it began."""
    there = (each for each in (plan, *earlier(history, plan)) if history.step_outcomes(each))
    begun = [each for each in there if not lapsed(history, each)]
    return {case for each in begun for case in each.cases if case not in fallen_out(history, each)}


def left_behind(history: ResponseHistory, plan: Plan) -> dict[str, str]:
    """The cases that fell out of the round and were not taken up again, with the reason."""
    rounds = (*reversed(tuple(earlier(history, plan))), plan)
    fallen = {case: why for each in rounds for case, why in fallen_out(history, each).items()}
    there = going_on(history, plan)
    return {case: why for case, why in fallen.items() if case not in there}


def _over_all(history: ResponseHistory, plan: Plan, ended: PhaseEnded) -> PhaseEnded:
    """The end of the round: what went on in its earlier plans is part of it, whatever became of the rest."""
    before = tuple(earlier(history, plan))
    there = going_on(history, before[0]) if before else set[str]()
    if before and ended.result in ("done", "partial"):
        there |= going_on(history, plan)
    if not there:
        return ended
    every = {case for each in (*before, plan) for case in (*each.cases, *each.deferred)}
    return ended.model_copy(update={"result": "done" if every <= there else "partial"})


def fallen_out(history: ResponseHistory, plan: Plan) -> dict[str, str]:
    """Case -> why it fell out of the plan: an essential step of it failed, drifted or was refused, or is not begun."""
    fallen: dict[str, str] = {}
    for step in plan.steps:
        outcome = history.outcome(plan, step)
        if outcome is None or not step.essential or step.undoes:
            continue
        for case in step.cases:
            status = outcome.cases.get(case, outcome.status)
            if status in ("failed", "drifted", "refused"):
                fallen.setdefault(case, f"{step.describe()}: {outcome.detail or status}")
    return not_begun(history, plan) | fallen
