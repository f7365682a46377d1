"""Handing over, as a task: one ticket that tells a person all that there is to know."""

from __future__ import annotations

from runbooks.telling.handover_ticket import handover_ticket
from tasks.alert import create_once, ticket_of
from tasks.notices import ALERT, run_url, undelivered
from tasks.recurrence import recurrences
from tasks.run import current
from tasks.triage import Triaged
from tasks.visible import visible


@visible("ticket", "Open the ticket")
def open_handover_ticket(triaged: Triaged) -> str | None:
    """The key of the response's one ticket, None where the runbook wants none or no Jira is configured."""
    run = current()
    if not run.runbook.alert.ticket:
        return None
    again = recurrences(run.services.ledger, run.response.cases)
    ticket = handover_ticket(triaged.for_a_person, run.keys, run.runbook, recurrence_of=again, run_url=run_url(run))
    undelivered(lambda: create_once(run, ALERT, ticket))
    made = ticket_of(run.response.id, run.history())
    return made.key if made else None
