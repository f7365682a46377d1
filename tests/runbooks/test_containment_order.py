"""Who is isolated first, where many are contained by one plan."""

from __future__ import annotations

from runbooks.planning.containment import plan_containment
from tests.runbooks.builders import RESPONSE, a_runbook, assessments


def test_fifty_are_isolated_before_the_next_ones_are_touched() -> None:
    limits = dict.fromkeys(("maximum_cases", "maximum_cases_at_once", "maximum_cases_per_hour"), 1000)
    shares = dict.fromkeys(("auto_scaling_group", "target_group", "environment"), 100)
    limits |= {f"maximum_share_of_{name}": share for name, share in shares.items()}
    runbook = a_runbook(limits=limits)
    plan = plan_containment(RESPONSE, runbook, assessments(60, runbook))
    swaps = [place for place, step in enumerate(plan.steps) if step.kind == "swap-security-groups"]
    of_the_next = [place for place, step in enumerate(plan.steps) if set(step.cases) & set(plan.cases[50:])]
    first = [place for place in swaps if plan.steps[place].cases[0] in plan.cases[:50]]
    assert len({plan.steps[place].cases[0] for place in first}) == 50
    assert max(first) < min(place for place in of_the_next if len(plan.steps[place].cases) == 1)


def test_what_is_exploited_and_exposed_comes_first() -> None:
    quiet, urgent = assessments(2)
    quiet = quiet.model_copy(update={"triage": quiet.triage.model_copy(update={"priority": "P2"})})
    assert urgent.triage.priority == "P1"
    assert plan_containment(RESPONSE, a_runbook(), [quiet, urgent]).cases == (urgent.case, quiet.case)
