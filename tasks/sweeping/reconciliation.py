"""Asking Inspector for findings that no delivery brought: EventBridge carries its events by best effort only.

(EventBridge events reference, "Amazon Inspector": delivery type "Best effort".) A finding that is news and that a
runbook covers goes into the inbox, and from there the way of every other one. The sweep asks from time to time, and
leaves out what may still be on its way; a person asks when they like, for everything up to now.
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
    if not chosen.inspector_account or have.ledger.pending(1):
        return  # What lies in the inbox is not missed.
    for region in chosen.regions:
        entry = have.ledger.last(reconciliation_stream(chosen.inspector_account, region))
        if entry is None or now - entry.at >= timedelta(minutes=chosen.reconcile_minutes):
            await swept.guarded(f"inspector {region}", _reconcile(have, region, now - DELIVERY_GRACE, swept))


async def _reconcile(have: Services, region: str, until: datetime, swept: Swept) -> None:
    swept.missed += pull(have, region, until, "sweep").missed


def pull(have: Services, region: str, until: datetime, source: str, since: datetime | None = None) -> Reconciled:
    """Ask in one region for what was updated since the last time, and put what is news into the inbox.

    Args:
        until: up to when; the next time goes on from there.
        source: who asks, as its deliveries name it.
        since: go back so far at least.

    Raises:
        Outside: Inspector did not answer. It was written down, and the next time goes on from where this one began.
    """
    before = _watermark(have, region) or until - timedelta(minutes=have.settings.reconcile_minutes)
    start = before - OVERLAP if since is None else min(since, before - OVERLAP)
    try:
        listed = _listed(have, region, start, until)
    except Outside as error:
        _note(have, region, before, trouble=f"{error.code}: {error.detail}")
        raise
    missed = sum(_take(have, finding, source) for finding in listed)
    return _note(have, region, until, listed=len(listed), missed=missed)


def _watermark(have: Services, region: str) -> datetime | None:
    """Up to when everything has been compared; None before the first time, when there is nothing to go on from."""
    entry = have.ledger.last(reconciliation_stream(have.settings.inspector_account, region))
    record = entry.record() if entry else None
    return record.until if isinstance(record, Reconciled) else None


def _listed(have: Services, region: str, since: datetime, until: datetime) -> Sequence[Finding]:
    from tasks.gateways.aws_session import AwsSessions
    from tasks.gateways.inspector import InspectorGateway, partition_of

    chosen = have.settings
    sessions = AwsSessions(
        chosen.role_arn, partition_of(region), session_name="reconciliation", external_id=chosen.external_id
    )
    return InspectorGateway(sessions).updated(chosen.inspector_account, region, since, until)


def _take(have: Services, finding: Finding, source: str) -> bool:
    """Put a finding that was missed into the inbox; whether it was."""
    runbook = have.catalog.covering(finding)
    if runbook is None:
        return False
    seen = have.ledger.seen_at(CaseKey.of(finding, runbook.name).id, finding.arn)
    if seen is not None and finding.updated_at - seen < SAME_UPDATE:
        return False
    key = f"sweep/{finding.arn}/{timestamps.iso_form(finding.updated_at)}"
    return have.ledger.receive_missed(key, source, finding.arn, json.dumps(to_detail(finding)).encode()).new


def _note(
    have: Services, region: str, until: datetime, *, listed: int = 0, missed: int = 0, trouble: str = ""
) -> Reconciled:
    account = have.settings.inspector_account
    record = Reconciled(
        account=account, region=region, until=until, listed=listed, missed=missed, trouble=trouble[:1000]
    )
    have.ledger.append(reconciliation_stream(account, region), record)
    return record
