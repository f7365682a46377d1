"""Approvals, as tasks: the question is written down before the form is shown, and the answer before anything runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbooks.approval import form_submission
from runbooks.case import response_stream
from runbooks.errors import NotApproved
from runbooks.plan import Plan
from runbooks.records import ApprovalAsked, Decision
from runbooks.windows import usable_until
from tasks.answering import settle, submit
from tasks.artifacts import show
from tasks.flow_runs import Given
from tasks.notices import tell_asked, tell_decided
from tasks.run import Run, current
from tasks.visible import visible


def decision_on(plan: Plan) -> Decision | None:
    """The decision that settled the plan, as the ledger has it.

    Raises:
        NotApproved: what stands there is no decision of this system (`forged`).
    """
    run = current()
    decision = run.history().decisions.get(plan.digest)
    if decision is not None and not run.services.signer.verifies(response_stream(run.response.id), decision):
        raise NotApproved(f"the decision on plan {plan.short_digest} in the ledger is forged", code="forged")
    return decision


def open_question(plan: Plan) -> tuple[int, str | None]:
    """The number of the question about this plan, and the flow run that carries its form; None before it is asked."""
    history = current().history()
    asked = history.open_question(plan.digest)
    return (asked.attempt, asked.flow_run) if asked else (history.next_question(plan.digest), None)


def overtaken_questions(plan: Plan) -> list[tuple[Plan, int, str]]:
    """Questions about the plans that this one took the place of, which may have been answered after that."""
    history = current().history()
    if plan.digest in history.decisions:
        return []
    older = [each for each in history.plans.values() if each.phase is plan.phase and each != plan]
    asked = ((each, history.open_question(each.digest)) for each in older)
    return [(each, question.attempt, question.flow_run) for each, question in asked if question is not None]


@visible("ask", "Ask for approval: {plan.phase}")
def ask_for_approval(plan: Plan, attempt: int) -> bool:
    """Write the question down, tell the SOC where its form is, and let go of the lease: the response sleeps now.

    False where somebody has decided meanwhile, through another door: then nobody is asked.
    """
    run = current()
    expires_at = _open_until(run, plan)
    show.plan(run, plan)
    tell_asked(run, plan, attempt, expires_at)
    asked = ApprovalAsked(
        digest=plan.digest,
        attempt=attempt,
        expires_at=expires_at,
        act_until=usable_until(plan.windows, expires_at),
        flow_run=run.flow_run,
    )
    if run.services.ledger.ask(run.response.id, asked, lease=run.lease).answer is None:
        return True
    _require_entry(run, plan, attempt)
    return False


@visible("decision", "Record the decision")
def record_answer(plan: Plan, attempt: int, given: Given) -> None:
    """Verify a form's answer once and write it down; a refused one is asked for again under the next number."""
    run = current()
    submission = form_submission(plan, attempt, given.values, given.at or run.now(), request=f"{plan.digest}-{attempt}")
    answered = submit(run.services, submission)
    if answered.decision is not None:
        tell_decided(run, plan, answered.decision)


def say_who_decided(plan: Plan, decision: Decision) -> None:
    """Tell the SOC, through whichever door the answer came; what was said before stays said."""
    tell_decided(current(), plan, decision)


@visible("standing-approval", "No approval needed: {plan.phase}")
def record_standing_approval(plan: Plan) -> None:
    """Write down why nobody is asked: the runbook says so, or has authorised it beforehand, or an approved plan did."""
    run = current()
    rule = plan.approval
    if not rule.required and rule.covered_by:
        reason = f"the approved plan {rule.covered_by[:12]} says that the containment ends when fixed"
    elif not rule.required:
        reason = f"runbook {plan.runbook} asks for no approval to {plan.phase}"
    else:
        reason = rule.pre_authorised or ""
    decision = Decision(
        digest=plan.digest,
        attempt=1,
        answer="approved",
        approver=None,
        channel="runbook" if rule.required else "plan",
        reason=reason,
    )
    if settle(run.services, run.response.id, decision):
        tell_decided(run, plan, decision)
    else:
        _require_entry(run, plan, decision.attempt)


def _require_entry(run: Run, plan: Plan, attempt: int) -> None:
    """An answer in the table of approvals follows from an entry; one that does not was written there by somebody."""
    history = run.history()
    refused = {each.attempt for each in history.refused.get(plan.digest, [])}
    if plan.digest not in history.decisions and attempt not in refused:
        raise NotApproved(
            f"the table of approvals has an answer to plan {plan.short_digest} that no entry led to", code="forged"
        )


def _open_until(run: Run, plan: Plan) -> datetime:
    """Until when the plan may be answered. Asked again after a refused answer, it has no more time than at first."""
    asked = run.history().questions.get(plan.digest, [])
    later = run.now() + timedelta(minutes=plan.approval.expires_minutes)
    return min((each.expires_at for each in asked), default=later)
