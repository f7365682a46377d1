"""Examining, as a task: what was made to take the place of the vulnerable is scanned before anybody runs it."""

from __future__ import annotations

from datetime import timedelta

from runbooks.case import response_stream
from runbooks.errors import Refused
from runbooks.history import ResponseHistory
from runbooks.plan import Phase
from runbooks.records import CandidateExamined
from runbooks.verdict import NotYet
from tasks.artifacts import show
from tasks.playbooks import playbook
from tasks.run import Run, current
from tasks.visible import visible


@visible("examine", "Examine what was built")
def examine_candidate() -> CandidateExamined | NotYet:
    """Look at the scan of what the rebuild made; what is found is written down once, and read from then on."""
    run = current()
    history = run.history()
    known = examined(run, history)
    if known is not None:
        return known
    rebuild = history.plan(Phase.REBUILD)
    if rebuild is None:
        raise Refused("nothing was built that could be examined", code="nothing-to-do")
    began = history.last_change(Phase.REBUILD) or history.entries[0].at
    final = run.now() - began > timedelta(minutes=run.runbook.verify.timeout_minutes)
    found = playbook(run).examined(run, history, final)
    if isinstance(found, NotYet):
        show.waiting(run, "examine", found.reasons)
        return found
    record = CandidateExamined(
        rebuild=rebuild.digest, candidate=playbook(run).made(run, history), passed=found.passed, reasons=found.reasons
    )
    run.journal.write(run.services.signer.signed(response_stream(run.response.id), record))
    return record


def examined(run: Run, history: ResponseHistory) -> CandidateExamined | None:
    """What was found of the newest rebuild, where this system wrote it down."""
    rebuild = history.plan(Phase.REBUILD)
    known = history.examined.get(rebuild.digest) if rebuild is not None else None
    ours = known is not None and run.services.signer.verifies(response_stream(run.response.id), known)
    return known if ours else None


def require_passed(run: Run, history: ResponseHistory, made: str) -> None:
    """Raises Refused where the examination of just this did not let it pass."""
    found = examined(run, history)
    if found is None or not found.passed or found.candidate != made:
        raise Refused(f"{made} was not examined, or did not pass", code="person")
