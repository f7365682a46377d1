"""What becomes of findings that arrived: decided against what the tables say, many at a time, written by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from runbooks.case import CaseKey, case_stream
from runbooks.chain import read_body
from runbooks.finding import Finding, FindingStatus
from runbooks.grouping import gist, is_command
from runbooks.records import CaseClosed, CaseOpened, FindingSeen, Record
from tasks.gateways.ledger.database import portions
from tasks.gateways.ledger.rows import Sighting
from tasks.gateways.ledger.tables import cases, entries, findings, responses

SAME_UPDATE = timedelta(seconds=1)
"""Within it two times of an update are one: the event and the API do not write them equally fine."""
OVER = (FindingStatus.CLOSED, FindingStatus.SUPPRESSED)
NOTHING_DONE = "before anything was done about it"


@dataclass(frozen=True)
class Decided:
    """What one sighting comes to."""

    news: bool = False
    opened: bool = False
    reopened: bool = False
    repeated: bool = False


@dataclass
class _Known:
    """The newest sighting of a finding."""

    status: str
    updated_at: datetime
    gist: str
    is_answered: bool
    source: str
    delivery: str | None


@dataclass
class _Case:
    """A case as the tables have it, and then as the sightings taken so far leave it."""

    exists: bool = False
    is_open: bool = False
    is_idle: bool = True
    is_untouched: bool = True
    """Whether no response has begun since it was opened."""
    closed_at: datetime | None = None
    findings: dict[str, _Known] = field(default_factory=dict[str, _Known])
    records: list[Record] = field(default_factory=list[Record])
    has_news_of_an_end: bool = False

    @property
    def may_be_over(self) -> bool:
        """Whether it is closed when none of its findings is active any more: nothing was done about it."""
        return self.has_news_of_an_end and self.is_open and self.is_idle and self.is_untouched


class Book:
    """The cases of some sightings. `enter` each, then `close`; `records` is what has to be written."""

    def __init__(self, connection: Connection, sightings: Sequence[Sighting]) -> None:
        self._connection = connection
        self._cases = {each.key.id: _Case() for each in sightings}
        for names in portions(self._cases):
            self._read_cases(names)
        for arns in portions(each.finding.arn for each in sightings):
            for names in portions(self._cases):
                self._read_findings(names, arns)

    def enter(self, sighting: Sighting) -> Decided:
        """Decide about one, in the light of those before it.

        A finding seen before with the same status and the same or a later time of update, or seen later in any status,
        is no news. Only an active one opens a case; that one is over is written down without a case too, so that a
        late delivery does not open one.
        """
        case, finding = self._cases[sighting.key.id], sighting.finding
        known = case.findings.get(finding.arn)
        news, is_active = _is_news(known, finding), finding.status == FindingStatus.ACTIVE
        asked = sighting.asked and is_active
        opens = not case.is_open and is_active and (asked or (news and not _is_late_echo(case, known, finding)))
        if not opens and not news and not (asked and _may_be_asked_for(case, known, sighting.source)):
            return Decided(repeated=known is not None and known.delivery == sighting.delivery is not None)
        reopened = case.exists
        if opens:
            self._open(case, sighting.key)
        if known is not None and finding.updated_at < known.updated_at:
            # Asked for with an old copy: what is acted upon is the newest.
            finding = self._newest(sighting.key.id, finding.arn)
        self._see(case, finding, sighting)
        return Decided(news=True, opened=opens, reopened=opens and reopened)

    def close(self) -> set[str]:
        """Close the cases about which nothing was done and of whose findings none is active any more; their ids."""
        over = {name: self._statuses(name) for name, case in self._cases.items() if case.may_be_over}
        over = {name: statuses for name, statuses in over.items() if statuses <= set(OVER)}
        for name, statuses in over.items():
            self._cases[name].records.append(CaseClosed(response="", reason=_why_over(statuses)))
        return set(over)

    @property
    def records(self) -> dict[str, Sequence[Record]]:
        """By stream, in the order they came."""
        return {case_stream(name): case.records for name, case in self._cases.items() if case.records}

    def _open(self, case: _Case, key: CaseKey) -> None:
        case.records.append(CaseOpened(key=key, reopened=case.exists))
        case.exists = case.is_open = case.is_untouched = True
        for each in case.findings.values():
            each.is_answered = False

    def _see(self, case: _Case, finding: Finding, sighting: Sighting) -> None:
        seen = {"source": sighting.source, "delivery": sighting.delivery, "is_hasty": sighting.is_hasty}
        case.records.append(FindingSeen(finding=finding, **seen))
        known, says = case.findings.get(finding.arn), gist(finding)
        answered = known is not None and known.is_answered and known.gist == says
        is_active = finding.status == FindingStatus.ACTIVE
        case.findings[finding.arn] = _Known(
            status=finding.status,
            updated_at=finding.updated_at,
            gist=says,
            is_answered=answered and is_active and not is_command(sighting.source),
            source=sighting.source,
            delivery=sighting.delivery,
        )
        case.has_news_of_an_end |= not is_active

    def _read_cases(self, names: Sequence[str]) -> None:
        columns = (cases.c.id, cases.c.status, cases.c.response_id, cases.c.opened_at, cases.c.closed_at)
        last = responses.c.started_at.label("last_response_at")
        joined = cases.outerjoin(responses, responses.c.id == cases.c.last_response_id)
        for row in self._connection.execute(select(*columns, last).select_from(joined).where(cases.c.id.in_(names))):
            case = self._cases[row.id]
            case.exists, case.is_open, case.is_idle = True, row.status == "open", row.response_id is None
            case.is_untouched = row.last_response_at is None or row.last_response_at < row.opened_at
            case.closed_at = row.closed_at

    def _read_findings(self, names: Sequence[str], arns: Sequence[str]) -> None:
        query = select(findings).where(findings.c.case_id.in_(names), findings.c.arn.in_(arns))
        for row in self._connection.execute(query):
            self._cases[row.case_id].findings[row.arn] = _Known(
                status=row.status,
                updated_at=row.updated_at,
                gist=row.gist,
                is_answered=row.answered == row.gist,
                source=row.source,
                delivery=row.delivery,
            )

    def _statuses(self, case_id: str) -> set[str]:
        """What the findings of the case come to."""
        query = select(findings.c.arn, findings.c.status).where(findings.c.case_id == case_id)
        before = {row.arn: row.status for row in self._connection.execute(query)}
        return {*(before | {arn: known.status for arn, known in self._cases[case_id].findings.items()}).values()}

    def _newest(self, case_id: str, arn: str) -> Finding:
        for record in reversed(self._cases[case_id].records):
            if isinstance(record, FindingSeen) and record.finding.arn == arn:
                return record.finding
        place = (findings.c.sequence == entries.c.sequence, findings.c.case_id == case_id, findings.c.arn == arn)
        query = select(entries.c.body).where(entries.c.stream == case_stream(case_id), *place)
        return Finding.model_validate(read_body(self._connection.scalar(query) or "{}")["finding"])


def _is_news(known: _Known | None, finding: Finding) -> bool:
    if known is None:
        return True
    if finding.updated_at == known.updated_at or finding.status != known.status:
        return finding.updated_at >= known.updated_at and finding.status != known.status
    same = finding.updated_at - known.updated_at < SAME_UPDATE and gist(finding) == known.gist
    return finding.updated_at > known.updated_at and not same


def _is_late_echo(case: _Case, known: _Known | None, finding: Finding) -> bool:
    """Whether it says again what was answered before the case was closed, of a time before it was closed."""
    answered = known is not None and known.is_answered and known.gist == gist(finding)
    return answered and case.closed_at is not None and finding.updated_at <= case.closed_at


def _may_be_asked_for(case: _Case, known: _Known | None, source: str) -> bool:
    """Whether a person's wish is to be written down: nothing acts on the case, and they have not just asked."""
    waits = known is not None and not known.is_answered and known.source == source
    return case.is_open and case.is_idle and not waits


def _why_over(statuses: set[str]) -> str:
    if FindingStatus.SUPPRESSED not in statuses:
        return f"Inspector closed every finding {NOTHING_DONE}; whether it is fixed was not looked at"
    if FindingStatus.CLOSED in statuses:
        return f"suppressed: Inspector closed some findings, and a suppression rule covers the others, {NOTHING_DONE}"
    return f"suppressed: a suppression rule covers every finding {NOTHING_DONE}"
