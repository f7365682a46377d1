"""Settling: what became of many deliveries, in one commit."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select, update

from runbooks.case import SYSTEM_STREAM
from runbooks.records import SetAsideRecord
from tasks.gateways.ledger.database import portions
from tasks.gateways.ledger.inbox import Inbox
from tasks.gateways.ledger.rows import Settlement
from tasks.gateways.ledger.tables import inbox


class Settling(Inbox):
    """An inbox whose deliveries are settled by the hundred."""

    def settle_all(self, settlements: Iterable[Settlement]) -> int:
        """Says what became of pending deliveries; those set aside are written to the system stream too.

        Returns:
            How many there were; one that had been settled before is left as it is.
        """
        wanted = {each.delivery: each for each in settlements}
        if not wanted:
            return 0
        with self._database.writing() as connection:
            query = select(inbox.c.id, inbox.c.source).where(inbox.c.state == "pending")
            found = [row for ids in portions(wanted) for row in connection.execute(query.where(inbox.c.id.in_(ids)))]
            if not found:
                return 0
            chosen = [wanted[row.id] for row in found]
            statement = update(inbox).where(inbox.c.id == bindparam("delivery"))
            rows = [
                {"delivery": each.delivery, "state": each.state, "code": each.code, "reason": each.reason}
                for each in chosen
            ]
            connection.execute(statement.values(settled_at=self._now()), rows)
            aside = {row.id: _set_aside(wanted[row.id], row.source) for row in found}
            records = [aside[each.delivery] for each in chosen if each.state == "set-aside"]
            self._write(connection, SYSTEM_STREAM, *records)
            return len(chosen)


def _set_aside(each: Settlement, source: str) -> SetAsideRecord:
    what = f"a delivery from {source}"
    return SetAsideRecord(delivery=each.delivery, code=each.code or "", what=what, reason=each.reason or "")
