"""What is contained: the changes in force for the cases of a response, whichever response made them, and who else
counts on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbooks.case import CaseKey, case_stream
from runbooks.history import SUCCEEDED, ResponseHistory
from runbooks.in_force import Change, in_force
from runbooks.plan import Phase, Plan
from runbooks.records import CaseTriaged, Outcome
from runbooks.steps import AnyStep, LaunchReplacement, RefreshInstances
from tasks.gateways.ledger import CaseRow, Ledger, ResponseRow
from tasks.journal import read_history
from tasks.run import SHARED


@dataclass(frozen=True)
class Contained:
    """Contain plans in the order they were carried out, and the outcomes of what they changed or may have changed."""

    plans: tuple[Plan, ...]
    outcomes: Mapping[str, Outcome]
    kept_for: Mapping[str, frozenset[str]]
    """Operation -> the cases that are not released from it, which may be others than its step was for."""


def contained_by(ledger: Ledger, response: ResponseRow) -> Contained:
    """What the containment of the response's cases has changed: that of its own plans, and of others in force for them.

    A plan that changed nothing, because it was overtaken or rejected, is none of them.
    """
    found = _in_force_for(ledger, response.cases)
    return Contained(
        plans=tuple({change.plan.digest: change.plan for change in found}.values()),
        outcomes={change.outcome.operation: change.outcome for change in found},
        kept_for={change.outcome.operation: change.kept_for for change in found},
    )


def is_contained(ledger: Ledger, response: ResponseRow) -> bool:
    """Whether a containment of the response's cases is in force, whichever response made it."""
    return any(change.step.undo is not None for change in _in_force_for(ledger, response.cases))


def contained_cases(ledger: Ledger, response: ResponseRow, *, contains: bool) -> frozenset[str]:
    """Those of the response's cases for which a containment in force has changed something, or may have.

    Args:
        contains: whether the response's runbook contains at all. Then a case whose resource another case's containment
            has changed is among them: what it is now says nothing of what it will be when that ends.
    """
    alike = _by_resource(_alike(ledger, ledger.cases_of(response.cases))) if contains else {}
    changes = (change for change in _in_force(ledger, (*response.cases, *alike)) if change.step.undo is not None)
    kept_for = frozenset[str]().union(*(change.kept_for for change in changes))
    return frozenset(case for case in response.cases if kept_for & alike.get(case, {case}))


def first_contained_by(ledger: Ledger, response: ResponseRow) -> str:
    """The earliest response whose containment of these cases is in force; this one, where none is."""
    mine = (change for change in _in_force_for(ledger, response.cases) if set(change.step.cases) & set(response.cases))
    return next((change.plan.response for change in mine if change.step.undo is not None), response.id)


def counted_on(ledger: Ledger, plan: Plan) -> dict[str, tuple[CaseKey, ...]]:
    """Key of a step of a release plan -> the other open cases that count on what the step would put back.

    To be asked under the lease on what the plan touches: whoever comes to count on it holds that while they do.
    """
    if plan.phase is not Phase.RELEASE or not plan.steps:
        return {}
    mine = ledger.cases_of(plan.cases)
    rows = {row.id: row for row in (*_alike(ledger, mine), *_beside(ledger, plan, mine)) if row.status == "open"}
    others = {name: row.key for name, row in rows.items() if name not in plan.cases}
    changes = _in_force(ledger, (*plan.cases, *others)) if others else []
    found = {step.key: _who_count_on(step, changes) & others.keys() for step in plan.steps}
    return {key: tuple(others[name] for name in sorted(names)) for key, names in found.items() if names}


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


def _in_force_for(ledger: Ledger, cases: Sequence[str]) -> list[Change]:
    alike = _alike(ledger, ledger.cases_of(cases))
    every = dict.fromkeys((*cases, *(row.id for row in alike)))
    return [change for change in _in_force(ledger, tuple(every)) if change.kept_for & set(cases)]


def _in_force(ledger: Ledger, cases: Sequence[str]) -> list[Change]:
    histories = [read_history(ledger, row.id) for row in responses_of(ledger, tuple(cases))]
    alike = _by_resource(ledger.cases_of(cases))
    several = (case for case, same in alike.items() if len(same) > 1)
    return in_force(histories, alike, _to_contain(ledger, several))


def _by_resource(rows: Iterable[CaseRow]) -> dict[str, frozenset[str]]:
    """Case -> those of the cases that are about its resource."""
    on: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        on.setdefault(_place_of(row), set()).add(row.id)
    return {case: frozenset(same) for same in on.values() for case in same}


def _to_contain(ledger: Ledger, cases: Iterable[str]) -> dict[str, datetime]:
    newest = {case: ledger.entries_of(case_stream(case), "case-triaged")[-1:] for case in cases}
    records = ((case, entry.at, entry.record()) for case, entries in newest.items() for entry in entries)
    return {case: at for case, at, each in records if isinstance(each, CaseTriaged) and each.assessment.triage.contain}


def _alike(ledger: Ledger, rows: Sequence[CaseRow]) -> list[CaseRow]:
    """The cases of every runbook about the resources of these, themselves included."""
    places = {_place_of(row) for row in rows}
    return [row for row in ledger.cases_on({row.key.resource_id for row in rows}) if _place_of(row) in places]


def _beside(ledger: Ledger, plan: Plan, rows: Sequence[CaseRow]) -> list[CaseRow]:
    """The open cases about other resources of the same kind, where the plan touches something that they may share."""
    places = {(step.target.account, step.target.region) for step in plan.steps if step.target.type in SHARED}
    kinds = {row.key.resource_type for row in rows}
    found = ledger.cases("open") if places else ()
    return [row for row in found if (row.key.account, row.key.region) in places and row.key.resource_type in kinds]


def _who_count_on(step: AnyStep, changes: Iterable[Change]) -> frozenset[str]:
    counting = (each.counted_on_by for each in changes if each.step.undo and each.step.undo.key == step.key)
    return frozenset[str]().union(*counting)


def _place_of(row: CaseRow) -> tuple[str, str, str]:
    return row.key.account, row.key.region, row.key.resource_id
