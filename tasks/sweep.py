"""The sweep: what keeps every response moving, whoever died. It is a process of its own, or a scheduled deployment.

It drains the inbox, starts the runs of new responses, wakes those whose time to look has come, restarts those whose
run died or never started (as a new flow run, after settling), expires approvals and reminds of them, looks again at
what could not be verified and at what Inspector is said to scan no more, tells people of what is new, anchors the
ledger, has the gate judge the images that were scanned, and asks Inspector about the open cases that nobody
acts on and for what was never delivered. Everything it knows is in the ledger; everything it does can be done twice,
also by two sweeps at the same moment.
"""

from __future__ import annotations

from functools import partial

from runbooks.records import Decision
from tasks.anchoring import anchor
from tasks.answering import settle
from tasks.flow_runs import cancel
from tasks.gateways.ledger import ApprovalRow
from tasks.intake import drain
from tasks.services import Services
from tasks.sweeping.coverage import follow_coverage
from tasks.sweeping.dispatch import asleep, keep_moving, live_responses
from tasks.sweeping.gating import judge_waiting, request_judgement
from tasks.sweeping.looking_again import look_again
from tasks.sweeping.notices import give_notice
from tasks.sweeping.over import look_at_what_is_over
from tasks.sweeping.reconciliation import reconcile
from tasks.sweeping.reminders import remind
from tasks.sweeping.swept import Swept

__all__ = ["Swept", "sweep"]


async def sweep(have: Services) -> Swept:
    """One pass. A trouble with one response, or with one part of the work, does not keep the others waiting.

    What may take long comes after what makes runs act again.

    Raises:
        LedgerError: the ledger does not say what there is to do.
    """
    swept = Swept()
    await swept.guarded("inbox", _drain(have, swept))
    now = have.now()
    for question in have.ledger.expired_approvals(now):
        await swept.guarded(question.response_id, _expire(have, question, swept))
    await swept.guarded("coverage", follow_coverage(have, now, swept))
    await swept.guarded("unverified", look_again(have, now, swept))
    sleepers = asleep(have, swept, now)
    for response in live_responses(have):
        await swept.guarded(response.id, keep_moving(have, response, sleepers.get(response.id), now, swept))
    await swept.guarded("reminders", remind(have, now, swept))
    await swept.guarded("notices", give_notice(have, now, swept))
    await swept.guarded("ledger", _anchor(have))
    await swept.guarded("open cases", look_at_what_is_over(have, now, swept))
    await swept.guarded("gate", judge_waiting(have, now, swept))
    await swept.guarded("inspector", reconcile(have, now, swept))
    return swept


async def _drain(have: Services, swept: Swept) -> None:
    gate = partial(request_judgement, have)
    chosen = have.settings
    gaps = chosen.coverage_gaps == "ticket"
    drained = drain(have.ledger, have.catalog, grouping_seconds=chosen.grouping_seconds, gate=gate, gaps=gaps)
    swept.deliveries = drained.deliveries


async def _expire(have: Services, question: ApprovalRow, swept: Swept) -> None:
    decision = Decision(
        digest=question.digest,
        attempt=question.attempt,
        answer="expired",
        approver=None,
        channel="sweep",
        reason="nobody answered in time",
    )
    if settle(have, question.response_id, decision):
        swept.expired.append(question.response_id)
        if question.flow_run:
            await cancel(question.flow_run, "the approval expired")


async def _anchor(have: Services) -> None:
    anchor(have)
