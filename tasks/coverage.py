"""That a resource is scanned no more: whose verdict rests on its scans, and writing down that somebody must ask."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from runbooks.case import CaseKey, coverage_stream
from runbooks.catalog import Catalog
from runbooks.delivery import CoverageChange, ScanType
from runbooks.finding import FindingType
from runbooks.records import CoverageReported
from tasks.gateways.ledger import CaseRow, Ledger
from tasks.recurrence import fixed_at, successors_of

SCANS: dict[ScanType, FindingType] = {
    "PACKAGE": FindingType.PACKAGE,
    "NETWORK": FindingType.NETWORK,
    "CODE": FindingType.CODE,
}
"""Type of a scan -> the type of what it finds (Inspector API reference, CoveredResource and Finding)."""


class Resting:
    """The open cases, and those closed as fixed and still watched. Made for one pass: successors are read once."""

    def __init__(self, ledger: Ledger, catalog: Catalog, now: datetime) -> None:
        self._ledger = ledger
        self._runbooks = {runbook.name: runbook for runbook in catalog}
        self._now = now
        self._longest = timedelta(days=max((each.verify.watch_days for each in catalog), default=0))
        self._instead: dict[tuple[str, str, str], list[CaseRow]] | None = None

    def on(self, change: CoverageChange) -> tuple[CaseRow, ...]:
        """The cases whose verdict rests on the scans of this type of this resource: their own, or its successor."""
        place = (change.account, change.region, change.resource)
        own = [row for row in self._ledger.cases_on([change.resource]) if _place(row.key) == place]
        own = [row for row in own if self._rests(row) and change.resource in self._stands_for(row)]
        if self._instead is None:
            self._instead = self._read_instead()
        found = {row.id: row for row in (*own, *self._instead.get(place, []))}
        return tuple(row for row in found.values() if self._is_found_by(row, change.scan_type))

    def _read_instead(self) -> dict[tuple[str, str, str], list[CaseRow]]:
        """Successor -> the cases whose resource it took the place of."""
        found: dict[tuple[str, str, str], list[CaseRow]] = {}
        for row in self._acted_on():
            if self._rests(row):
                for successor in successors_of(self._ledger, row.id):
                    found.setdefault((row.key.account, row.key.region, successor), []).append(row)
        return found

    def _acted_on(self) -> Iterable[CaseRow]:
        rows = (*self._ledger.cases("open"), *self._ledger.closed_since(self._now - self._longest))
        return (row for row in rows if row.last_response_id is not None)

    def _stands_for(self, row: CaseRow) -> tuple[str, ...]:
        return successors_of(self._ledger, row.id) or (row.key.resource_id,)

    def _rests(self, row: CaseRow) -> bool:
        if row.status == "open":
            return True
        runbook = self._runbooks.get(row.key.runbook)
        at = fixed_at(self._ledger, row.id) if runbook is not None else None
        return runbook is not None and at is not None and self._now - at <= timedelta(days=runbook.verify.watch_days)

    def _is_found_by(self, row: CaseRow, scan_type: ScanType) -> bool:
        found = {finding.type for finding in self._ledger.case_findings(row.id)}
        return SCANS[scan_type] in found


def report(ledger: Ledger, resting: Resting, change: CoverageChange, delivery: str, *, gaps: bool) -> bool:
    """Write down what a delivery says, where it matters: to a case, or to whoever wants to know of gaps.

    Returns:
        Whether it does. Nothing rests on what was said: the sweep asks Inspector.
    """
    if not gaps and not resting.on(change):
        return False
    stream = coverage_stream(change.account, change.region, change.resource, change.scan_type)
    ledger.append_once(stream, CoverageReported(delivery=delivery, **change.model_dump()))
    return True


def _place(key: CaseKey) -> tuple[str, str, str]:
    return key.account, key.region, key.resource_id
