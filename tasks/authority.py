"""Whether a plan may run: what the executor asks before anything is looked at."""

from __future__ import annotations

from datetime import datetime

from runbooks.errors import NotApproved
from runbooks.history import ResponseHistory
from runbooks.plan import Plan


def authorise(history: ResponseHistory, plan: Plan, now: datetime) -> None:
    """Check that the ledger holds a valid approval of this very plan.

    Raises:
        NotApproved: there is none, it is for another plan, it was not in time, or what it rests on was not approved.
    """
    digest = plan.digest
    if history.plans.get(digest) != plan:
        raise NotApproved(f"the ledger has no plan of digest {plan.short_digest}: nothing runs that was not shown")
    decision = history.decisions.get(digest)
    if decision is None or decision.answer != "approved":
        raise NotApproved(f"plan {plan.short_digest} is not approved")
    if decision.channel == "plan":
        _rests_on(history, plan)
    elif not history.spent(digest):
        deadline = max((asked.expires_at for asked in history.questions.get(digest, [])), default=None)
        if deadline is None or now > deadline:
            raise NotApproved(
                f"the approval of plan {plan.short_digest} expired before its first change", code="expired"
            )


def _rests_on(history: ResponseHistory, plan: Plan) -> None:
    """A plan that nobody was asked about: its runbook asks for no approval, or an approved plan said so."""
    if plan.approval.required:
        raise NotApproved(f"plan {plan.short_digest} needs a person's yes")
    covering = plan.approval.covered_by
    if covering is None:
        return
    said, decision = history.plans.get(covering), history.decisions.get(covering)
    if said is None or not said.releases_when_fixed or decision is None or decision.answer != "approved":
        raise NotApproved(
            f"plan {plan.short_digest} rests on {covering[:12]}, which was not approved to release by itself"
        )
