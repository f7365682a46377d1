"""The inbox: every delivery as it arrived, once, until something has been decided about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Row, Select, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from runbooks.case import SYSTEM_STREAM
from runbooks.errors import NotFound
from runbooks.records import Missed, Replayed, SetAsideRecord
from tasks.gateways.ledger.database import portions
from tasks.gateways.ledger.journal import Journal
from tasks.gateways.ledger.rows import Delivery, DeliveryState, Receipt
from tasks.gateways.ledger.tables import inbox

Incoming = tuple[str, str, bytes]
"""Key, source and body of a delivery."""


class Inbox(Journal):
    """Deliveries come in at one end and are settled at the other; none is ever deleted."""

    def receive(self, key: str, source: str, body: bytes) -> Receipt:
        """Keeps a delivery, on disk before this returns. The same key again gives the same receipt, not new.

        Raises:
            LedgerError: It could not be kept.
        """
        return self.receive_all([(key, source, body)])[0]

    def receive_all(self, batch: Sequence[Incoming]) -> tuple[Receipt, ...]:
        """Keeps many deliveries in one commit, on disk before this returns; each as `receive` does, in their order.

        Raises:
            LedgerError: None of them could be kept.
        """
        now = self._now()
        rows = [_row(*incoming, now, "pending") for incoming in batch]
        with self._database.writing(in_turn=False) as connection:
            # Sorted, so that two batches with keys in common wait for one another instead of each for the other.
            kept = _keep(connection, sorted(rows, key=itemgetter("key")))
        receipts: list[Receipt] = []
        for row in rows:
            receipts.append(Receipt(id=row["id"], new=row["id"] in kept))
            kept.discard(row["id"])
        return tuple(receipts)

    def receive_set_aside(self, key: str, source: str, body: bytes, code: str, reason: str) -> Receipt:
        """Keeps a delivery that cannot be read, for a person to look at, and says so in the system stream."""
        row = _row(key, source, body, self._now(), "set-aside")
        row |= {"settled_at": row["received_at"], "code": code, "reason": reason}
        with self._database.writing() as connection:
            new = bool(_keep(connection, [row]))
            if new:
                self._write(connection, SYSTEM_STREAM, _set_aside(row["id"], source, code, reason))
        return Receipt(id=row["id"], new=new)

    def receive_missed(self, key: str, source: str, arn: str, body: bytes) -> Receipt:
        """Keeps a finding that had to be fetched, and says in the system stream that no delivery brought it."""
        row = _row(key, source, body, self._now(), "pending")
        with self._database.writing() as connection:
            new = bool(_keep(connection, [row]))
            if new:
                self._write(connection, SYSTEM_STREAM, Missed(arn=arn, delivery=row["id"]))
        return Receipt(id=row["id"], new=new)

    def pending(self, limit: int = 100) -> tuple[Delivery, ...]:
        """What nothing was decided about, oldest first."""
        return self._deliveries(_ALL.where(inbox.c.state == "pending").order_by(inbox.c.position).limit(limit))

    def deliveries(self, state: DeliveryState | None = None, limit: int = 100) -> tuple[Delivery, ...]:
        """The newest deliveries, newest first."""
        query = _ALL if state is None else _ALL.where(inbox.c.state == state)
        return self._deliveries(query.order_by(inbox.c.position.desc()).limit(limit))

    def delivery(self, delivery_id: str) -> Delivery | None:
        """One delivery; None when there is none of that id."""
        found = self._deliveries(_ALL.where(inbox.c.id == delivery_id))
        return found[0] if found else None

    def settle(
        self, delivery_id: str, state: DeliveryState = "handled", code: str | None = None, reason: str | None = None
    ) -> bool:
        """Says what became of a pending delivery; set aside, it is written to the system stream too.

        Returns:
            False, with nothing changed, when it had been settled before.

        Raises:
            NotFound: There is no such delivery.
        """
        with self._database.writing() as connection:
            row = connection.execute(select(inbox.c.source, inbox.c.state).where(inbox.c.id == delivery_id)).first()
            if row is None:
                raise NotFound(f"there is no delivery {delivery_id}", code="no-such-delivery")
            if row.state != "pending":
                return False
            settled = {"state": state, "code": code, "reason": reason, "settled_at": self._now()}
            connection.execute(update(inbox).where(inbox.c.id == delivery_id).values(settled))
            if state == "set-aside":
                self._write(connection, SYSTEM_STREAM, _set_aside(delivery_id, row.source, code or "", reason or ""))
            return True

    def replay(self, delivery_ids: Iterable[str], by: str) -> tuple[str, ...]:
        """Lets deliveries that were settled wait to be decided about once more, and says so in the system stream.

        Returns:
            Those that do; one that waits already is left as it is.
        """
        anew = {"state": "pending", "settled_at": None, "code": None, "reason": None}
        settled: list[str] = []
        with self._database.writing() as connection:
            for ids in portions(delivery_ids):
                query = select(inbox.c.id, inbox.c.code).where(inbox.c.id.in_(ids), inbox.c.state != "pending")
                rows = connection.execute(query.order_by(inbox.c.position)).all()
                connection.execute(update(inbox).where(inbox.c.id.in_([row.id for row in rows])).values(anew))
                records = [Replayed(delivery=row.id, code=row.code or "", by=by) for row in rows]
                self._write(connection, SYSTEM_STREAM, *records)
                settled += [row.id for row in rows]
        return tuple(settled)

    def set_aside(self, code: str | None = None, kind: str | None = None) -> tuple[str, ...]:
        """The ids of what is set aside, oldest first: all, or what is so with this code, or in a part of this kind."""
        wanted = [inbox.c.state == "set-aside"]
        if code is not None:
            wanted.append(inbox.c.code == code)
        if kind is not None:
            begins = inbox.c.reason.startswith(f"{kind}: ", autoescape=True)
            wanted.append(or_(begins, inbox.c.reason.contains(f"; {kind}: ", autoescape=True)))
        with self._database.reading() as connection:
            return tuple(connection.scalars(select(inbox.c.id).where(*wanted).order_by(inbox.c.position)))

    def _deliveries(self, query: Select[Any]) -> tuple[Delivery, ...]:
        with self._database.reading() as connection:
            return tuple(_read_delivery(row) for row in connection.execute(query))


_ALL = select(*(column for column in inbox.c if column.name != "position"))


def _keep(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """The ids of those that were not there before."""
    return set(connection.scalars(_keeping(connection.dialect, tuple(rows[0])), rows)) if rows else set()


@lru_cache(maxsize=10)
def _keeping(dialect: Dialect, columns: tuple[str, ...]) -> Any:
    """Made once: SQLAlchemy 2.0 compiles an ON CONFLICT anew each time, which takes longer than to carry it out."""
    once = (postgresql if dialect.name == "postgresql" else sqlite).insert(inbox)
    statement = once.on_conflict_do_nothing(index_elements=["key"]).returning(inbox.c.id)
    return statement.compile(dialect=dialect, column_keys=columns, for_executemany=True)


def _row(key: str, source: str, body: bytes, now: datetime, state: DeliveryState) -> dict[str, Any]:
    received = {"received_at": now, "state": state}
    return {"id": _delivery_id(key), "key": key, "source": source, "body": body, **received}


def _delivery_id(key: str) -> str:
    return f"delivery-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def _set_aside(delivery_id: str, source: str, code: str, reason: str) -> SetAsideRecord:
    return SetAsideRecord(delivery=delivery_id, code=code, what=f"a delivery from {source}", reason=reason)


def _read_delivery(row: Row[Any]) -> Delivery:
    return Delivery.model_validate(row._asdict())
