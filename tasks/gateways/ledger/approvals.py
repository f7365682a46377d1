"""Approvals: each question about a plan, answered once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from runbooks.case import response_stream
from runbooks.records import ApprovalAsked, Decision
from tasks.gateways.ledger import tables
from tasks.gateways.ledger.responses import Responses, require_live
from tasks.gateways.ledger.rows import ApprovalRow, Lease


class Approvals(Responses):
    """Questions and decisions. The answers have been verified by whoever writes them down here."""

    def ask(self, response_id: str, asked: ApprovalAsked, *, lease: Lease | None = None) -> ApprovalRow:
        """Writes the question down and lets go of the leases: the response sleeps until someone answers.

        Asked again by a run that starts over, the question keeps its first expiry; one that has been answered, or whose
        plan has been decided meanwhile, is not asked again: the row returned carries the answer. Any other question
        of the response that is open is superseded.

        Raises:
            LeaseLost: `lease` is no longer the response's.
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            self._require(connection, lease)
            require_live(connection, response_id)
            settled, before = _settled(connection, asked.digest), _approval(connection, asked.digest, asked.attempt)
            if settled is not None:
                return settled
            if before is not None and before.answer is not None:
                return before
            if before is not None and before.expires_at is not None:
                asked = asked.model_copy(update={"expires_at": before.expires_at})
            self._write(connection, response_stream(response_id), asked)
            self._release_response(connection, response_id)
            query = _ALL.where(tables.approvals.c.digest == asked.digest, tables.approvals.c.attempt == asked.attempt)
            return _read_approval(connection.execute(query).one())

    def decide(self, response_id: str, decision: Decision) -> bool:
        """Writes the answer down, once for a digest and attempt.

        Returns:
            False, with nothing written, when that question has been answered or superseded.

        Raises:
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            require_live(connection, response_id)
            before = _approval(connection, decision.digest, decision.attempt)
            if before is not None and before.answer is not None:
                return False
            self._write(connection, response_stream(response_id), decision)
            return True

    def approval(self, digest: str, attempt: int) -> ApprovalRow | None:
        """One question with its answer; None when it was neither asked nor decided."""
        with self._database.reading() as connection:
            return _approval(connection, digest, attempt)

    def approvals(self, response_id: str | None = None) -> tuple[ApprovalRow, ...]:
        """A response's questions in the order they were asked; without an id, every open question."""
        table = tables.approvals
        theirs = table.c.answer.is_(None) if response_id is None else table.c.response_id == response_id
        return self._approvals(_ALL.where(theirs))

    def expired_approvals(self, now: datetime) -> tuple[ApprovalRow, ...]:
        """Open questions whose time is over."""
        table = tables.approvals
        return self._approvals(_ALL.where(table.c.answer.is_(None), table.c.expires_at <= now))

    def _approvals(self, query: Select[Any]) -> tuple[ApprovalRow, ...]:
        table = tables.approvals
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.asked_at, table.c.digest, table.c.attempt))
            return tuple(_read_approval(row) for row in rows)


_ALL = select(tables.approvals)


def _approval(connection: Connection, digest: str, attempt: int) -> ApprovalRow | None:
    table = tables.approvals
    row = connection.execute(_ALL.where(table.c.digest == digest, table.c.attempt == attempt)).first()
    return None if row is None else _read_approval(row)


def _settled(connection: Connection, digest: str) -> ApprovalRow | None:
    """The question about the plan that was decided, under whichever number."""
    table = tables.approvals
    decided = table.c.answer.in_(("approved", "rejected", "expired"))
    row = connection.execute(_ALL.where(table.c.digest == digest, decided)).first()
    return None if row is None else _read_approval(row)


def _read_approval(row: Row[Any]) -> ApprovalRow:
    return ApprovalRow.model_validate(row._asdict())
