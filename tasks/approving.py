"""Approvals, as tasks: the question is written down before the form is shown, and the answer before anything runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runbooks.approval import weigh_given
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import ApprovalAsked, Decision
from tasks.artifacts import show
from tasks.notices import tell_asked, tell_decided
from tasks.run import current
from tasks.visible import visible


def decision_on(plan: Plan) -> Decision | None:
    """The decision that settled the plan, as the ledger has it."""
    return current().history().decisions.get(plan.digest)


def open_question(plan: Plan) -> tuple[int, str | None]:
    """The number of the question about this plan, and the flow run that carries its form; None before it is asked."""
    history = current().history()
    asked = history.open_question(plan.digest)
    return (asked.attempt, asked.flow_run) if asked else (history.next_question(plan.digest), None)


@visible("ask", "Ask for approval: {plan.phase}")
def ask_for_approval(plan: Plan, attempt: int) -> None:
    """Write the question down, tell the SOC where its form is, and let go of the lease: the response sleeps now."""
    run = current()
    expires_at = run.now() + timedelta(minutes=plan.approval.expires_minutes)
    show.plan(run, plan)
    tell_asked(run, plan, attempt, expires_at)
    asked = ApprovalAsked(digest=plan.digest, attempt=attempt, expires_at=expires_at, flow_run=run.flow_run)
    run.services.ledger.ask(run.response.id, asked, lease=run.lease)


@visible("decision", "Record the decision")
def record_answer(plan: Plan, attempt: int, given: dict[str, Any]) -> Decision:
    """Verify a form's answer once and write it down; a refused one is asked for again under the next number."""
    run = current()
    question = run.history().open_question(plan.digest)
    decision = weigh_given(plan, attempt, given, question.expires_at if question else None, run.now())
    return _settle(decision, plan)


@visible("standing-approval", "No approval needed: {plan.phase}")
def record_standing_approval(plan: Plan) -> Decision:
    """Write down why nobody is asked: the runbook says so, or an approved plan did."""
    covered = plan.approval.covered_by
    reason = (
        f"the approved plan {covered[:12]} says that the containment ends when fixed"
        if covered
        else f"runbook {plan.runbook} asks for no approval to {plan.phase}"
    )
    decision = Decision(digest=plan.digest, attempt=1, answer="approved", approver=None, channel="plan", reason=reason)
    return _settle(decision, plan)


def _settle(decision: Decision, plan: Plan) -> Decision:
    run = current()
    if run.services.ledger.decide(run.response.id, decision):
        tell_decided(run, plan, decision)
        return decision
    settled = _answered(run.history(), plan, decision.attempt)
    return settled or decision


def _answered(history: ResponseHistory, plan: Plan, attempt: int) -> Decision | None:
    refused = (each for each in history.refused.get(plan.digest, []) if each.attempt == attempt)
    return history.decisions.get(plan.digest) or next(refused, None)
