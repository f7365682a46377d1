"""Telling people of what belongs to no case: each thing once, whoever else sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from runbooks.case import NOTICES
from runbooks.chain import Entry
from runbooks.errors import LeaseLost
from runbooks.records import NoticeGiven, NoticeRaised
from runbooks.telling.notice_text import notice_message, notice_ticket
from tasks.gateways.jira import JiraGateway
from tasks.gateways.slack import SlackGateway
from tasks.journal import Journal
from tasks.services import Services
from tasks.sweeping.swept import Swept

FOUND_WITHIN = timedelta(minutes=1)
"""How long Jira's search may take to show a new ticket."""
UNDONE = ("notice-raised", "intent", "outcome")


async def give_notice(have: Services, now: datetime, swept: Swept) -> None:
    """Open the ticket and post the message of each. Where there is neither Jira nor Slack they wait for one.

    Raises:
        Outside: one of them cannot be reached; the rest waits for the next sweep.
    """
    if have.jira is None and have.slack is None:
        return
    for entry in have.ledger.newest(NOTICES, *UNDONE):
        try:
            if (raised := _give(have, entry, now)) is not None:
                swept.noticed.append(raised.subject)
        except LeaseLost:
            continue  # Another sweep is at it.


def _give(have: Services, entry: Entry, now: datetime) -> NoticeRaised | None:
    chosen, stream = have.settings, entry.stream
    lease = have.ledger.hold(stream, chosen.lease_seconds, settle_seconds=chosen.settle_seconds)
    try:
        first, last = have.ledger.entries(stream)[0], have.ledger.last(stream)
        raised = first.record()
        if last is None or last.kind not in UNDONE or not isinstance(raised, NoticeRaised):
            return None
        journal = Journal(have.ledger, stream, lease, stream)
        if have.jira is not None:
            _open_ticket(have.jira, journal, raised, first.at, now)
        if have.slack is not None and (raised.topic == "unknown-kind" or have.jira is None):
            _post(have.slack, journal, raised, first.at)
        journal.write(NoticeGiven())
        return raised
    finally:
        have.ledger.release(lease)


def _open_ticket(jira: JiraGateway, journal: Journal, raised: NoticeRaised, since: datetime, now: datetime) -> None:
    ticket = notice_ticket(raised)

    def find(operation: str) -> Mapping[str, Any] | None:
        found = jira.find(operation, since)
        return found.model_dump() if found else None

    def act(operation: str) -> Mapping[str, Any]:
        return jira.create(ticket.summary, ticket.description, ticket.labels, operation).model_dump()

    journal.once("create-ticket", raised.topic, find=find, act=act, unseen_since=now - FOUND_WITHIN)


def _post(slack: SlackGateway, journal: Journal, raised: NoticeRaised, since: datetime) -> None:
    message = notice_message(raised)

    def find(operation: str) -> Mapping[str, Any] | None:
        found = slack.find(operation, since)
        return found.model_dump() if found else None

    def act(operation: str) -> Mapping[str, Any]:
        return slack.post(message.text, message.blocks, operation).model_dump()

    journal.once("post-message", raised.topic, find=find, act=act)
