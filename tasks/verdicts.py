"""The verdicts that were reached, read from the case streams, and how often they were looked for."""

from __future__ import annotations

from runbooks.case import case_stream, response_stream
from runbooks.plan import Plan
from runbooks.records import CaseVerdict, ResponseStarted
from runbooks.verdict import Verdict
from tasks.containments import responses_of
from tasks.gateways.ledger import Ledger, ResponseRow

SWEEP = "sweep"
"""Who has started what nobody asked for."""


def verdicts_on(ledger: Ledger, response: ResponseRow, remediation: Plan | None) -> dict[str, Verdict]:
    """Case -> the response's newest verdict on this remediate plan (None: on what it found, without one)."""
    digest = remediation.digest if remediation else None
    found: dict[str, Verdict] = {}
    for case in response.cases:
        for entry in ledger.entries(case_stream(case)):
            record = entry.record()
            if (
                isinstance(record, CaseVerdict)
                and record.response == response.id
                and digest in (None, record.remediation)
            ):
                found[case] = record.verdict
    return found


def newest_verdict(ledger: Ledger, case: str) -> Verdict | None:
    """The last word on a case, whichever response reached it."""
    records = (entry.record() for entry in reversed(ledger.entries_of(case_stream(case), "case-verdict")))
    return next((record.verdict for record in records if isinstance(record, CaseVerdict)), None)


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
