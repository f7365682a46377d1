"""Ending cases of which Inspector reports nothing any more, and in which nothing is left to prove or to put back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from runbooks.case import case_stream
from runbooks.errors import Outside, Overtaken
from runbooks.finding import Finding, FindingStatus
from runbooks.records import CaseClosed
from runbooks.steps.base import operation_id
from runbooks.telling.handover_ticket import over_comment
from tasks.alert import ticket_of
from tasks.containments import responses_of
from tasks.gateways.jira import JiraGateway
from tasks.gateways.ledger import CaseRow, ResponseRow
from tasks.journal import read_history
from tasks.notices import ALERT
from tasks.services import Services
from tasks.sweeping.swept import Swept


@dataclass(frozen=True)
class Over:
    """A case of which Inspector reports no finding any more."""

    row: CaseRow
    head: int
    """The last entry of its stream before Inspector was asked: what came after that is news."""
    findings: tuple[Finding | None, ...]
    """None for one that Inspector has deleted."""

    why: str = ""
    """Why its case may end; empty while that is not decided."""

    @property
    def is_accepted(self) -> bool:
        return any(each is not None and each.status == FindingStatus.SUPPRESSED for each in self.findings)

    def because(self, why: str) -> Over:
        """The same, with why its case may end."""
        return replace(self, why=why)

    @property
    def words(self) -> str:
        """What Inspector says, and why that ends the case."""
        said = Counter(each.status.lower() if each else "deleted" for each in self.findings)
        counts = ", ".join(f"{number} {what}" for what, number in sorted(said.items()))
        return f"Inspector reports it no more ({counts}): {self.why}"


def end_cases(have: Services, ending: Sequence[Over], swept: Swept) -> None:
    """Say so in the tickets, then close the cases; one of which there was news meanwhile stays open.

    Raises:
        Outside: Jira cannot be reached; no case was closed.
    """
    if ending and have.jira is not None:
        _tell(have, have.jira, ending)
    for each in ending:
        stream = case_stream(each.row.id)
        with suppress(Overtaken):
            have.ledger.append_after({stream: each.head}, {stream: [CaseClosed(response="", reason=each.words)]})
            swept.over.append(each.row.id)


def _tell(have: Services, jira: JiraGateway, ending: Sequence[Over]) -> None:
    """A comment on every ticket about the cases since they were opened, which is done when all its cases are over."""
    closing = {each.row.id: each for each in ending}
    for response in responses_of(have.ledger, tuple(closing)):
        mine = {case: closing[case] for case in response.cases if case in closing}
        if all(each.row.opened_at > response.updated_at for each in mine.values()):
            continue  # It ended before they were opened again.
        others = have.ledger.cases_of(case for case in response.cases if case not in mine)
        comment = over_comment({each.row.key: each.words for each in mine.values()})
        operation = operation_id(response.id, f"over/{'/'.join(sorted(mine))}")
        for ticket in _tickets(have, response):
            jira.comment(ticket, comment, operation)
            if all(row.status == "closed" for row in others):
                _done(jira, ticket)


def _tickets(have: Services, response: ResponseRow) -> Iterator[str]:
    """The keys of the alert or hand-over of a response, and of what it left to a person."""
    history = read_history(have.ledger, response.id)
    for subject in (ALERT, "person"):
        if (ticket := ticket_of(response.id, history, subject)) is not None:
            yield ticket.key


def _done(jira: JiraGateway, ticket: str) -> None:
    """A workflow that knows no such move leaves that to a person."""
    try:
        jira.transition(ticket, "Done")
    except Outside as error:
        if error.code != "jira-no-such-transition":
            raise
