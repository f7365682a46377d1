"""Looking at what only people act upon, once word has come that Inspector has closed or suppressed it.

The word of a delivery closes no case: a response asks Inspector, and closes it if that is so.
"""

from __future__ import annotations

from tasks.gateways.ledger import CaseRow
from tasks.services import Services
from tasks.sweeping.swept import Swept
from tasks.verdicts import SWEEP


async def look_at_what_is_over(have: Services, swept: Swept) -> None:
    """Start a response over the cases of each account and region of which that is said; each is looked at once."""
    runbooks = {runbook.name: runbook for runbook in have.catalog if runbook.playbook == "ticket"}
    places: dict[tuple[str, str, str], list[CaseRow]] = {}
    for row in have.ledger.over(runbooks):
        places.setdefault((row.key.runbook, row.key.account, row.key.region), []).append(row)
    for (name, _, _), rows in places.items():
        some = [row.id for row in rows[: runbooks[name].limits.maximum_cases]]
        swept.looked_again.append(have.ledger.start_response(name, some, SWEEP).id)
