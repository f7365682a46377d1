"""The plan that opens again what a remediation closed: its own changes, put back, after a person's yes."""

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
    """Put back what was closed of the response's cases, whichever response closed it; somebody is always asked."""
    plans, outcomes = _closed_by(run)
    plan = plan_release(
        run.runbook,
        plans,
        outcomes,
        run.response.cases,
        response=run.response.id,
        by_itself=False,
        revision=history.next_revision(Phase.RELEASE),
    )
    return plan.model_copy(update={"reasons": (OPENED_AGAIN,)})


def _closed_by(run: Run) -> tuple[list[Plan], Mapping[str, Outcome]]:
    """The remediations in force, in the order they were carried out, and what they changed or may have changed."""
    plans: list[Plan] = []
    outcomes: dict[str, Outcome] = {}
    for each in responses_of(run.services.ledger, run.response.cases):
        history = read_history(run.services.ledger, each.id)
        released = history.phases.get(Phase.RELEASE)
        if released is not None and released.result == "done":
            plans.clear()
        changes = history.changes
        mine = (plan for plan in history.plans.values() if plan.phase is Phase.REMEDIATE)
        begun = [plan for plan in mine if any(plan.operation(step) in changes for step in plan.steps)]
        plans += sorted(begun, key=lambda plan: plan.revision)
        outcomes |= changes
    return plans, outcomes
