"""Intake: from what lies in the inbox to open cases and the responses that will act on them."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.case import CaseKey, case_stream
from runbooks.catalog import Catalog
from runbooks.errors import BadInput
from runbooks.event import read_payload
from runbooks.finding import Finding, FindingStatus
from runbooks.records import CaseTriaged, FindingSeen
from tasks.gateways.ledger import CaseRow, Delivery, Ledger
from tasks.recurrence import Watch

ANSWERED = "ANSWERED"
COMMAND = "command"
"""The source, up to a colon and their name, of what a person asks for: it is answered even when it is no news."""


@dataclass(frozen=True)
class Drained:
    """What one pass over the inbox did."""

    deliveries: int = 0
    responses: tuple[str, ...] = ()


def drain(ledger: Ledger, catalog: Catalog, limit: int = 100) -> Drained:
    """Work through what is pending, oldest first. Killed half-way, the next pass takes it up where it was."""
    started: list[str] = []
    pending, watch = ledger.pending(limit), Watch(ledger, catalog)
    for delivery in pending:
        started += _take(ledger, catalog, watch, delivery)
    started += _answer_latecomers(ledger)
    return Drained(deliveries=len(pending), responses=tuple(started))


def _take(ledger: Ledger, catalog: Catalog, watch: Watch, delivery: Delivery) -> list[str]:
    try:
        parsed = read_payload(delivery.body)
    except BadInput as error:
        ledger.settle(delivery.id, "set-aside", error.code, error.detail)
        return []
    answers = [_route(ledger, catalog, watch, finding, delivery) for finding in parsed.findings]
    responses = [answer.response for answer in answers if answer.response]
    aside = [(each.code, f"{each.kind}: {each.reason}") for each in parsed.set_aside]
    aside += [(answer.code, answer.reason) for answer in answers if answer.code]
    if aside and not any(answer.taken for answer in answers):
        ledger.settle(delivery.id, "set-aside", aside[0][0], "; ".join(reason for _, reason in aside))
    else:
        ledger.settle(delivery.id, "handled", None, "; ".join(reason for _, reason in aside) or None)
    return responses


@dataclass(frozen=True)
class _Answer:
    taken: bool = False
    response: str | None = None
    code: str = ""
    reason: str = ""


def _route(ledger: Ledger, catalog: Catalog, watch: Watch, finding: Finding, delivery: Delivery) -> _Answer:
    """Give a finding to its case, and the case to a response where nothing acts on it yet."""
    runbook = catalog.covering(finding)
    if runbook is None:
        kind = f"{finding.type} of severity {finding.severity} on {finding.resource.type}"
        return _Answer(code="no-runbook", reason=f"no runbook covers {kind}; add one to the library, and replay it")
    key = CaseKey.of(finding, runbook.name)
    asked_for = delivery.source.partition(":")[0] == COMMAND
    try:
        taken = ledger.take_finding(key, finding, delivery.source, delivery.id, reopen=asked_for)
    except BadInput as error:
        return _Answer(code=error.code, reason=error.detail)
    if taken.case is None:
        return _Answer(code="nothing-open", reason=f"the finding is {finding.status} and no case is open for {key}")
    if finding.status != FindingStatus.ACTIVE:
        return _Answer(taken=True)
    fresh = taken.news or _unanswered(ledger, taken.case, delivery)
    if fresh:
        watch.note(finding, taken.case)
    if taken.case.response_id is not None or not (asked_for or fresh):
        return _Answer(taken=True)
    response = ledger.start_response(runbook.name, (taken.case.id,), delivery.source)
    return _Answer(taken=True, response=response.id)


def _unanswered(ledger: Ledger, case: CaseRow, delivery: Delivery) -> bool:
    """Whether an earlier pass was killed between taking the finding and starting its response."""
    return case.last_response_id is None or _brought_by(ledger, case.id, delivery)


def _brought_by(ledger: Ledger, case: str, delivery: Delivery) -> bool:
    """Whether the newest sighting in the case came with this very delivery."""
    records = (entry.record() for entry in reversed(ledger.entries(case_stream(case))))
    newest = next((record for record in records if isinstance(record, FindingSeen)), None)
    return newest is not None and newest.delivery == delivery.id


def latecomers(ledger: Ledger, case: str) -> tuple[str, ...]:
    """The ARNs of active findings that came after the case's last triage: no response has answered them yet."""
    seen: dict[str, str] = {}
    for entry in ledger.entries(case_stream(case)):
        match entry.record():
            case FindingSeen(finding=finding) if finding.status != FindingStatus.ACTIVE:
                seen[finding.arn] = finding.status
            case FindingSeen(finding=finding) if seen.get(finding.arn) != ANSWERED:
                # An answered one that is sent again is an echo (of our own tags, say); one that was closed is back.
                seen[finding.arn] = finding.status
            case CaseTriaged(response=response) if _is_playbook(ledger, response):
                # What a triage could read is answered by its response, whatever that came to.
                seen = {arn: ANSWERED if status == FindingStatus.ACTIVE else status for arn, status in seen.items()}
            case _:
                pass
    return tuple(arn for arn, status in seen.items() if status == FindingStatus.ACTIVE)


def _is_playbook(ledger: Ledger, response: str) -> bool:
    row = ledger.response(response)
    return row is not None and row.purpose == "respond"


def _answer_latecomers(ledger: Ledger) -> list[str]:
    """A new finding on a case that was being acted upon waits for its next response: this starts it."""
    waiting = (case for case in ledger.cases("open") if case.response_id is None and case.last_response_id is not None)
    return [
        ledger.start_response(case.key.runbook, (case.id,), "sweep").id
        for case in waiting
        if latecomers(ledger, case.id) and not _failed_before_triage(ledger, case)
    ]


def _failed_before_triage(ledger: Ledger, case: CaseRow) -> bool:
    """A response that got nowhere was handed to a person: starting the like of it again would never end."""
    last = case.last_response_id or ""
    records = (entry.record() for entry in ledger.entries(case_stream(case.id)))
    read = any(isinstance(record, CaseTriaged) and record.response == last for record in records)
    return _is_playbook(ledger, last) and not read
