"""Looking again at what could not be verified: after the runbook's time, so often and no more."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbooks.definition import Verify
from runbooks.errors import BadInput
from runbooks.verdict import VerdictKind
from tasks.gateways.ledger import ResponseRow
from tasks.services import Services
from tasks.sweeping.swept import Swept
from tasks.verdicts import SWEEP, looks_again, newest_verdict

SOONEST = timedelta(hours=1)
"""The least that a runbook may say."""


async def look_again(have: Services, now: datetime, swept: Swept) -> None:
    """Start a verify response for the open cases, acted on by nobody, that could not be verified."""
    for ended in have.ledger.unverified(now - SOONEST):
        try:
            verify = have.catalog.named(ended.runbook).verify
        except BadInput as error:
            swept.trouble(ended.id, error)
            continue
        if verify.looks_again and ended.updated_at <= now - timedelta(hours=verify.look_again_hours):
            _start(have, ended, verify, swept)


def _start(have: Services, ended: ResponseRow, verify: Verify, swept: Swept) -> None:
    cases = [case for case in _left(have, ended) if looks_again(have.ledger, case) < verify.looks_again]
    if cases:
        response = have.ledger.start_response(ended.runbook, cases, SWEEP, purpose="verify")
        swept.looked_again.append(response.id)


def _left(have: Services, ended: ResponseRow) -> list[str]:
    """The cases that this response was the last to act on, that are open, and that it could not verify."""
    rows = [row for each in ended.cases if (row := have.ledger.case(each)) is not None]
    idle = [
        row.id for row in rows if row.status == "open" and (row.response_id, row.last_response_id) == (None, ended.id)
    ]
    verdicts = {case: newest_verdict(have, case) for case in idle}
    return [case for case, verdict in verdicts.items() if verdict and verdict.kind is VerdictKind.UNVERIFIABLE]
