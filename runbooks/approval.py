"""Weighing an answer: what the form carries becomes a decision only when everything about it holds."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runbooks.model import Model
from runbooks.plan import Plan
from runbooks.records import Decision


class FormAnswer(Model):
    """What a person filled in."""

    decision: Literal["approve", "reject"]
    approver: str
    comment: str = ""


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
