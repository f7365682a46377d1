"""Asking Inspector about what it is said to scan no more, and having cases looked at whose verdict rested on its scans.

A delivery's word leads to this one question. What follows is by Inspector's answer: the question of a case is opened
again, and a look, which gathers all the evidence there is, reaches the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from runbooks.case import COVERAGE, case_stream
from runbooks.chain import Entry
from runbooks.delivery import CoverageChange, ScanType
from runbooks.errors import AccessDenied
from runbooks.inspector_events import TERMINATED
from runbooks.records import CoverageAsked, CoverageLost, CoverageReported
from runbooks.verdict import Coverage, VerdictKind
from tasks.coverage import Resting
from tasks.gateways.ledger import CaseRow
from tasks.raising import raise_notice
from tasks.services import Services
from tasks.sweeping.swept import Swept
from tasks.verdicts import SWEEP, newest_verdict

GAP_LASTS = timedelta(hours=1)
"""A gap that no verdict rests on is told of when it has lasted so long: most are over with the first inventory."""

Place = tuple[str, str, ScanType]


async def follow_coverage(have: Services, now: datetime, swept: Swept) -> None:
    """Ask about every resource of which it was said, and was not asked about since."""
    resting = Resting(have.ledger, have.catalog, now)
    places: dict[Place, list[_Reported]] = {}
    for entry in have.ledger.newest(COVERAGE, "coverage-reported"):
        reported = _reported(entry, resting)
        if reported.cases or now - entry.at >= GAP_LASTS:
            change = reported.change
            places.setdefault((change.account, change.region, change.scan_type), []).append(reported)
    for place, members in places.items():
        await swept.guarded(f"coverage {'/'.join(place)}", _ask(have, place, members, swept))


class _Reported:
    """What was said of one resource, and whose verdict rests on that."""

    def __init__(self, entry: Entry, record: CoverageReported, cases: tuple[CaseRow, ...]) -> None:
        self.entry, self.record, self.cases = entry, record, cases

    @property
    def change(self) -> CoverageChange:
        return _change(self.record)


def _reported(entry: Entry, resting: Resting) -> _Reported:
    record = entry.record()
    assert isinstance(record, CoverageReported)  # the ledger was asked for these alone
    return _Reported(entry, record, resting.on(_change(record)))


def _change(record: CoverageReported) -> CoverageChange:
    return CoverageChange(**record.model_dump(include=set(CoverageChange.model_fields)))


async def _ask(have: Services, place: Place, members: list[_Reported], swept: Swept) -> None:
    try:
        said = _coverage(have, place, (each.change.resource for each in members))
    except AccessDenied as refused:
        # Where no case is, that may be an account that this system has nothing to do with.
        for each in members:
            if not each.cases:
                have.ledger.append(each.entry.stream, CoverageAsked(status="", reason=refused.code))
        raise
    for each in members:
        _follow(have, each, said[each.change.resource], swept)


def _follow(have: Services, each: _Reported, said: Coverage | None, swept: Swept) -> None:
    status, reason = (said.status, said.reason) if said is not None else ("", "not listed")
    looks: list[str] = []
    if status != "ACTIVE":
        lost = CoverageLost(
            resource=each.change.resource,
            scan_type=each.change.scan_type,
            status=status,
            reason=reason,
            reported=each.entry.sequence,
        )
        looks = [look for row in each.cases if (look := _reopen(have, row, lost)) is not None]
        if not each.cases and said is not None and reason != TERMINATED and have.settings.coverage_gaps == "ticket":
            _tell_of_gap(have, each, reason)
    have.ledger.append(each.entry.stream, CoverageAsked(status=status, reason=reason, looks=tuple(looks)))
    swept.asked.append(each.change.resource)
    swept.looked_again += looks


def _reopen(have: Services, row: CaseRow, lost: CoverageLost) -> str | None:
    """Write it down in the case, and have it looked at; None where somebody is at it, or the verdict needs no look."""
    record = lost.model_copy(update={"reopens": row.status == "closed"})
    stream = case_stream(row.id)
    if not any(_is_the_same(entry, lost) for entry in have.ledger.entries_of(stream, lost.kind)):
        have.ledger.append(stream, record)
    changes_nothing = have.catalog.named(row.key.runbook).playbook == "ticket"
    if changes_nothing or row.response_id is not None or row.last_response_id is None:
        return None
    verdict = newest_verdict(have, row.id)
    if verdict is not None and verdict.kind is VerdictKind.UNVERIFIABLE:
        return None  # That is looked at again in any case.
    return have.ledger.start_response(row.key.runbook, (row.id,), SWEEP, purpose="verify").id


def _is_the_same(entry: Entry, lost: CoverageLost) -> bool:
    """Whether an earlier pass, which was killed, has written it."""
    record = entry.record()
    return isinstance(record, CoverageLost) and (record.resource, record.reported) == (lost.resource, lost.reported)


def _tell_of_gap(have: Services, each: _Reported, reason: str) -> None:
    change = each.change
    subject = f"{change.resource} in {change.account}, {change.region}: {change.scan_type} {reason}"
    detail = f"Inspector does not scan {change.resource} ({change.scan_type}): {reason}"
    raise_notice(have.ledger, "coverage-gap", subject, detail, each.record.delivery)


def _coverage(have: Services, place: Place, resources: Iterable[str]) -> Mapping[str, Coverage | None]:
    from tasks.gateways.aws_session import AwsSessions
    from tasks.gateways.inspector import InspectorGateway, partition_of

    chosen, (account, region, scan_type) = have.settings, place
    sessions = AwsSessions(
        chosen.role_arn, partition_of(region), session_name="coverage", external_id=chosen.external_id
    )
    return InspectorGateway(sessions).coverage(account, region, [*resources], scan_type)
