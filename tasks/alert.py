"""Alert, as tasks: a ticket and a message in the SOC's channel, each found again rather than made twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from runbooks.finding import Finding
from runbooks.history import ResponseHistory
from runbooks.steps.base import operation_id
from runbooks.telling.messages import alert_message
from runbooks.telling.tickets import Ticket, alert_ticket
from tasks.gateways.jira import TicketRef
from tasks.notices import ALERT, post_once, run_url, thread_of, undelivered
from tasks.recurrence import recurrences
from tasks.run import Run, current
from tasks.visible import visible

FOUND_WITHIN = timedelta(minutes=1)
"""How long Jira's search may take to show a new ticket."""


def already_alerted() -> bool:
    """Whether everyone the runbook wants told has been told."""
    run = current()
    history, wanted = run.history(), run.runbook.alert
    ticket = not wanted.ticket or run.services.jira is None or ticket_of(run.response.id, history) is not None
    message = not wanted.slack or run.services.slack is None or thread_of(run.response.id, history) is not None
    return ticket and message


@visible("ticket", "Open the ticket")
def open_ticket() -> str | None:
    """The key of the response's ticket, None where the runbook wants none or no Jira is configured."""
    run = current()
    if not run.runbook.alert.ticket:
        return None
    again = recurrences(run.services.ledger, run.response.cases)
    ticket = alert_ticket(run.keys, findings_of(run), run.runbook, recurrence_of=again, run_url=run_url(run))
    undelivered(lambda: create_once(run, ALERT, ticket))
    made = ticket_of(run.response.id, run.history())
    return made.key if made else None


@visible("alert", "Alert the SOC")
def alert_security_operations() -> None:
    """One message in the SOC's channel; everything that follows answers to it."""
    run = current()
    if not run.runbook.alert.slack:
        return
    ticket = ticket_of(run.response.id, run.history())
    message = alert_message(
        run.keys,
        findings_of(run),
        run.runbook,
        recurrence_of=recurrences(run.services.ledger, run.response.cases),
        run_url=run_url(run),
        ticket_url=ticket.url if ticket else None,
    )
    undelivered(lambda: post_once(run, ALERT, message, in_thread=False))


def findings_of(run: Run) -> dict[str, tuple[Finding, ...]]:
    """The findings of the response's cases, as they were seen."""
    return run.services.ledger.findings_of(run.response.cases)


def create_once(run: Run, subject: str, ticket: Ticket) -> TicketRef | None:
    """Create one ticket for ever; None where no Jira is configured."""
    jira = run.services.jira
    if jira is None:
        return None

    def find(operation: str) -> Mapping[str, Any] | None:
        found = jira.find(operation, run.response.started_at)
        return found.model_dump() if found else None

    def act(operation: str) -> Mapping[str, Any]:
        return jira.create(
            ticket.summary, ticket.description, ticket.labels, operation, priority=ticket.priority
        ).model_dump()

    shown = run.now() - FOUND_WITHIN
    return TicketRef.model_validate(run.journal.once("create-ticket", subject, find=find, act=act, unseen_since=shown))


def ticket_of(response: str, history: ResponseHistory, subject: str = ALERT) -> TicketRef | None:
    """A ticket that the response has made."""
    outcome = history.outcomes.get(operation_id(response, f"create-ticket/{subject}"))
    return TicketRef.model_validate(outcome.result) if outcome and outcome.result else None
