"""What triage leaves nothing to do about is over without a verdict, unless the response has begun to change it."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.history import ResponseHistory
from runbooks.left_alone import left_alone
from runbooks.plan import Plan
from runbooks.records import PlanMade, ResponseStarted
from runbooks.triage import Assessment
from tests.runbooks.builders import (
    CASE,
    RESPONSE,
    RUNBOOK,
    a_contain_plan,
    a_finding,
    a_verify_plan,
    an_assessment,
    an_intent,
    an_outcome,
    case_facts,
)
from tests.runbooks.histories import a_history, dated

CLOSED = "Inspector has closed the finding since it was sent"


def over(case: str = CASE) -> Assessment:
    return an_assessment(case_facts(a_finding(status="CLOSED"), case=case))


def history(plan: Plan | None = None, *records: Any, purpose: Any = "respond") -> ResponseHistory:
    started = ResponseStarted(response=RESPONSE, purpose=purpose, runbook=RUNBOOK, cases=(CASE,), started_by="webhook")
    made = [PlanMade(digest=plan.digest, plan=plan)] if plan else []
    return a_history(*(dated(minute, record) for minute, record in enumerate((started, *made, *records))))


def test_only_what_triage_leaves_nothing_to_do_about_is_over() -> None:
    found = left_alone(history(a_contain_plan()), [over(), an_assessment(case_facts(case="case-to-act-on"))])
    assert found == {CASE: CLOSED}


def test_what_a_plan_did_not_find_as_it_was_planned_may_be_over() -> None:
    plan = a_contain_plan()
    drifted = an_outcome(plan, plan.steps[0], "drifted", detail="the instance is gone")
    assert left_alone(history(plan, drifted), [over()]) == {CASE: CLOSED}


def test_what_was_only_looked_at_or_built_beside_may_be_over() -> None:
    plan = a_verify_plan()
    assert left_alone(history(plan, an_intent(plan, plan.steps[0])), [over()]) == {CASE: CLOSED}


def test_what_the_response_has_begun_to_change_only_the_evidence_ends() -> None:
    plan = a_contain_plan()
    begun = history(plan, an_intent(plan, plan.steps[0]))
    assert left_alone(begun, [over(), over("case-of-another")]) == {"case-of-another": CLOSED}


@pytest.mark.parametrize("purpose", ["verify", "release"])
def test_a_look_or_a_release_is_about_every_case_that_it_was_asked_for(purpose: str) -> None:
    assert left_alone(history(purpose=purpose), [over()]) == {}
