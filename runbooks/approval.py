"""Weighing an answer: what the form carries becomes a decision only when everything about it holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from runbooks.model import Model
from runbooks.plan import Plan
from runbooks.records import Decision


class FormAnswer(Model):
    """What a person filled in. The form's own checks can be passed by; these cannot."""

    decision: Literal["approve", "reject"]
    approver: Annotated[str, Field(min_length=2, max_length=120)]
    comment: Annotated[str, Field(max_length=1000)] = ""


def weigh_given(
    plan: Plan, attempt: int, given: Mapping[str, Any], expires_at: datetime | None, now: datetime
) -> Decision:
    """As `weigh`, of what was submitted, whatever it is: something that is no answer at all is invalid."""
    try:
        answer = FormAnswer.model_validate(dict(given))
    except ValidationError as error:
        wrong = ", ".join(str(each["loc"][0]) for each in error.errors(include_url=False) if each["loc"])
        return Decision(
            digest=plan.digest,
            attempt=attempt,
            answer="invalid",
            approver=None,
            channel="prefect",
            reason=f"what was submitted is no answer to the form: {wrong or 'nothing of it'}",
        )
    return weigh(plan, attempt, answer, expires_at, now)


def weigh(plan: Plan, attempt: int, answer: FormAnswer, expires_at: datetime | None, now: datetime) -> Decision:
    """The decision an answer amounts to: approved, rejected, expired, or invalid with its reason.

    Args:
        expires_at: until when the open question may be answered; None when no question is open.
    """

    def decided(verdict: Literal["approved", "rejected", "expired", "invalid"], reason: str = "") -> Decision:
        return Decision(
            digest=plan.digest,
            attempt=attempt,
            answer=verdict,
            approver=answer.approver.strip() or None,
            channel="prefect",
            comment=answer.comment,
            reason=reason,
        )

    if expires_at is None:
        return decided("invalid", "no question about this plan was open")
    if now > expires_at:
        return decided("expired", f"the question was open until {expires_at:%Y-%m-%d %H:%M} UTC")
    if not answer.approver.strip():
        return decided("invalid", "the answer does not say who gives it")
    allowed = plan.approval.approvers
    if allowed and answer.approver.strip() not in allowed:
        return decided("invalid", f"{answer.approver.strip()} is not among the approvers that the runbook names")
    return decided("approved" if answer.decision == "approve" else "rejected")
