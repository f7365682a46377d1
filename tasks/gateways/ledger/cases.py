"""Cases: at most one open for a resource and a runbook, and every finding written down once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, or_, select

from runbooks.case import CaseKey, case_stream
from runbooks.chain import read_body
from runbooks.finding import Finding, FindingStatus
from runbooks.records import CaseClosed, CaseOpened, FindingSeen
from tasks.gateways.ledger.journal import Journal
from tasks.gateways.ledger.rows import CaseRow, CaseStatus, Taken
from tasks.gateways.ledger.tables import cases, entries, findings


class Cases(Journal):
    """Cases and their findings."""

    def take_finding(
        self, key: CaseKey, finding: Finding, source: str, delivery: str | None = None, *, reopen: bool = False
    ) -> Taken:
        """Writes a finding down under its case, which it opens if none is open.

        A finding seen before with the same status and the same or a later `updated_at`, or seen later in any status,
        is no news and changes nothing. Only an active finding opens a case. `reopen`: a person asks for the case to be
        opened again even though the finding is no news.
        """
        stream = case_stream(key.id)
        with self._database.writing() as connection:
            case = _case(connection, key.id)
            news = _is_news(connection, key.id, finding)
            is_open = case is not None and case.status == "open"
            opens = not is_open and (news or reopen) and finding.status == FindingStatus.ACTIVE
            if opens:
                self._write(connection, stream, CaseOpened(key=key, reopened=case is not None))
            if opens or (news and case is not None):
                self._write(connection, stream, FindingSeen(finding=finding, source=source, delivery=delivery))
            now_open = _case(connection, key.id) if opens or is_open else None
            return Taken(
                case=now_open,
                news=opens or (news and case is not None),
                opened=opens,
                reopened=opens and case is not None,
            )

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

    def case_findings(self, case_id: str) -> tuple[Finding, ...]:
        """The newest sighting of each of the case's findings, in the order of those sightings."""
        query = (
            select(entries.c.body)
            .join(findings, findings.c.sequence == entries.c.sequence)
            .where(findings.c.case_id == case_id, entries.c.stream == case_stream(case_id))
            .order_by(entries.c.sequence)
        )
        with self._database.reading() as connection:
            bodies = connection.scalars(query)
            return tuple(Finding.model_validate(read_body(body)["finding"]) for body in bodies)

    def closed_since(self, moment: datetime) -> tuple[CaseRow, ...]:
        """Closed cases that were heard of since then."""
        return self._cases(_ALL.where(cases.c.status == "closed", cases.c.updated_at >= moment))

    def close_case(self, case_id: str, response: str, reason: str) -> bool:
        """Closes the case; False, with nothing written, when it is not open."""
        with self._database.writing() as connection:
            return self._close_case(connection, case_id, response, reason)

    def _close_case(self, connection: Connection, case_id: str, response: str, reason: str) -> bool:
        case = _case(connection, case_id)
        if case is None or case.status != "open":
            return False
        self._write(connection, case_stream(case_id), CaseClosed(response=response, reason=reason))
        return True

    def _cases(self, query: Select[Any]) -> tuple[CaseRow, ...]:
        with self._database.reading() as connection:
            return tuple(_read_case(row) for row in connection.execute(query.order_by(cases.c.opened_at, cases.c.id)))


_ALL = select(cases)


def _case(connection: Connection, case_id: str) -> CaseRow | None:
    row = connection.execute(_ALL.where(cases.c.id == case_id)).first()
    return None if row is None else _read_case(row)


def _is_news(connection: Connection, case_id: str, finding: Finding) -> bool:
    query = select(findings.c.status, findings.c.updated_at)
    seen = connection.execute(query.where(findings.c.case_id == case_id, findings.c.arn == finding.arn)).first()
    if seen is None or finding.updated_at > seen.updated_at:
        return True
    return finding.updated_at == seen.updated_at and finding.status != seen.status


def _read_case(row: Row[Any]) -> CaseRow:
    values = row._asdict()
    key = CaseKey(**{name: values.pop(name) for name in CaseKey.model_fields})
    del values["responses"]
    return CaseRow(key=key, **values)
