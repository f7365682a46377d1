"""What every plan about functions takes of its cases: the function, where it is, and as many as may begin together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded
from runbooks.function import FunctionFacts, LambdaFunction
from runbooks.limits import Room
from runbooks.planning.extents import extent_of
from runbooks.steps import Target
from runbooks.triage import Assessment


@dataclass(frozen=True)
class Chosen:
    """A case whose function is there."""

    assessment: Assessment
    function: LambdaFunction

    @property
    def case(self) -> str:
        return self.assessment.case

    @property
    def facts(self) -> FunctionFacts:
        return self.assessment.facts.function_facts

    def target(self, kind: str = "function", identifier: str | None = None) -> Target:
        """A thing in the function's own account and region; the function itself where nothing else is said."""
        function = self.function
        return Target(account=function.account, region=function.region, type=kind, id=identifier or function.name)


def chosen_of(runbook: Runbook, assessments: Sequence[Assessment]) -> tuple[list[Chosen], tuple[str, ...]]:
    """Those of the cases whose function is there and that may begin together, the most urgent first; and the others.

    Raises:
        LimitExceeded: they are more than the runbook allows.
    """
    if len(assessments) > runbook.limits.maximum_cases:
        raise LimitExceeded(f"{len(assessments)} cases, and {runbook.name} allows {runbook.limits.maximum_cases}")
    room, now, later = Room(runbook.limits), list[Chosen](), list[str]()
    for each in sorted(assessments, key=lambda each: each.triage.priority):
        function, extent = each.facts.function_facts.function, [extent_of(runbook, each)]
        if function is None:
            continue
        if now and not room.has_for(extent):
            later.append(each.case)
            continue
        room.take(extent)
        now.append(Chosen(each, function))
    return now, tuple(later)
