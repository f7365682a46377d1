"""What follows from an entry: the rows of cases, findings, responses, approvals and admissions.

Every change of those tables goes through `project`, when an entry is written and when the tables are made anew, so the
two cannot differ. Records without a rule here only say when their case or response was last heard of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, bindparam, select, update

from runbooks import records
from runbooks.chain import Entry, UnknownRecord
from runbooks.finding import SEVERITIES
from tasks.gateways.ledger.database import insert, upsert
from tasks.gateways.ledger.tables import admissions, approvals, cases, findings, responses

UNRATED = "UNTRIAGED"


def project(connection: Connection, entry: Entry) -> None:
    """Brings the tables to what the entry says."""
    kind, _, name = entry.stream.partition("/")
    if kind == "case":
        _set(connection, cases, name, updated_at=entry.at)
    elif kind == "response":
        _set(connection, responses, name, updated_at=entry.at)
    rule = _RULES.get(entry.kind)
    if rule is not None and not isinstance(record := entry.record(), UnknownRecord):
        rule(connection, entry, name, record)


def _case_opened(connection: Connection, entry: Entry, case_id: str, record: records.CaseOpened) -> None:
    opened = {"status": "open", "severity": UNRATED, "opened_at": entry.at, "updated_at": entry.at}
    row = {"id": case_id, **record.key.model_dump(), **opened, "responses": 0}
    statement = insert(connection, cases).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=opened))


def _finding_seen(connection: Connection, entry: Entry, case_id: str, record: records.FindingSeen) -> None:
    finding = record.finding
    sighting = {"status": finding.status, "updated_at": finding.updated_at, "sequence": entry.sequence}
    upsert(connection, findings, {"case_id": case_id, "arn": finding.arn, **sighting})
    seen = connection.scalar(select(cases.c.severity).where(cases.c.id == case_id))
    if seen is not None and finding.severity_rank > _rank(seen):
        _set(connection, cases, case_id, severity=finding.severity)


def _case_closed(connection: Connection, entry: Entry, case_id: str, record: records.CaseClosed) -> None:
    _set(connection, cases, case_id, status="closed")


def _response_started(connection: Connection, entry: Entry, response_id: str, record: records.ResponseStarted) -> None:
    moments = {"started_at": entry.at, "updated_at": entry.at}
    row = {
        "id": response_id,
        "runbook": record.runbook,
        "purpose": record.purpose,
        "cases": json.dumps(record.cases),
        "status": "new",
        "attempt": 0,
    }
    connection.execute(insert(connection, responses).values({**row, **moments}).on_conflict_do_nothing())
    joined = (
        update(cases)
        .where(cases.c.id == bindparam("joining"))
        .values(response_id=response_id, last_response_id=response_id, responses=cases.c.responses + 1)
    )
    connection.execute(joined, [{"joining": case_id} for case_id in record.cases])


def _run_started(connection: Connection, entry: Entry, response_id: str, record: records.RunStarted) -> None:
    run = {"attempt": record.attempt, "flow_run": record.flow_run}
    _set(connection, responses, response_id, status="running", **run, **_AWAKE)


def _waiting(connection: Connection, entry: Entry, response_id: str, record: records.Waiting) -> None:
    rest = {"waiting_for": record.reason, "waiting_phase": record.phase, "look_again_at": record.look_again_at}
    _set(connection, responses, response_id, status="waiting", **rest)


def _approval_asked(connection: Connection, entry: Entry, response_id: str, record: records.ApprovalAsked) -> None:
    older = update(approvals).where(approvals.c.response_id == response_id, approvals.c.answer.is_(None))
    connection.execute(older.values(answer="superseded", answered_at=entry.at))
    question = {"expires_at": record.expires_at, "flow_run": record.flow_run, "answer": None, "answered_at": None}
    place = {"digest": record.digest, "attempt": record.attempt, "response_id": response_id, "asked_at": entry.at}
    statement = insert(connection, approvals).values({**place, **question})
    connection.execute(statement.on_conflict_do_update(index_elements=["digest", "attempt"], set_=question))
    _set(connection, responses, response_id, status="asking", **_AWAKE)


def _decided(connection: Connection, entry: Entry, response_id: str, record: records.Decision) -> None:
    place = {"digest": record.digest, "attempt": record.attempt, "response_id": response_id}
    answer = record.model_dump(include={"answer", "approver", "channel", "comment", "reason"})
    upsert(connection, approvals, {**place, **answer, "answered_at": entry.at})


def _admitted(connection: Connection, entry: Entry, response_id: str, record: records.Admitted) -> None:
    common = {"digest": record.digest, "response_id": response_id, "phase": record.phase.value}
    rest = {"pre_authorised": record.pre_authorised, "admitted_at": entry.at, "ended_at": None}
    rows = [{**common, "case_id": each.case, "extent": each.model_dump_json(), **rest} for each in record.extents]
    upsert(connection, admissions, rows)


def _phase_ended(connection: Connection, entry: Entry, response_id: str, record: records.PhaseEnded) -> None:
    _end_admissions(connection, entry, response_id, admissions.c.phase == record.phase.value)


def _end_admissions(connection: Connection, entry: Entry, response_id: str, *which: ColumnElement[bool]) -> None:
    theirs = update(admissions).where(admissions.c.response_id == response_id, admissions.c.ended_at.is_(None), *which)
    connection.execute(theirs.values(ended_at=entry.at))


def _response_ended(connection: Connection, entry: Entry, response_id: str, record: records.ResponseEnded) -> None:
    _set(connection, responses, response_id, status="ended", result=record.result, **_AWAKE)
    _end_admissions(connection, entry, response_id)
    connection.execute(update(cases).where(cases.c.response_id == response_id).values(response_id=None))
    unanswered = update(approvals).where(approvals.c.response_id == response_id, approvals.c.answer.is_(None))
    connection.execute(unanswered.values(answer="superseded", answered_at=entry.at))


_AWAKE = {"waiting_for": None, "waiting_phase": None, "look_again_at": None}
_Rule = Callable[[Connection, Entry, str, Any], None]
_RULES: dict[str, _Rule] = {
    "case-opened": _case_opened,
    "finding-seen": _finding_seen,
    "case-closed": _case_closed,
    "response-started": _response_started,
    "run-started": _run_started,
    "waiting": _waiting,
    "approval-asked": _approval_asked,
    "decision": _decided,
    "admitted": _admitted,
    "phase-ended": _phase_ended,
    "response-ended": _response_ended,
}


def _set(connection: Connection, table: Table, row_id: str, **values: Any) -> None:
    connection.execute(update(table).where(table.c.id == row_id).values(**values))


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
