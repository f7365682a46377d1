"""What every plan about functions takes of its cases: the function, where it is, and as many as may begin together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.definition import Runbook
from runbooks.errors import LimitExceeded
from runbooks.function import FunctionFacts, LambdaFunction
from runbooks.planning.extents import as_many_as_may
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
    there = [each for each in assessments if each.facts.function_facts.function is not None]
    now, later = as_many_as_may(runbook, there)
    chosen = [Chosen(each, function) for each in now if (function := each.facts.function_facts.function) is not None]
    return chosen, tuple(each.case for each in later)
