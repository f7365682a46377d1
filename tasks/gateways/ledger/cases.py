"""Cases: at most one open for a resource and a runbook, and every finding written down once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, case, func, literal, or_, select

from runbooks.case import CaseKey, case_stream
from runbooks.chain import read_body
from runbooks.finding import Finding, FindingStatus
from runbooks.grouping import COMMAND
from runbooks.records import CaseClosed
from tasks.gateways.ledger.database import portions
from tasks.gateways.ledger.journal import Journal
from tasks.gateways.ledger.rows import CaseRow, CaseStatus, Sighting, Taken, Unanswered
from tasks.gateways.ledger.tables import cases, entries, findings, responses
from tasks.gateways.ledger.taking import Book, Decided


class Cases(Journal):
    """Cases and their findings."""

    def take_finding(
        self, key: CaseKey, finding: Finding, source: str, delivery: str | None = None, *, reopen: bool = False
    ) -> Taken:
        """Writes one finding down under its case, as `take` does. `reopen`: a person asks for a response to it."""
        return self.take([Sighting(key, finding, source, delivery, asked=reopen)])[0]

    def take(self, sightings: Sequence[Sighting]) -> tuple[Taken, ...]:
        """Writes findings down under their cases, which it opens where none is open, in one commit.

        What is no news changes nothing, and nor does one that is older than what was seen. A case about which nothing
        was done is closed when none of its findings is active any more.
        """
        with self._database.writing() as connection:
            book = Book(connection, sightings)
            decided = [book.enter(each) for each in sightings]
            closed = book.close()
            for stream, records in book.records.items():
                self._write(connection, stream, *records)
            rows = {row.id: row for row in _cases_of(connection, [each.key.id for each in sightings])}
        return tuple(
            _taken(rows.get(each.key.id), was, closed=each.key.id in closed)
            for each, was in zip(sightings, decided, strict=True)
        )

    def unanswered(self) -> tuple[Unanswered, ...]:
        """The open cases that wait for a response, those that have waited longest first."""
        now, source = self._now(), findings.c.source
        asked = case((or_(source == COMMAND, source.startswith(f"{COMMAND}:")), source))
        query = (
            select(
                cases,
                func.min(findings.c.seen_at).label("first"),
                func.max(findings.c.seen_at).label("last"),
                func.coalesce(func.min(asked), func.min(source)).label("source"),
                func.max(case((findings.c.is_hasty, 1), else_=0)).label("hasty"),
            )
            .join(findings, findings.c.case_id == cases.c.id)
            .where(cases.c.status == "open", cases.c.response_id.is_(None), *_WAITS)
            .group_by(cases.c.id)
            .order_by(func.min(findings.c.seen_at), cases.c.id)
        )
        with self._database.reading() as connection:
            return tuple(_read_unanswered(row, now) for row in connection.execute(query))

    def begun_within(self, runbook: str, span: timedelta) -> frozenset[tuple[str, str]]:
        """Account and region of the cases of this runbook on which a response was started so lately, and has begun."""
        theirs = responses.join(cases, cases.c.last_response_id == responses.c.id)
        lately = (responses.c.runbook == runbook, responses.c.started_at > self._now() - span)
        begun = (responses.c.purpose == "respond", responses.c.status != "new")
        query = select(cases.c.account, cases.c.region).select_from(theirs).where(*lately, *begun).distinct()
        with self._database.reading() as connection:
            return frozenset((row.account, row.region) for row in connection.execute(query))

    def over(self, runbooks: Iterable[str]) -> tuple[CaseRow, ...]:
        """The open, idle cases of these runbooks none of whose findings is active, by what came after the last look.

        A look is a response: what had been seen when it began is not looked at again.
        """
        is_active = (findings.c.case_id == cases.c.id) & (findings.c.status == FindingStatus.ACTIVE)
        active = select(findings.c.arn).where(is_active).exists()
        seen = select(func.max(findings.c.seen_at)).where(findings.c.case_id == cases.c.id).scalar_subquery()
        looked = select(responses.c.started_at).where(responses.c.id == cases.c.last_response_id).scalar_subquery()
        idle = (cases.c.runbook.in_([*runbooks]), cases.c.status == "open", cases.c.response_id.is_(None))
        return self._cases(_ALL.where(*idle, ~active, seen > looked))

    def idle_since(self) -> dict[tuple[str, str], datetime]:
        """Account and region of open cases that nobody acts on any more -> when the stillest one was last heard of."""
        idle = (cases.c.status == "open", cases.c.response_id.is_(None), cases.c.last_response_id.is_not(None))
        oldest = func.min(cases.c.updated_at).label("oldest")
        query = select(cases.c.account, cases.c.region, oldest).where(*idle)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(cases.c.account, cases.c.region))
            return {(row.account, row.region): row.oldest for row in rows}

    def unanswered_findings(self, case_id: str) -> tuple[str, ...]:
        """The ARNs of the case's active findings that no response has answered, in the order they were seen."""
        with self._database.reading() as connection:
            return self._unanswered_findings(connection, case_id)

    def findings_through(self, case_ids: Iterable[str]) -> dict[str, int]:
        """The newest entry of each case's stream that is a sighting of a finding; nothing of a case without any."""
        newest = select(findings.c.case_id, func.max(findings.c.sequence)).group_by(findings.c.case_id)
        with self._database.reading() as connection:
            return {
                case_id: sequence
                for names in portions(case_ids)
                for case_id, sequence in connection.execute(newest.where(findings.c.case_id.in_(names))).tuples()
            }

    def seen_at(self, case_id: str, arn: str) -> datetime | None:
        """When Inspector had last updated the finding, in its newest sighting in the case; None when it is new."""
        query = select(findings.c.updated_at).where(findings.c.case_id == case_id, findings.c.arn == arn)
        with self._database.reading() as connection:
            return connection.scalar(query)

    def case(self, case_id: str) -> CaseRow | None:
        """One case; None when there is none of that id."""
        with self._database.reading() as connection:
            return _case(connection, case_id)

    def find_cases(self, text: str) -> tuple[CaseRow, ...]:
        """Cases of that id, of an id that begins so (with or without `case-`), or on the resource of that id."""
        if not text:
            return ()
        begins = (cases.c.id.startswith(start, autoescape=True) for start in (text, f"case-{text}"))
        return self._cases(_ALL.where(or_(cases.c.resource_id == text, *begins)))

    def cases(self, status: CaseStatus | None = None) -> tuple[CaseRow, ...]:
        """All cases, or those of one status, in the order they were opened."""
        return self._cases(_ALL if status is None else _ALL.where(cases.c.status == status))

    def cases_of(self, case_ids: Iterable[str]) -> tuple[CaseRow, ...]:
        """These cases, as far as there are any of those ids, in the order of the ids."""
        wanted = tuple(dict.fromkeys(case_ids))
        with self._database.reading() as connection:
            rows = {row.id: row for row in _cases_of(connection, wanted)}
        return tuple(rows[name] for name in wanted if name in rows)

    def cases_on(self, resource_ids: Iterable[str]) -> tuple[CaseRow, ...]:
        """The cases of every runbook on the resources of these ids."""
        with self._database.reading() as connection:
            found = [
                _read_case(row)
                for names in portions(resource_ids)
                for row in connection.execute(_ALL.where(cases.c.resource_id.in_(names)))
            ]
        return tuple(sorted(found, key=lambda row: (row.opened_at, row.id)))

    def case_findings(self, case_id: str) -> tuple[Finding, ...]:
        """The newest sighting of each of the case's findings, in the order of those sightings."""
        return self.findings_of((case_id,))[case_id]

    def findings_of(self, case_ids: Iterable[str]) -> dict[str, tuple[Finding, ...]]:
        """Case -> the newest sighting of each of its findings, in the order of those sightings."""
        found: dict[str, list[Finding]] = {name: [] for name in case_ids}
        query = (
            select(findings.c.case_id, entries.c.body)
            .join(entries, and_(findings.c.sequence == entries.c.sequence, entries.c.stream == _STREAM))
            .order_by(findings.c.case_id, entries.c.sequence)
        )
        with self._database.reading() as connection:
            for names in portions(found):
                for row in connection.execute(query.where(findings.c.case_id.in_(names))):
                    found[row.case_id].append(Finding.model_validate(read_body(row.body)["finding"]))
        return {name: tuple(seen) for name, seen in found.items()}

    def closed_since(self, moment: datetime) -> tuple[CaseRow, ...]:
        """Closed cases that were heard of since then."""
        return self._cases(_ALL.where(cases.c.status == "closed", cases.c.updated_at >= moment))

    def close_case(self, case_id: str, response: str, reason: str) -> bool:
        """Closes the case; False, with nothing written, when it is not open."""
        with self._database.writing() as connection:
            return self._close_case(connection, case_id, response, reason)

    def _close_case(self, connection: Connection, case_id: str, response: str, reason: str) -> bool:
        row = _case(connection, case_id)
        if row is None or row.status != "open":
            return False
        self._write(connection, case_stream(case_id), CaseClosed(response=response, reason=reason))
        return True

    def _unanswered_findings(self, connection: Connection, case_id: str) -> tuple[str, ...]:
        query = select(findings.c.arn).where(findings.c.case_id == case_id, *_WAITS).order_by(findings.c.sequence)
        return tuple(connection.scalars(query))

    def _cases(self, query: Select[Any]) -> tuple[CaseRow, ...]:
        with self._database.reading() as connection:
            return tuple(_read_case(row) for row in connection.execute(query.order_by(cases.c.opened_at, cases.c.id)))


_ALL = select(cases)
_STREAM = literal(case_stream("")) + findings.c.case_id
_WAITS = (findings.c.status == FindingStatus.ACTIVE, findings.c.answered.is_distinct_from(findings.c.gist))
"""Of a finding: no response has answered it."""


def _case(connection: Connection, case_id: str) -> CaseRow | None:
    row = connection.execute(_ALL.where(cases.c.id == case_id)).first()
    return None if row is None else _read_case(row)


def _cases_of(connection: Connection, case_ids: Iterable[str]) -> Iterator[CaseRow]:
    for names in portions(case_ids):
        yield from map(_read_case, connection.execute(_ALL.where(cases.c.id.in_(names))))


def _taken(row: CaseRow | None, was: Decided, *, closed: bool) -> Taken:
    is_open = row is not None and row.status == "open"
    return Taken(
        case=row if is_open else None,
        news=was.news,
        opened=was.opened,
        reopened=was.reopened,
        closed=closed,
        repeated=was.repeated,
    )


def _read_unanswered(row: Row[Any], now: datetime) -> Unanswered:
    waited, quiet = now - row.first, now - row.last
    return Unanswered(case=_read_case(row), source=row.source, waited=waited, quiet=quiet, is_hasty=row.hasty == 1)


def _read_case(row: Row[Any]) -> CaseRow:
    key = CaseKey(**{name: getattr(row, name) for name in CaseKey.model_fields})
    return CaseRow(key=key, **{name: getattr(row, name) for name in CaseRow.model_fields if name != "key"})
