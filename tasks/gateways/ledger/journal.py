"""The journal: entries in streams, each sealed behind the one before, and the tables that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from runbooks.chain import GENESIS, Entry, Head, Problem, canonical, read_body, seal, verify_stream
from runbooks.records import Record
from tasks.gateways.ledger import leasing, tables
from tasks.gateways.ledger.database import Database, upsert
from tasks.gateways.ledger.projection import project
from tasks.gateways.ledger.rows import Lease, Verification

_BATCH = 500


class Journal:
    """Entries, and nothing that is not one: what every other part of the ledger writes through."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def append(self, stream: str, *records: Record, lease: Lease | None = None) -> tuple[Entry, ...]:
        """Writes the records behind the stream's last entry, and everything that follows from them, in one commit.

        Raises:
            LeaseLost: `lease` is another's by now; nothing was written.
            LedgerError: It cannot be written; nothing was.
            BadInput: A record holds what canonical JSON cannot.
        """
        with self._database.writing() as connection:
            self._require(connection, lease)
            return self._write(connection, stream, *records)

    def entries(self, stream: str) -> tuple[Entry, ...]:
        """The stream from its first entry to its last; empty when there is none of that name."""
        with self._database.reading() as connection:
            rows = connection.execute(
                _ENTRIES.where(tables.entries.c.stream == stream).order_by(tables.entries.c.sequence)
            )
            return tuple(_read_entry(row) for row in rows)

    def streams(self, prefix: str = "") -> tuple[str, ...]:
        """The names of all streams that begin with `prefix`, sorted."""
        name = tables.streams.c.stream
        with self._database.reading() as connection:
            names = connection.scalars(select(name).where(name.startswith(prefix, autoescape=True)))
            return tuple(sorted(names))

    def verify(self) -> Verification:
        """Recomputes every hash of every stream, in memory that does not grow with the ledger."""
        counted = 0
        problems: list[Problem] = []

        def count(rows: Iterator[Row[Any]]) -> Iterator[Entry]:
            nonlocal counted
            for row in rows:
                counted += 1
                yield _read_entry(row)

        with self._database.reading() as connection:
            found = 0
            for (stream, sequence, digest), rows in groupby(
                _entries_with_heads(connection), key=lambda row: tuple(row[-3:])
            ):
                found += 1
                head = None if sequence is None else (sequence, digest)
                remaining = count(rows)
                problems += _problems(stream, verify_stream(remaining, head))
                for _ in remaining:
                    pass
            for stream, *head in connection.execute(_HEADS_WITHOUT_ENTRIES):
                found += 1
                problems += _problems(stream, verify_stream((), (head[0], head[1])))
        return Verification(entries=counted, streams=found, problems=tuple(problems))

    def rebuild(self) -> int:
        """Makes cases, findings, responses and approvals anew from the entries. The number of entries read.

        The heads are left alone: a head made from the entries would vouch for whatever stands there now.
        """
        position, counted = 0, 0
        with self._database.writing() as connection:
            for table in tables.PROJECTIONS:
                connection.execute(delete(table))
            while rows := connection.execute(_after(position)).all():
                for row in rows:
                    project(connection, _read_entry(row))
                position, counted = rows[-1].position, counted + len(rows)
        return counted

    def probe(self) -> None:
        """Sees that the ledger can be read and that this process may write.

        Raises:
            LedgerError: It cannot.
        """
        with self._database.writing() as connection:
            connection.execute(select(func.count()).select_from(select(tables.streams).limit(1).subquery()))

    def close(self) -> None:
        """Closes the connections of this process."""
        self._database.close()

    def _write(self, connection: Connection, stream: str, *records: Record) -> tuple[Entry, ...]:
        """Seals, stores and projects within the caller's transaction."""
        now = self._now()
        sequence, previous = _head(connection, stream)
        written: list[Entry] = []
        for record in records:
            entry = seal(stream, sequence + 1, now, record, previous)
            connection.execute(tables.entries.insert(), _values(entry))
            project(connection, entry)
            sequence, previous = entry.sequence, entry.hash
            written.append(entry)
        if written:
            upsert(connection, tables.streams, {"stream": stream, "sequence": sequence, "hash": previous})
        return tuple(written)

    def _require(self, connection: Connection, lease: Lease | None) -> None:
        """A run that was replaced writes nothing more."""
        if lease is not None:
            leasing.require(connection, lease)

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


_COLUMNS = tuple(column for column in tables.entries.c if column.name != "position")
_ENTRIES = select(*_COLUMNS)
_HEADS_WITHOUT_ENTRIES = (
    select(tables.streams.c.stream, tables.streams.c.sequence, tables.streams.c.hash)
    .where(~select(tables.entries.c.position).where(tables.entries.c.stream == tables.streams.c.stream).exists())
    .order_by(tables.streams.c.stream)
)


def _head(connection: Connection, stream: str) -> Head:
    heads = tables.streams
    row = connection.execute(select(heads.c.sequence, heads.c.hash).where(heads.c.stream == stream)).first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def _values(entry: Entry) -> dict[str, Any]:
    return {**entry.model_dump(exclude={"body"}), "body": canonical(entry.body).decode()}


def _read_entry(row: Row[Any]) -> Entry:
    """The entry as stored, valid or not: verification has to see the invalid ones too."""
    try:
        body = read_body(row.body)
    except ValueError:
        body = {"unreadable": row.body}
    return Entry.model_construct(
        stream=row.stream,
        sequence=row.sequence,
        kind=row.kind,
        at=row.at,
        body=body,
        previous=row.previous,
        hash=row.hash,
    )


def _after(position: int) -> Any:
    table = tables.entries
    return (
        select(table.c.position, *_COLUMNS).where(table.c.position > position).order_by(table.c.position).limit(_BATCH)
    )


def _entries_with_heads(connection: Connection) -> Iterator[Row[Any]]:
    """All entries by stream and sequence, a batch in memory at a time; the last three columns: stream and head."""
    entry, head = tables.entries, tables.streams
    query = (
        select(*_COLUMNS, entry.c.stream.label("of"), head.c.sequence.label("head"), head.c.hash.label("head_hash"))
        .select_from(entry.outerjoin(head, entry.c.stream == head.c.stream))
        .order_by(entry.c.stream, entry.c.sequence)
        .execution_options(yield_per=_BATCH)
    )
    yield from connection.execute(query)


def _problems(stream: str, problem: Problem | None) -> tuple[Problem, ...]:
    return () if problem is None else (problem.model_copy(update={"stream": stream}),)
