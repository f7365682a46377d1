"""Pre-authorised containment: nobody is asked first, so many cases within an hour, and after that somebody is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from runbooks.limits import HOUR_SECONDS, exceeded, extents_of
from runbooks.plan import Extent, Phase, Plan
from runbooks.records import Admitted
from tasks.run import Run, current


def goes_unasked(plan: Plan) -> bool:
    """Whether the plan may begin although nobody was asked: its runbook says so, and what it allows is not used up.

    It is let in at once, in one transaction with the counting, so that many at the same time cannot all be the last.
    Whatever stands in the way, the limits included, a person is asked; and once one was asked, a person decides.
    """
    run = current()
    history = run.history()
    if plan.phase is not Phase.CONTAIN or not plan.approval.required or plan.approval.pre_authorised is None:
        return False
    if plan.digest in history.questions:
        return False
    admitted = Admitted(digest=plan.digest, phase=plan.phase, extents=extents_of(plan), pre_authorised=True)

    def judge(under_way: Sequence[Extent], last_hour: Sequence[Extent]) -> str | None:
        limits = run.runbook.limits
        return _used_up(run, plan) or exceeded(limits, admitted.extents, under_way, last_hour)

    return run.journal.admit(admitted, judge) is None


def _used_up(run: Run, plan: Plan) -> str | None:
    choice = run.runbook.contain.pre_authorised
    since = run.now() - timedelta(seconds=HOUR_SECONDS)
    unasked = {row.extent.case for row in run.services.ledger.admissions_since(since) if row.pre_authorised}
    if choice is not None and len(unasked | set(plan.cases)) <= choice.maximum_per_hour:
        return None
    return f"{len(unasked)} cases were contained within the last hour without asking"
