"""What follows from an entry: the rows of cases, findings, responses, approvals and admissions.

Every change of those tables goes through `project`, when an entry is written and when the tables are made anew, so the
two cannot differ. Records without a rule here only say when their case or response was last heard of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Update, and_, bindparam, case, select, true, update

from runbooks import records
from runbooks.chain import Entry, UnknownRecord
from runbooks.finding import SEVERITIES, FindingStatus
from runbooks.grouping import gist, is_command
from runbooks.history import PAUSED
from tasks.gateways.ledger.database import change, insert, upsert
from tasks.gateways.ledger.tables import admissions, approvals, cases, findings, responses

UNRATED = "UNTRIAGED"


def project(connection: Connection, entry: Entry, record: records.Record | UnknownRecord) -> None:
    """Brings the tables to what the entry says, of which `record` is the reading."""
    kind, _, name = entry.stream.partition("/")
    if kind == "case":
        _set(connection, cases, name, updated_at=entry.at)
    elif kind == "response":
        _set(connection, responses, name, updated_at=entry.at)
    rule = _RULES.get(entry.kind)
    if rule is not None and not isinstance(record, UnknownRecord):
        rule(connection, entry, name, record)


def _case_opened(connection: Connection, entry: Entry, case_id: str, record: records.CaseOpened) -> None:
    opened = {"status": "open", "severity": UNRATED, "opened_at": entry.at, "updated_at": entry.at}
    row = {"id": case_id, **record.key.model_dump(), **opened, "responses": 0}
    if not change(connection, cases, {"id": case_id, **opened}):
        connection.execute(cases.insert(), row)
        return
    # Whatever it was answered with was for the time that the case was open before.
    anew = {"answered": None, "seen_at": entry.at}
    connection.execute(update(findings).where(findings.c.case_id == case_id).values(anew))


def _finding_seen(connection: Connection, entry: Entry, case_id: str, record: records.FindingSeen) -> None:
    finding = record.finding
    sighting = {
        "status": finding.status,
        "updated_at": finding.updated_at,
        "sequence": entry.sequence,
        "gist": gist(finding),
        "seen_at": entry.at,
        "source": record.source,
        "delivery": record.delivery,
        "is_hasty": record.is_hasty,
    }
    row = {"case_id": case_id, "arn": finding.arn, **sighting}
    again = _seen_again(finding.status == FindingStatus.ACTIVE, is_command(record.source))
    if not connection.execute(again, {f"new_{name}": value for name, value in row.items()}).rowcount:
        connection.execute(findings.insert(), row)
    if finding.severity_rank >= 0:
        risen = {"new_id": case_id, "new_severity": finding.severity}
        connection.execute(_rises_to(finding.severity_rank), risen)


@lru_cache(maxsize=4)
def _seen_again(is_active: bool, is_asked: bool) -> Update:
    names = ("status", "updated_at", "sequence", "gist", "seen_at", "source", "delivery", "is_hasty")
    columns = [findings.c[name] for name in names]
    values: dict[Any, Any] = {column: bindparam(f"new_{column.name}", type_=column.type) for column in columns}
    if is_asked or not is_active:
        values[findings.c.answered] = None
    if is_active:
        # Said again, it waits no longer for that.
        same = and_(findings.c.status == FindingStatus.ACTIVE, findings.c.gist == bindparam("new_gist"), _unanswered)
        values[findings.c.seen_at] = case((same, findings.c.seen_at), else_=values[findings.c.seen_at])
    place = (findings.c.case_id == bindparam("new_case_id"), findings.c.arn == bindparam("new_arn"))
    return update(findings).where(*place).values(values)


@lru_cache(maxsize=len(SEVERITIES))
def _rises_to(rank: int) -> Update:
    lower = (cases.c.id == bindparam("new_id"), cases.c.severity.not_in(SEVERITIES[rank:]))
    return update(cases).where(*lower).values(severity=bindparam("new_severity"))


def _case_triaged(connection: Connection, entry: Entry, case_id: str, record: records.CaseTriaged) -> None:
    """What a triage could read is answered by its response, whatever that comes to."""
    _set(connection, cases, case_id, triaged_by=record.response)
    purpose = select(responses.c.purpose).where(responses.c.id == record.response).scalar_subquery()
    through = record.findings_through
    read = findings.c.sequence <= through if through is not None else true()
    _answer(connection, findings.c.case_id == case_id, purpose == "respond", read)


def _case_closed(connection: Connection, entry: Entry, case_id: str, record: records.CaseClosed) -> None:
    _set(connection, cases, case_id, status="closed", closed_at=entry.at)


def _coverage_lost(connection: Connection, entry: Entry, case_id: str, record: records.CoverageLost) -> None:
    """What a case was answered with stays: only its verdict is in question, and no finding of it is new."""
    if record.reopens:
        _set(connection, cases, case_id, status="open", closed_at=None)


def _response_started(connection: Connection, entry: Entry, response_id: str, record: records.ResponseStarted) -> None:
    moments = {"started_at": entry.at, "updated_at": entry.at}
    row = {
        "id": response_id,
        "runbook": record.runbook,
        "purpose": record.purpose,
        "cases": json.dumps(record.cases),
        "status": "new",
        "attempt": 0,
        "grouping": record.grouping,
    }
    connection.execute(insert(connection, responses).values({**row, **moments}).on_conflict_do_nothing())
    _join(connection, response_id, record.cases)


def _cases_joined(connection: Connection, entry: Entry, response_id: str, record: records.CasesJoined) -> None:
    before = json.loads(connection.scalar(select(responses.c.cases).where(responses.c.id == response_id)) or "[]")
    _set(connection, responses, response_id, cases=json.dumps([*before, *record.cases]))
    _join(connection, response_id, record.cases)


def _join(connection: Connection, response_id: str, joining: Sequence[str]) -> None:
    joined = (
        update(cases)
        .where(cases.c.id == bindparam("joining"))
        .values(response_id=response_id, last_response_id=response_id, responses=cases.c.responses + 1)
    )
    connection.execute(joined, [{"joining": case_id} for case_id in joining])


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


def _wave_ended(connection: Connection, entry: Entry, response_id: str, record: records.WaveEnded) -> None:
    _end_admissions(
        connection,
        entry,
        response_id,
        admissions.c.digest == record.digest,
        admissions.c.case_id.in_(record.cases),
    )


def _waves_steered(connection: Connection, entry: Entry, response_id: str, record: records.WavesSteered) -> None:
    """What waits for it looks at once."""
    waits = (responses.c.id == response_id) & (responses.c.waiting_phase == PAUSED)
    connection.execute(update(responses).where(waits).values(look_again_at=entry.at))


def _phase_ended(connection: Connection, entry: Entry, response_id: str, record: records.PhaseEnded) -> None:
    _end_admissions(connection, entry, response_id, admissions.c.phase == record.phase.value)


def _end_admissions(connection: Connection, entry: Entry, response_id: str, *which: ColumnElement[bool]) -> None:
    theirs = update(admissions).where(admissions.c.response_id == response_id, admissions.c.ended_at.is_(None), *which)
    connection.execute(theirs.values(ended_at=entry.at))


def _response_ended(connection: Connection, entry: Entry, response_id: str, record: records.ResponseEnded) -> None:
    _set(connection, responses, response_id, status="ended", result=record.result, **_AWAKE)
    _end_admissions(connection, entry, response_id)
    # What never came to triage was handed to a person: starting the like of it again would never end.
    unread = and_(cases.c.response_id == response_id, cases.c.triaged_by.is_distinct_from(response_id))
    played = select(responses.c.id).where(responses.c.id == response_id, responses.c.purpose == "respond").exists()
    _answer(connection, findings.c.case_id.in_(select(cases.c.id).where(unread)), played)
    connection.execute(update(cases).where(cases.c.response_id == response_id).values(response_id=None))
    unanswered = update(approvals).where(approvals.c.response_id == response_id, approvals.c.answer.is_(None))
    connection.execute(unanswered.values(answer="superseded", answered_at=entry.at))


_AWAKE = {"waiting_for": None, "waiting_phase": None, "look_again_at": None}
_Rule = Callable[[Connection, Entry, str, Any], None]
_RULES: dict[str, _Rule] = {
    "case-opened": _case_opened,
    "finding-seen": _finding_seen,
    "case-triaged": _case_triaged,
    "case-closed": _case_closed,
    "coverage-lost": _coverage_lost,
    "response-started": _response_started,
    "cases-joined": _cases_joined,
    "run-started": _run_started,
    "waiting": _waiting,
    "approval-asked": _approval_asked,
    "decision": _decided,
    "admitted": _admitted,
    "wave-ended": _wave_ended,
    "waves-steered": _waves_steered,
    "phase-ended": _phase_ended,
    "response-ended": _response_ended,
}


def _answer(connection: Connection, *which: ColumnElement[bool]) -> None:
    """The active findings of the cases need no other answer, until they say something else."""
    active = findings.c.status == FindingStatus.ACTIVE
    connection.execute(update(findings).where(active, *which).values(answered=findings.c.gist))


_unanswered = findings.c.answered.is_distinct_from(findings.c.gist)


def _set(connection: Connection, table: Table, row_id: str, **values: Any) -> None:
    change(connection, table, {"id": row_id, **values})
