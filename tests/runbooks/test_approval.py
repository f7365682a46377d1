"""What an answer amounts to: only a named, allowed person in time approves, and nothing approves by default."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runbooks.approval import FormAnswer, weigh, weigh_given
from runbooks.plan import ApprovalRule, Plan
from runbooks.records import Decision
from tests.runbooks.builders import RECEIVED, a_contain_plan

UNTIL = RECEIVED + timedelta(minutes=60)
PLAN = a_contain_plan()
FOR_JANE = PLAN.model_copy(update={"approval": ApprovalRule(approvers=("jane", "joe"))})


def weighed(plan: Plan = PLAN, expires_at: datetime | None = UNTIL, late: float = -1, **answer: Any) -> Decision:
    """The decision on an answer that came so many seconds after the question expired."""
    values: dict[str, Any] = {"decision": "approve", "approver": "jane"}
    return weigh(plan, 3, FormAnswer(**(values | answer)), expires_at, UNTIL + timedelta(seconds=late))


def test_an_approval_names_the_plan_the_question_and_who_gave_it() -> None:
    assert weighed(comment="go ahead", approver=" jane ") == Decision(
        digest=PLAN.digest, attempt=3, answer="approved", approver="jane", channel="prefect", comment="go ahead"
    )


@pytest.mark.parametrize(
    ("changes", "answer", "reason"),
    [
        ({}, "approved", ""),
        ({"decision": "reject"}, "rejected", ""),
        ({"late": 0}, "approved", ""),
        ({"late": 1}, "expired", "the question was open until 2026-03-02 10:16 UTC"),
        ({"late": 1, "decision": "reject"}, "expired", "the question was open until 2026-03-02 10:16 UTC"),
        ({"expires_at": None}, "invalid", "no question about this plan was open"),
        ({"approver": "  "}, "invalid", "the answer does not say who gives it"),
        ({"approver": "\t\n", "decision": "reject"}, "invalid", "the answer does not say who gives it"),
        ({"plan": FOR_JANE}, "approved", ""),
        ({"plan": FOR_JANE, "approver": "joe "}, "approved", ""),
        ({"plan": FOR_JANE, "approver": "eve"}, "invalid", "eve is not among the approvers that the runbook names"),
        (
            {"plan": FOR_JANE, "approver": "eve", "decision": "reject"},
            "invalid",
            "eve is not among the approvers that the runbook names",
        ),
    ],
)
def test_every_answer(changes: dict[str, Any], answer: str, reason: str) -> None:
    decision = weighed(**changes)
    assert (decision.answer, decision.reason) == (answer, reason)
    assert decision.digest == changes.get("plan", PLAN).digest


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"approver": "jane"},
        {"decision": "approve"},
        {"decision": "yes", "approver": "jane"},
        {"decision": "approve", "approver": "j"},
        {"decision": "approve", "approver": "jane", "digest": "d"},
    ],
)
def test_a_form_that_does_not_say_is_no_answer(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FormAnswer.model_validate(values)


@given(
    approver=st.sampled_from(["jane", " joe", "eve", "  "]) | st.text(min_size=2, max_size=10),
    decision=st.sampled_from(["approve", "reject"]),
    late=st.integers(-100, 100),
    asked=st.booleans(),
    allowed=st.sets(st.sampled_from(["jane", "joe"])),
)
def test_it_is_approved_only_when_everything_about_it_holds(
    approver: str, decision: str, late: int, asked: bool, allowed: set[str]
) -> None:
    plan = PLAN.model_copy(update={"approval": ApprovalRule(approvers=tuple(sorted(allowed)))})
    found = weighed(plan, UNTIL if asked else None, late, approver=approver, decision=decision)
    holds = asked and late <= 0 and approver.strip() != "" and (not allowed or approver.strip() in allowed)
    assert (found.answer == "approved") is (holds and decision == "approve")
    assert (found.answer == "rejected") is (holds and decision == "reject")


@pytest.mark.parametrize(
    ("given_values", "wrong"),
    [
        ({}, "decision, approver"),
        ({"decision": "approve"}, "approver"),
        ({"decision": "sure", "approver": "jane"}, "decision"),
        ({"decision": "approve", "approver": "jane", "extra": 1}, "extra"),
        ({"decision": "approve", "approver": "jane", "comment": "x" * 1001}, "comment"),
    ],
)
def test_what_is_no_answer_at_all_is_invalid_and_says_what_is_wrong(given_values: dict[str, Any], wrong: str) -> None:
    assert weigh_given(PLAN, 3, given_values, UNTIL, RECEIVED) == Decision(
        digest=PLAN.digest,
        attempt=3,
        answer="invalid",
        approver=None,
        channel="prefect",
        reason=f"what was submitted is no answer to the form: {wrong}",
    )


def test_what_was_submitted_in_order_is_weighed_like_any_answer() -> None:
    values = {"decision": "approve", "approver": "jane", "comment": ""}
    assert weigh_given(PLAN, 3, values, UNTIL, RECEIVED) == weighed()
