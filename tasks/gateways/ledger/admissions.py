"""Admissions: which plans the limits have let begin, and what is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from runbooks.case import response_stream
from runbooks.limits import HOUR_SECONDS
from runbooks.plan import Extent
from runbooks.records import Admitted
from tasks.gateways.ledger.responses import Responses, require_live
from tasks.gateways.ledger.rows import AdmissionRow, Lease
from tasks.gateways.ledger.tables import admissions

Judge = Callable[[Sequence[Extent], Sequence[Extent]], str | None]
"""Given what is under way, and what has begun within the last hour: why nothing more may begin, None where it may."""


class Admissions(Responses):
    """Counting and letting in are one transaction: two plans that begin at once cannot both slip under a limit."""

    def admit(self, response_id: str, admitted: Admitted, judge: Judge, *, lease: Lease | None = None) -> str | None:
        """Lets a plan begin on these cases, unless `judge` says no. What has been let in is not counted again.

        Returns:
            Why it may not begin, with nothing written; None when it may.

        Raises:
            LeaseLost: `lease` is no longer the response's.
            Refused: The response has ended.
        """
        with self._database.writing() as connection:
            self._require(connection, lease)
            require_live(connection, response_id)
            known = {row.extent.case for row in _rows(connection, admissions.c.digest == admitted.digest)}
            if known >= {each.case for each in admitted.extents}:
                return None
            under_way = _rows(connection, admissions.c.ended_at.is_(None))
            last_hour = _rows(connection, admissions.c.admitted_at > self._now() - timedelta(seconds=HOUR_SECONDS))
            reason = judge([row.extent for row in under_way], [row.extent for row in last_hour])
            if reason is None:
                self._write(connection, response_stream(response_id), admitted)
            return reason

    def admissions_since(self, moment: datetime) -> tuple[AdmissionRow, ...]:
        """What has been let in after then, ended or not, oldest first."""
        with self._database.reading() as connection:
            return _rows(connection, admissions.c.admitted_at > moment)

    def under_way(self) -> tuple[AdmissionRow, ...]:
        """What has been let in and has not ended, oldest first."""
        with self._database.reading() as connection:
            return _rows(connection, admissions.c.ended_at.is_(None))


def _rows(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[AdmissionRow, ...]:
    query = select(admissions).where(*conditions).order_by(admissions.c.admitted_at, admissions.c.case_id)
    return tuple(_read(row) for row in connection.execute(query))


def _read(row: Row[Any]) -> AdmissionRow:
    values = {name: value for name, value in row._asdict().items() if name in AdmissionRow.model_fields}
    return AdmissionRow.model_validate({**values, "extent": Extent.model_validate_json(row.extent)})
