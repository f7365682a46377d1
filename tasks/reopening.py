"""The plan that puts a remediation itself back: its own changes, after a person's yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.history import ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.planning.release import plan_release
from runbooks.records import Outcome
from tasks.containments import responses_of
from tasks.journal import read_history
from tasks.run import Run

OPENED_AGAIN = (
    "what closed the way in is put back, exactly: whoever was shut out gets in again, AND SO DOES THE INTERNET; where "
    "it is meant to be open, declare it, or the next finding closes it again"
)


def reopen(run: Run, history: ResponseHistory, cases: Sequence[str]) -> Plan:
    """Open again what was closed of the response's cases, whichever response closed it."""
    return put_remedy_back(run, history, OPENED_AGAIN)


def put_remedy_back(run: Run, history: ResponseHistory, price: str) -> Plan:
    """Put back what was remediated of the response's cases, whichever response did; somebody is always asked.

    Args:
        price: what comes of it, in words for whoever is asked.
    """
    plans, outcomes = _remediations(run)
    plan = plan_release(
        run.runbook,
        plans,
        outcomes,
        run.response.cases,
        response=run.response.id,
        by_itself=False,
        revision=history.next_revision(Phase.RELEASE),
    )
    return plan.model_copy(update={"reasons": (price,)})


def _remediations(run: Run) -> tuple[list[Plan], Mapping[str, Outcome]]:
    """The remediations in force, in the order they were carried out, and what they changed or may have changed."""
    plans: list[Plan] = []
    outcomes: dict[str, Outcome] = {}
    for each in responses_of(run.services.ledger, run.response.cases):
        history = read_history(run.services.ledger, each.id)
        if _puts_back(history, plans):
            plans.clear()
        changes = history.changes
        mine = (plan for plan in history.plans.values() if plan.phase is Phase.REMEDIATE)
        begun = [plan for plan in mine if any(plan.operation(step) in changes for step in plan.steps)]
        plans += sorted(begun, key=lambda plan: plan.revision)
        outcomes |= changes
    return plans, outcomes


def _puts_back(history: ResponseHistory, plans: Sequence[Plan]) -> bool:
    """Whether its release has put these back: one that ends a containment leaves them as they are."""
    ended, plan = history.phases.get(Phase.RELEASE), history.plan(Phase.RELEASE)
    if ended is None or ended.result != "done" or plan is None:
        return False
    keys = {step.key for step in plan.steps}
    return any(step.undo is not None and step.undo.key in keys for each in plans for step in each.steps)
