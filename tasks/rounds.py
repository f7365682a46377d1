"""Which plan of a phase counts, and whether the phase has ended: a plan is made anew where the one before is over.

A phase ends with its newest plan, but for two things: cases that fell out because the world had moved are planned
again, they alone, a few times; and what verification finds not fixed may be remediated again, all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import PhaseEnded
from runbooks.verdict import VerdictKind
from runbooks.waves import not_begun, to_verify
from tasks.run import Run, current
from tasks.verdicts import verdicts_on

MOST_REVISIONS = 3
"""How often a phase is planned anew because the world has moved, before a person looks at it."""


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

    What the limits put off is fewer each time; what drifted is planned so many times and no more.
    """
    if history.next_revision(plan.phase) > MOST_REVISIONS and not plan.deferred:
        return ()
    ended = history.phase_ended(plan.phase)
    declined = ended is not None and ended.result in ("rejected", "expired")
    return (*drifted(history, plan), *(() if declined else plan.deferred))


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
        if history.step_outcomes(before):  # one without was overtaken before it began
            if not set(plan.cases) <= {*drifted(history, before), *before.deferred}:
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
        return (*drifted(history, known), *known.deferred) or everything
    return known.cases if any(earlier(history, known)) else everything


def going_on(history: ResponseHistory, plan: Plan) -> set[str]:
    """The cases that have not fallen out of the round that this plan belongs to, this plan included once it began."""
    begun = (each for each in (plan, *earlier(history, plan)) if history.step_outcomes(each))
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
    if not there:
        return ended
    if ended.result in ("done", "partial"):
        there |= going_on(history, plan)
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
