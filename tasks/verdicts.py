"""The verdicts that were reached, read from the case streams, and how often they were looked for."""

from __future__ import annotations

from runbooks.case import case_stream, response_stream
from runbooks.plan import Plan
from runbooks.records import CaseTriaged, CaseVerdict, ResponseStarted
from runbooks.verdict import Verdict
from tasks.containments import responses_of
from tasks.gateways.ledger import Ledger, ResponseRow
from tasks.services import Services

SWEEP = "sweep"
"""Who has started what nobody asked for."""


def verdicts_on(have: Services, response: ResponseRow, remediation: Plan | None) -> dict[str, Verdict]:
    """Case -> the response's newest verdict on this remediate plan (None: on what it found, without one)."""
    digest = remediation.digest if remediation else None
    return {
        case: record.verdict
        for case in response.cases
        for record in _verdicts(have, case)
        if record.response == response.id and digest in (None, record.remediation)
    }


def newest_verdict(have: Services, case: str) -> Verdict | None:
    """The last word on a case, whichever response reached it; None where triage has found more to do since then."""
    stream = case_stream(case)
    for entry in reversed(have.ledger.entries_of(stream, "case-verdict", "case-triaged")):
        match entry.record():
            case CaseTriaged(assessment=found) if found.triage.decision != "nothing-to-do":
                return None
            case CaseVerdict() as said if have.signer.verifies(stream, said):
                return said.verdict
            case _:
                pass
    return None


def _verdicts(have: Services, case: str) -> list[CaseVerdict]:
    """The verdicts that this system reached, in their order: what else stands there proves nothing."""
    stream = case_stream(case)
    records = (entry.record() for entry in have.ledger.entries_of(stream, "case-verdict"))
    return [each for each in records if isinstance(each, CaseVerdict) and have.signer.verifies(stream, each)]


def looks_again(ledger: Ledger, case: str) -> int:
    """How often the sweep has had the case looked at since the playbook last ran on it."""
    looks = 0
    for row in responses_of(ledger, (case,)):
        if row.purpose == "respond":
            looks = 0
        elif row.purpose == "verify" and started_by(ledger, row.id) == SWEEP:
            looks += 1
    return looks


def started_by(ledger: Ledger, response: str) -> str:
    """Who started the response: webhook, sweep, or the command."""
    records = (entry.record() for entry in ledger.entries_of(response_stream(response), "response-started"))
    return next((record.started_by for record in records if isinstance(record, ResponseStarted)), "")
