"""What took the place of a case's resource, noted in the case: whoever judges it later looks there too."""

from __future__ import annotations

from runbooks.case import case_stream
from runbooks.records import CaseSuccessors
from tasks.run import Run


def note_successors(run: Run, case: str, found: tuple[str, ...]) -> tuple[str, ...]:
    """Note them where they are news. Where this response has found none: those that an earlier one noted."""
    ledger, stream = run.services.ledger, case_stream(case)
    records = (entry.record() for entry in ledger.entries_of(stream, "case-successors"))
    noted = [record.successors for record in records if isinstance(record, CaseSuccessors)]
    known = noted[-1] if noted else ()
    if found and found != known:
        ledger.append(stream, CaseSuccessors(response=run.response.id, successors=found), lease=run.lease)
    return found or known
