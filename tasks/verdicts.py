"""The verdicts that were reached, read from the case streams."""

from __future__ import annotations

from runbooks.case import case_stream
from runbooks.plan import Plan
from runbooks.records import CaseVerdict
from runbooks.verdict import Verdict
from tasks.gateways.ledger import Ledger, ResponseRow


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
    records = (entry.record() for entry in reversed(ledger.entries(case_stream(case))))
    return next((record.verdict for record in records if isinstance(record, CaseVerdict)), None)
