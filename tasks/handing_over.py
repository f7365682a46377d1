"""Handing over, as a task: one ticket that tells a person all that there is to know."""

from __future__ import annotations

from runbooks.case import case_stream
from runbooks.grouping import gist
from runbooks.records import CaseOpened, CaseTriaged
from runbooks.telling.handover_ticket import handover_ticket
from runbooks.triage import Assessment
from runbooks.triage.signals import active
from tasks.alert import create_once, ticket_of
from tasks.gateways.ledger import Ledger
from tasks.notices import ALERT, run_url, undelivered
from tasks.recurrence import recurrences
from tasks.run import Run, current
from tasks.triage import Triaged
from tasks.verdicts import SWEEP, started_by
from tasks.visible import visible


def has_been_handed_over(triaged: Triaged) -> bool:
    """Whether the sweep had the cases looked at, and an earlier response has handed over all that is still there.

    Whoever asks for it again gets a ticket again.
    """
    run = current()
    if started_by(run.services.ledger, run.response.id) != SWEEP:
        return False
    return all(_says(each) <= _handed_over(run, each.case) for each in triaged.for_a_person)


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


def _handed_over(run: Run, case: str) -> set[tuple[str, str]]:
    """What other responses have handed over since the case was last opened."""
    earlier = (each for each in _triaged(run.services.ledger, case) if each.response != run.response.id)
    handed = [each.assessment for each in earlier if each.assessment.triage.decision == "person"]
    return {said for each in handed for said in _says(each)}


def _triaged(ledger: Ledger, case: str) -> list[CaseTriaged]:
    found: list[CaseTriaged] = []
    for entry in ledger.entries_of(case_stream(case), "case-opened", "case-triaged"):
        match entry.record():
            case CaseOpened():
                found.clear()
            case CaseTriaged() as record:
                found.append(record)
            case _:
                pass
    return found


def _says(assessment: Assessment) -> set[tuple[str, str]]:
    return {(each.arn, gist(each)) for each in active(assessment.facts)}
