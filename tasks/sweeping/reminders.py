"""Reminding the SOC of questions that wait for an answer: after the runbook's time, then ever more rarely.

The sweep is no run of the response and holds no lease of it: that would keep an answer from waking the run. It holds a
lease on the reminders instead, so that of two sweeps one posts, and a message whose answer was lost is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runbooks.case import response_stream
from runbooks.definition import Approval, Runbook
from runbooks.errors import BadInput, LeaseLost
from runbooks.plan import Phase, Plan
from runbooks.records import PlanMade, Reminded
from runbooks.telling.messages import Message, note
from runbooks.telling.plan_text import plan_title
from runbooks.timestamps import moment
from tasks.gateways.ledger import ApprovalRow
from tasks.gateways.slack import SlackGateway
from tasks.journal import Journal
from tasks.notices import thread_of
from tasks.services import Services
from tasks.sweeping.swept import Swept


async def remind(have: Services, now: datetime, swept: Swept) -> None:
    """Post what is due, in the thread of each response. Where there is no Slack there is nobody to remind.

    Raises:
        Outside: Slack cannot be reached; the rest waits for the next sweep.
    """
    if have.slack is None:
        return
    for question in have.ledger.approvals():
        try:
            if _due(have, question, now) and _remind(have, have.slack, question, now):
                swept.reminded.append(question.response_id)
        except LeaseLost:
            continue  # Another sweep is reminding of it.
        except BadInput as error:
            swept.trouble(question.response_id, error)


@dataclass(frozen=True)
class _Due:
    plan: Plan
    number: int
    """1 after the runbook's time, and each next one after twice as long."""


def _remind(have: Services, slack: SlackGateway, question: ApprovalRow, now: datetime) -> bool:
    with _reminding(have, question.response_id) as journal:
        due = _due(have, question, now)
        if due is None:
            return False
        message, thread = _message(have, question, due.plan), thread_of(question.response_id, journal.history())

        def find(operation: str) -> Mapping[str, Any] | None:
            found = slack.find(operation, question.asked_at or now, thread=thread)
            return found.model_dump() if found else None

        def act(operation: str) -> Mapping[str, Any]:
            return slack.post(message.text, message.blocks, operation, thread=thread).model_dump()

        subject = f"reminder/{question.digest}/{question.attempt}/{due.number}"
        journal.once("post-message", subject, find=find, act=act)
        journal.write(Reminded(digest=question.digest, attempt=question.attempt))
        return True


@contextmanager
def _reminding(have: Services, response: str) -> Iterator[Journal]:
    """The response's journal, for whoever holds its reminders."""
    chosen = have.settings
    lease = have.ledger.hold(f"reminders/{response}", chosen.lease_seconds, settle_seconds=chosen.settle_seconds)
    try:
        yield Journal(have.ledger, response, lease)
    finally:
        have.ledger.release(lease)


def _due(have: Services, question: ApprovalRow, now: datetime) -> _Due | None:
    """The reminder to send now; None where the question is answered or over, or it is too early."""
    response, asked = (
        have.ledger.response(question.response_id),
        have.ledger.approval(question.digest, question.attempt),
    )
    if response is None or asked is None or asked.asked_at is None or asked.answer is not None:
        return None
    runbook = have.catalog.named(response.runbook)
    soonest = timedelta(minutes=min(each.remind_minutes for each in _rules(runbook).values()))
    if now < asked.asked_at + soonest or (asked.expires_at is not None and now >= asked.expires_at):
        return None
    sent = _sent(have, asked)
    since, factor = max([asked.asked_at, *sent]), 2 ** len(sent)
    # The plan may be long: it is read only when it may be time.
    plan = _plan(have, asked) if now >= since + soonest * factor else None
    if plan is None or now < since + timedelta(minutes=_rules(runbook)[plan.phase].remind_minutes) * factor:
        return None
    return _Due(plan, len(sent) + 1)


def _rules(runbook: Runbook) -> dict[Phase, Approval]:
    return {
        Phase.CONTAIN: runbook.contain.approval,
        Phase.REBUILD: runbook.rebuild.approval,
        Phase.TEST: runbook.rebuild.approval,
        Phase.REMEDIATE: runbook.remediate.approval,
        Phase.VERIFY: runbook.remediate.approval,
        Phase.RELEASE: runbook.release.approval,
        Phase.DEPRECATE: runbook.deprecate.approval,
    }


def _sent(have: Services, question: ApprovalRow) -> list[datetime]:
    """When it was reminded of so far."""
    entries = have.ledger.entries_of(response_stream(question.response_id), "reminded")
    records = ((entry.at, entry.record()) for entry in entries)
    mine = (question.digest, question.attempt)
    return [at for at, each in records if isinstance(each, Reminded) and (each.digest, each.attempt) == mine]


def _plan(have: Services, question: ApprovalRow) -> Plan | None:
    entries = have.ledger.entries_of(response_stream(question.response_id), "plan-made")
    records = (entry.record() for entry in entries)
    return next((each.plan for each in records if isinstance(each, PlanMade) and each.digest == question.digest), None)


def _message(have: Services, question: ApprovalRow, plan: Plan) -> Message:
    title = plan_title(plan, {case.id: case.key for case in have.ledger.cases_of(plan.cases)})
    until = f" It can be answered until {moment(question.expires_at)}." if question.expires_at else ""
    form = f"{have.settings.console}/runs/flow-run/{question.flow_run}" if question.flow_run else None
    return note(f"⏰ Still waiting for an answer: {title}.{until}", {"Read the plan and decide": form})
