"""What is contained: the plans that contained the cases of a response, whichever response carried them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbooks.history import SUCCEEDED, ResponseHistory
from runbooks.plan import Phase, Plan
from runbooks.records import Outcome
from runbooks.steps import LaunchReplacement, RefreshInstances
from tasks.gateways.ledger import Ledger, ResponseRow
from tasks.journal import read_history


@dataclass(frozen=True)
class Contained:
    """Contain plans in the order they were carried out, and the outcomes of what they changed or may have changed."""

    plans: tuple[Plan, ...]
    outcomes: Mapping[str, Outcome]


def contained_by(ledger: Ledger, response: ResponseRow) -> Contained:
    """The contain plans in force for the response's cases: its own, or those of the responses before it.

    One that changed nothing, because it was overtaken or rejected, is none of them.
    """
    plans: list[Plan] = []
    outcomes: dict[str, Outcome] = {}
    for each in responses_of(ledger, response.cases):
        history = read_history(ledger, each.id)
        released = history.phases.get(Phase.RELEASE)
        if released is not None and released.result == "done":
            plans.clear()
        if each.id == response.id or history.contained:
            changes = history.changes
            mine = [plan for plan in history.plans.values() if plan.phase is Phase.CONTAIN]
            begun = [plan for plan in mine if any(plan.operation(step) in changes for step in plan.steps)]
            plans += sorted(begun, key=lambda plan: plan.revision)
            outcomes |= changes
    return Contained(plans=tuple(plans), outcomes=outcomes)


def is_contained(ledger: Ledger, response: ResponseRow) -> bool:
    """Whether a containment of the response's cases is in force, whichever response made it."""
    contained = False
    for each in responses_of(ledger, response.cases):
        history = read_history(ledger, each.id)
        released = history.phases.get(Phase.RELEASE)
        contained = history.contained or (contained and not (released is not None and released.result == "done"))
    return contained


def contained_cases(ledger: Ledger, response: ResponseRow) -> frozenset[str]:
    """Those of the response's cases of which a containment in force has changed something, or may have."""
    if not is_contained(ledger, response):
        return frozenset()
    found = contained_by(ledger, response)
    steps = (step for plan in found.plans for step in plan.steps if plan.operation(step) in found.outcomes)
    return frozenset(case for step in steps if step.undo is not None for case in step.cases)


def first_contained_by(ledger: Ledger, response: ResponseRow) -> str:
    """The earliest response whose containment of these cases is in force; this one, where none is."""
    first: str | None = None
    for each in responses_of(ledger, response.cases):
        history = read_history(ledger, each.id)
        released = history.phases.get(Phase.RELEASE)
        if released is not None and released.result == "done":
            first = None
        if history.contained and first is None:
            first = each.id
    return first or response.id


def responses_of(ledger: Ledger, cases: tuple[str, ...]) -> list[ResponseRow]:
    """Every response that acted on one of these cases, oldest first."""
    return [row for row in ledger.responses() if set(row.cases) & set(cases)]


@dataclass(frozen=True)
class Remediated:
    """What became of one case in a remediate plan."""

    replaced: bool = False
    successors: tuple[str, ...] = ()


def remediated(history: ResponseHistory, case: str) -> Remediated:
    """Whether the case's instance was replaced, and by which instances."""
    plan = history.plan(Phase.REMEDIATE, case)
    for step in plan.steps if plan else ():
        if case in step.cases and isinstance(step, LaunchReplacement | RefreshInstances):
            outcome = history.outcome(plan, step) if plan else None
            if outcome is not None and outcome.status in SUCCEEDED:
                return Remediated(replaced=True, successors=tuple(outcome.result.get("instances", ())))
            return Remediated(replaced=True)
    return Remediated()
