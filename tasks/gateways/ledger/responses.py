"""Responses: who acts on which cases, which run is the current one, and what it waits for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, and_, case, func, select, update

from runbooks.case import SYSTEM_STREAM, response_stream
from runbooks.errors import LeaseLost, NotFound, Overtaken, Refused
from runbooks.records import CasesJoined, Purpose, ResponseEnded, ResponseStarted, Restarted, RunStarted, Waiting
from runbooks.verdict import VerdictKind
from tasks.gateways.ledger import leasing
from tasks.gateways.ledger.cases import Cases
from tasks.gateways.ledger.database import portions, upsert
from tasks.gateways.ledger.leases import Leases
from tasks.gateways.ledger.leasing import SETTLE_SECONDS
from tasks.gateways.ledger.rows import Lease, ResponseRow, ResponseStatus
from tasks.gateways.ledger.tables import approvals, cases, dispatches, leases, responses


class Responses(Cases, Leases):
    """Responses and their runs.

    Where a method takes a `lease`, it is checked in the same transaction: a run that was replaced can no longer speak
    for the response.
    """

    def start_response(
        self, runbook: str, case_ids: Iterable[str], started_by: str, *, purpose: Purpose = "respond"
    ) -> ResponseRow:
        """A response over those of the cases that are open and in no other; the rest are left alone.

        A look on demand and a release may also be about a case that is closed.

        Which cases it took is in its `cases`. Asked again, or with every case taken already, it answers with the
        newest response that acts on one of them.

        Raises:
            NotFound: There is no such case.
            Refused: None of the cases is open.
        """
        wanted = tuple(dict.fromkeys(case_ids))
        with self._database.writing() as connection:
            found = (connection.execute(select(cases).where(cases.c.id.in_(names))) for names in portions(wanted))
            rows = {row.id: row for each in found for row in each}
            for case_id in wanted:
                if case_id not in rows:
                    raise NotFound(f"there is no case {case_id}", code="no-such-case")
            able = [name for name in wanted if purpose != "respond" or rows[name].status == "open"]
            free = tuple(name for name in able if rows[name].response_id is None)
            if not free:
                busy = {row.response_id for row in rows.values() if row.response_id is not None}
                if not busy:
                    raise Refused(f"no case is open: {', '.join(wanted) or 'none was given'}", code="case-closed")
                newest = _ALL.where(responses.c.id.in_(busy)).order_by(responses.c.started_at.desc(), responses.c.id)
                return _read_response(connection.execute(newest.limit(1)).mappings().one())
            response_id = _response_id({name: rows[name].responses for name in free})
            started = ResponseStarted(
                response=response_id, purpose=purpose, runbook=runbook, cases=free, started_by=started_by
            )
            self._begin(connection, started)
            return _response(connection, response_id)

    def group_cases(
        self, runbook: str, grouping: str, case_ids: Sequence[str], started_by: str, most: int
    ) -> tuple[str, ...]:
        """Gives cases that are alike to responses, in one commit: each to one, and no response more than `most`.

        They join the responses of that grouping that no run has begun, as far as there is room; the rest get their own.
        Those that are not open, or are acted upon, are left alone.

        Returns:
            The responses they were given to; empty when all were left alone.
        """
        with self._database.writing() as connection:
            rows = {row.id: row for names in portions(case_ids) for row in _idle_cases(connection, names)}
            rest = [name for name in dict.fromkeys(case_ids) if name in rows]
            given: list[str] = []
            for response_id, number in _not_begun(connection, runbook, grouping) if rest else ():
                joining, rest = rest[: max(most - number, 0)], rest[max(most - number, 0) :]
                if joining:
                    self._join_response(connection, response_id, joining, started_by)
                    given.append(response_id)
            for start in range(0, len(rest), most):
                chosen = rest[start : start + most]
                response_id = _response_id({name: rows[name].responses for name in chosen})
                started = ResponseStarted(
                    response=response_id, runbook=runbook, cases=tuple(chosen), started_by=started_by, grouping=grouping
                )
                self._begin(connection, started)
                given.append(response_id)
            return tuple(given)

    def response(self, response_id: str) -> ResponseRow | None:
        """One response; None when there is none of that id."""
        found = self._responses(responses.c.id == response_id)
        return found[0] if found else None

    def responses(self, status: ResponseStatus | None = None) -> tuple[ResponseRow, ...]:
        """All responses, or those of one status, in the order they were started."""
        return self._responses() if status is None else self._responses(_status == status)

    def next_attempt(self, response_id: str, reason: str | None = None, *, after: int | None = None) -> int:
        """Makes another run the current one and takes the leases of the one before away. The new run's attempt.

        `reason`: why the sweep does so, written to the system stream. `after`: the attempt to be replaced, so that two
        sweeps do not both start one.

        Raises:
            LeaseLost: The current attempt is not `after`.
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            row = require_live(connection, response_id)
            if after is not None and row.attempt != after:
                raise LeaseLost(f"{response_id} is at attempt {row.attempt}, not {after}: another run was started")
            now, attempt = self._now(), row.attempt + 1
            holder = leasing.holder_of(connection, response_id)
            if holder is not None:
                leasing.take_away(connection, holder, now)
            dispatch = {"response_id": response_id, "attempt": attempt, "flow_run": None, "starting_at": now}
            upsert(connection, dispatches, dispatch)
            if reason is not None:
                self._write(connection, SYSTEM_STREAM, Restarted(response=response_id, attempt=attempt, reason=reason))
            return attempt

    def set_flow_run(self, response_id: str, attempt: int, flow_run_id: str) -> None:
        """Notes which flow run was created for an attempt, and that its time to begin counts from now.

        A later attempt's note is left alone, and so is what was noted before.
        """
        place = and_(dispatches.c.response_id == response_id, dispatches.c.attempt == attempt)
        noted = {"flow_run": flow_run_id, "starting_at": self._now()}
        with self._database.writing() as connection:
            connection.execute(update(dispatches).where(place, dispatches.c.flow_run.is_(None)).values(noted))

    def take_over(
        self,
        response_id: str,
        attempt: int,
        flow_run: str,
        resources: Iterable[str],
        ttl_seconds: float,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        cases: Sequence[str] | None = None,
    ) -> Lease:
        """The run begins to act: it holds the response and all the resources, each under a higher epoch.

        Args:
            cases: those of the response, as they were read; None: whichever they are. No other joins from now on.

        Raises:
            Overtaken: others have joined since they were read: read them again; nothing is taken.
            LeaseLost: `lease-lost`: a later attempt is the current one. `lease-held`: another run holds the response
                or a resource, or the one before has not settled yet; nothing is taken.
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            row = require_live(connection, response_id)
            if row.attempt != attempt:
                raise LeaseLost(f"{response_id} is at attempt {row.attempt}, not {attempt}: another run has taken over")
            if cases is not None and row.cases != tuple(cases):
                raise Overtaken(f"{len(row.cases) - len(cases)} cases have joined {response_id} since it was read")
            now, holder = self._now(), leasing.new_holder(response_id, attempt)
            until = leasing.later(now, ttl_seconds)
            epochs = leasing.acquire(connection, (response_id, *resources), holder, now, until, settle_seconds)
            lease = Lease(response_id=response_id, attempt=attempt, holder=holder, epochs=epochs)
            started = RunStarted(attempt=attempt, epoch=lease.epoch, flow_run=flow_run)
            self._write(connection, response_stream(response_id), started)
            return lease

    def wait(
        self, response_id: str, phase: str, reason: str, look_again_at: datetime, *, lease: Lease | None = None
    ) -> None:
        """The response waits for the world until then; its leases are released.

        Raises:
            LeaseLost: `lease` is no longer the response's.
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            self._require(connection, lease)
            require_live(connection, response_id)
            waiting = Waiting(phase=phase, reason=reason, look_again_at=look_again_at)
            self._write(connection, response_stream(response_id), waiting)
            self._release_response(connection, response_id)

    def end_response(
        self, response_id: str, ended: ResponseEnded, close_cases: Mapping[str, str], *, lease: Lease | None = None
    ) -> bool:
        """Ends the response, closes the cases given with their reasons, lets the others go, releases its leases.

        A case with an active finding that no response has answered stays open, whatever was found before it came: it is
        for the next response.

        Returns:
            False, with nothing written, when it had ended before.

        Raises:
            LeaseLost: `lease` is no longer the response's.
        """
        with self._database.writing() as connection:
            if _response(connection, response_id).status == "ended":
                return False
            self._require(connection, lease)
            for case_id, reason in close_cases.items():
                if not self._unanswered_findings(connection, case_id):
                    self._close_case(connection, case_id, response_id, reason)
            self._write(connection, response_stream(response_id), ended)
            self._release_response(connection, response_id)
            return True

    def due(self, now: datetime) -> tuple[ResponseRow, ...]:
        """Waiting responses whose time to look again has come."""
        return self._responses(_status == "waiting", responses.c.look_again_at <= now)

    def answered(self, before: datetime) -> tuple[ResponseRow, ...]:
        """Responses still asleep over a question that was answered before then: their wake-up call was lost."""
        theirs = and_(approvals.c.response_id == responses.c.id, approvals.c.flow_run.is_not(None))
        open_question = select(approvals.c.digest).where(theirs, approvals.c.answer.is_(None)).exists()
        answer = select(func.max(approvals.c.answered_at)).where(theirs).scalar_subquery()
        return self._responses(_status == "asking", ~open_question, answer <= before)

    def unverified(self, before: datetime) -> tuple[ResponseRow, ...]:
        """Responses that ended `unverifiable` before then, and were the last to act on a case that is open and idle."""
        theirs = and_(cases.c.last_response_id == responses.c.id, cases.c.response_id.is_(None))
        idle = select(cases.c.id).where(theirs, cases.c.status == "open").exists()
        return self._responses(responses.c.result == VerdictKind.UNVERIFIABLE, responses.c.updated_at <= before, idle)

    def lapsed(self, now: datetime) -> tuple[str, ...]:
        """The ids of running responses that nobody holds any more: the lease ran out, or is gone."""
        held = and_(leases.c.holder.is_not(None), leases.c.expires_at > now)
        holder = select(leases.c.resource).where(leases.c.resource == responses.c.id, held).exists()
        return tuple(row.id for row in self._responses(_status == "running", ~holder))

    def _begin(self, connection: Connection, started: ResponseStarted) -> None:
        stream = response_stream(started.response)
        self._write(connection, stream, self._sign(stream, started))

    def _join_response(self, connection: Connection, response_id: str, joining: Sequence[str], joined_by: str) -> None:
        stream = response_stream(response_id)
        joined = CasesJoined(response=response_id, cases=tuple(joining), joined_by=joined_by)
        self._write(connection, stream, self._sign(stream, joined))

    def _release_response(self, connection: Connection, response_id: str) -> None:
        holder = leasing.holder_of(connection, response_id)
        if holder is not None:
            leasing.release(connection, holder)

    def _responses(self, *conditions: ColumnElement[bool]) -> tuple[ResponseRow, ...]:
        query = _ALL.where(*conditions).order_by(responses.c.started_at, responses.c.id)
        with self._database.reading() as connection:
            return tuple(_read_response(row) for row in connection.execute(query).mappings())


_IS_STARTING = and_(dispatches.c.attempt > responses.c.attempt, responses.c.status != "ended")
_status = case((_IS_STARTING, "starting"), else_=responses.c.status)
_COLUMNS: tuple[ColumnElement[Any], ...] = (
    responses.c.id,
    responses.c.runbook,
    responses.c.purpose,
    responses.c.cases,
    _status.label("status"),
    case((_IS_STARTING, dispatches.c.attempt), else_=responses.c.attempt).label("attempt"),
    case((_IS_STARTING, dispatches.c.flow_run), else_=responses.c.flow_run).label("flow_run"),
    dispatches.c.starting_at,
    responses.c.waiting_for,
    responses.c.waiting_phase,
    responses.c.look_again_at,
    responses.c.result,
    responses.c.started_at,
    responses.c.updated_at,
)
_ALL = select(*_COLUMNS).select_from(responses.outerjoin(dispatches, dispatches.c.response_id == responses.c.id))
"""Every response with the newest run asked for: until that run begins, the response is starting."""


def _idle_cases(connection: Connection, case_ids: Sequence[str]) -> Iterator[Row[Any]]:
    idle = (cases.c.status == "open", cases.c.response_id.is_(None))
    yield from connection.execute(select(cases).where(cases.c.id.in_(case_ids), *idle))


def _not_begun(connection: Connection, runbook: str, grouping: str) -> list[tuple[str, int]]:
    """The responses that others may still join, oldest first, with how many cases they have."""
    alike = (responses.c.runbook == runbook, responses.c.grouping == grouping, responses.c.purpose == "respond")
    query = select(responses.c.id, responses.c.cases).where(responses.c.status == "new", *alike)
    rows = connection.execute(query.order_by(responses.c.started_at, responses.c.id))
    return [(row.id, len(json.loads(row.cases))) for row in rows]


def _response(connection: Connection, response_id: str) -> ResponseRow:
    row = connection.execute(_ALL.where(responses.c.id == response_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no response {response_id}", code="no-such-response")
    return _read_response(row)


def require_live(connection: Connection, response_id: str) -> ResponseRow:
    """The response, unless it has ended.

    Raises:
        NotFound: There is none of that id.
        Refused: It has ended.
    """
    row = _response(connection, response_id)
    if row.status == "ended":
        raise Refused(f"{response_id} has ended: {row.result}", code="response-ended")
    return row


def _read_response(row: RowMapping) -> ResponseRow:
    return ResponseRow.model_validate({**row, "cases": tuple(json.loads(row["cases"]))})


def _response_id(earlier: Mapping[str, int]) -> str:
    """Follows from the cases and how many responses each had before, so that a replay makes the same one."""
    text = "\n".join(f"{case_id} {count}" for case_id, count in sorted(earlier.items()))
    return f"resp-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
