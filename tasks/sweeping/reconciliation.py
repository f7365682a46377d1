"""Asking Inspector for findings that no delivery brought: EventBridge carries its events by best effort only.

(EventBridge events reference, "Amazon Inspector": delivery type "Best effort".) A finding that is news and that a
runbook covers goes into the inbox, and from there the way of every other one.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runbooks import timestamps
from runbooks.case import CaseKey, reconciliation_stream
from runbooks.errors import Outside
from runbooks.finding import Finding
from runbooks.inspector import to_detail
from runbooks.records import Reconciled
from tasks.services import Services
from tasks.sweeping.swept import Swept

if TYPE_CHECKING:
    from collections.abc import Sequence

DELIVERY_GRACE = timedelta(minutes=5)
"""How long an event may be on its way before its finding counts as missed."""
OVERLAP = timedelta(minutes=15)
"""How much is listed once more: Inspector's own list may lag."""
SAME_UPDATE = timedelta(seconds=1)
"""Within it two times of an update are one: the event and the API do not write them equally fine."""


async def reconcile(have: Services, now: datetime, swept: Swept) -> None:
    """Ask in every region where it is time. A refusal is written down, told, and tried again at the next time."""
    chosen = have.settings
    regions = [name.strip() for name in chosen.inspector_regions.split(",") if name.strip()]
    if not chosen.inspector_account or have.ledger.pending(1):
        return  # What lies in the inbox is not missed.
    for region in regions:
        last = _last(have, region)
        if last is None or now - last[0] >= timedelta(minutes=chosen.reconcile_minutes):
            await swept.guarded(f"inspector {region}", _reconcile(have, region, last and last[1], now, swept))


def _last(have: Services, region: str) -> tuple[datetime, Reconciled] | None:
    """When it was last tried, and what came of it."""
    entry = have.ledger.last(reconciliation_stream(have.settings.inspector_account, region))
    record = entry.record() if entry else None
    return (entry.at, record) if entry and isinstance(record, Reconciled) else None


async def _reconcile(have: Services, region: str, last: Reconciled | None, now: datetime, swept: Swept) -> None:
    until = now - DELIVERY_GRACE
    # The first time there is nothing to go on from: what was there before is for a person to respond to.
    before = last.until if last else until - timedelta(minutes=have.settings.reconcile_minutes)
    try:
        listed = _listed(have, region, before - OVERLAP, until)
    except Outside as error:
        _note(have, region, before, trouble=f"{error.code}: {error.detail}")
        raise
    missed = sum(_take(have, finding) for finding in listed)
    swept.missed += missed
    _note(have, region, until, listed=len(listed), missed=missed)


def _listed(have: Services, region: str, since: datetime, until: datetime) -> Sequence[Finding]:
    from tasks.gateways.aws_session import AwsSessions
    from tasks.gateways.inspector import InspectorGateway, partition_of

    chosen = have.settings
    sessions = AwsSessions(
        chosen.role_arn, partition_of(region), session_name="reconciliation", external_id=chosen.external_id
    )
    return InspectorGateway(sessions).updated(chosen.inspector_account, region, since, until)


def _take(have: Services, finding: Finding) -> bool:
    """Put a finding that was missed into the inbox; whether it was."""
    runbook = have.catalog.covering(finding)
    if runbook is None:
        return False
    seen = have.ledger.seen_at(CaseKey.of(finding, runbook.name).id, finding.arn)
    if seen is not None and finding.updated_at - seen < SAME_UPDATE:
        return False
    key = f"sweep/{finding.arn}/{timestamps.iso_form(finding.updated_at)}"
    return have.ledger.receive_missed(key, finding.arn, json.dumps(to_detail(finding)).encode()).new


def _note(have: Services, region: str, until: datetime, *, listed: int = 0, missed: int = 0, trouble: str = "") -> None:
    account = have.settings.inspector_account
    record = Reconciled(
        account=account, region=region, until=until, listed=listed, missed=missed, trouble=trouble[:1000]
    )
    have.ledger.append(reconciliation_stream(account, region), record)
