"""Watching fixed cases: what was fixed and is seen again is linked to the case in which it was fixed.

Seen again is the same finding, or the same vulnerability in the same package on the same resource or on what took its
place. The case that handles it is the old one, opened again, or that of the successor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.case import CaseKey, case_stream
from runbooks.catalog import Catalog
from runbooks.errors import BadInput
from runbooks.finding import Finding
from runbooks.records import CaseClosed, CaseOpened, CaseSuccessors, FindingSeen, Recurred
from runbooks.timestamps import moment
from tasks.gateways.ledger import CaseRow, Ledger

Place = tuple[str, str, str]
"""Account, region, resource."""


class Watch:
    """The cases that were closed as fixed. Made for one pass: what took whose place is read once."""

    def __init__(self, ledger: Ledger, catalog: Catalog) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._longest = timedelta(days=max((each.verify.watch_days for each in catalog), default=0))
        self._replaced: dict[Place, list[CaseRow]] | None = None

    def note(self, taken: Iterable[tuple[Finding, CaseRow]]) -> None:
        """Write down where these findings, just taken into their cases, had been fixed; noted again, nothing."""
        news = list(taken)
        if not news:
            return
        acted_on: dict[Place, list[CaseRow]] = {}
        for row in self._ledger.cases_on(case.key.resource_id for _, case in news):
            if row.last_response_id is not None:  # What no response has acted on was never fixed.
                acted_on.setdefault(_place(row.key), []).append(row)
        if self._replaced is None:
            self._replaced = self._read_replaced(min(case.updated_at for _, case in news) - self._longest)
        for finding, case in news:
            place = _place(case.key)
            for old in (*acted_on.get(place, []), *self._replaced.get(place, [])):
                self._compare(finding, case, old)

    def _compare(self, finding: Finding, case: CaseRow, old: CaseRow) -> None:
        fixed, seen_at = _fixed(self._ledger, old.id), case.updated_at
        if fixed is None or not fixed.had(finding) or seen_at - fixed.at > self._watched_for(old.key):
            return
        record = Recurred(fixed_in=old.id, fixed_at=fixed.at, case=case.id, finding=finding.arn)
        for stream in dict.fromkeys((case_stream(old.id), case_stream(case.id))):
            self._ledger.append_once(stream, record)

    def _read_replaced(self, since: datetime) -> dict[Place, list[CaseRow]]:
        """Successor -> the closed cases whose resource it took the place of."""
        found: dict[Place, list[CaseRow]] = {}
        closed = [row for row in self._ledger.closed_since(since) if row.last_response_id is not None]
        for row in closed:
            for successor in successors_of(self._ledger, row.id):
                found.setdefault((row.key.account, row.key.region, successor), []).append(row)
        return found

    def _watched_for(self, key: CaseKey) -> timedelta:
        try:
            return timedelta(days=self._catalog.named(key.runbook).verify.watch_days)
        except BadInput:
            return timedelta(0)  # The runbook is no longer in the library: nobody watches for it.


def recurrences(ledger: Ledger, cases: Sequence[str]) -> tuple[str, ...]:
    """In words: what these cases, since each was last opened, are a recurrence of."""
    noted = [(case, each) for case in cases for each in _noted(ledger, case)]
    return tuple(dict.fromkeys(_words(ledger, case, each) for case, each in noted))


def fixed_at(ledger: Ledger, case: str) -> datetime | None:
    """When the case was closed as fixed; None where it was not, the last time it was closed."""
    fixed = _fixed(ledger, case)
    return fixed.at if fixed else None


def successors_of(ledger: Ledger, case: str) -> tuple[str, ...]:
    """What took the place of the case's resource; empty where nothing did."""
    records = [entry.record() for entry in ledger.entries_of(case_stream(case), "case-successors")]
    return next((record.successors for record in reversed(records) if isinstance(record, CaseSuccessors)), ())


def _words(ledger: Ledger, case: str, record: Recurred) -> str:
    old = ledger.case(record.fixed_in)
    where = f" on {old.key.resource_id}" if old and record.fixed_in != case else ""
    return f"{record.fixed_in}{where}, closed as fixed at {moment(record.fixed_at)}"


@dataclass(frozen=True)
class _Fixed:
    """How a case was closed, the last time it was."""

    at: datetime
    findings: tuple[Finding, ...]
    """What it had been about."""

    def had(self, finding: Finding) -> bool:
        return any(each.arn == finding.arn or _is_alike(each, finding) for each in self.findings)


def _fixed(ledger: Ledger, case: str) -> _Fixed | None:
    """None where the case was never closed, or closed for another reason than a proven fix."""
    seen: dict[str, Finding] = {}
    fixed: _Fixed | None = None
    for entry in ledger.entries_of(case_stream(case), "finding-seen", "case-closed"):
        match entry.record():
            case FindingSeen(finding=finding):
                seen[finding.arn] = finding
            case CaseClosed(reason=reason):
                fixed = _Fixed(entry.at, tuple(seen.values())) if reason.startswith("fixed") else None
            case _:
                pass
    return fixed


def _is_alike(old: Finding, new: Finding) -> bool:
    """The same vulnerability in a package of the same name."""
    packages = {package.name for package in old.packages} & {package.name for package in new.packages}
    return old.vulnerability_id is not None and old.vulnerability_id == new.vulnerability_id and bool(packages)


def _noted(ledger: Ledger, case: str) -> list[Recurred]:
    """What was noted of the case as it is open now."""
    noted: list[Recurred] = []
    for entry in ledger.entries_of(case_stream(case), "case-opened", "recurred"):
        match entry.record():
            case CaseOpened():
                noted.clear()
            case Recurred() as record if record.case == case:
                noted.append(record)
            case _:
                pass
    return noted


def _place(key: CaseKey) -> Place:
    return key.account, key.region, key.resource_id
