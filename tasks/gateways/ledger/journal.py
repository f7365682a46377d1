"""The journal: entries in streams, each sealed behind the one before, and the tables that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, func, select

from runbooks.chain import GENESIS, Entry, Head, read_body, seal
from runbooks.checkpoint import Anchored, Place
from runbooks.errors import Overtaken
from runbooks.records import Record
from tasks.gateways.ledger import auditing, leasing, tables
from tasks.gateways.ledger.database import Database, upsert
from tasks.gateways.ledger.projection import project
from tasks.gateways.ledger.rows import Lease, Verification

_BATCH = 500

Known = dict[int, tuple[tuple[Any, ...], Entry]]
"""Sequence -> an entry as it was stored, and as it was read."""

Sign = Callable[[str, Any], Any]
"""Gives the record, as it is to stand in a stream, with its signature."""


def unsigned(stream: str, record: Any) -> Any:
    """The record as it is: nothing rests on what such a ledger begins."""
    return record


class Stretch(NamedTuple):
    """Entries that stand behind one another."""

    places: tuple[Place, ...]
    heads: Mapping[str, Head] | None
    """The head of every stream; None where more entries stand behind these."""


class Journal:
    """Entries, and nothing that is not one: what every other part of the ledger writes through."""

    def __init__(self, database: Database, clock: Callable[[], datetime], sign: Sign = unsigned) -> None:
        self._database = database
        self._clock = clock
        self._sign = sign

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

    def append_all(self, records: Mapping[str, Sequence[Record]], *, lease: Lease | None = None) -> None:
        """Writes to several streams in one commit, to each as `append` does.

        Raises:
            LeaseLost: `lease` is another's by now; nothing was written.
        """
        with self._database.writing() as connection:
            self._require(connection, lease)
            for stream, each in records.items():
                self._write(connection, stream, *each)

    def append_after(self, seen: Mapping[str, int], records: Mapping[str, Sequence[Record]]) -> None:
        """Writes to several streams in one commit, if none has grown since it was read.

        Args:
            seen: every stream that was read to decide this, with the sequence of its last entry, 0 of an empty one.
            records: what to write, by stream.

        Raises:
            Overtaken: one of them has another end by now: read it again; nothing was written.
        """
        with self._database.writing() as connection:
            for stream, sequence in seen.items():
                if (head := _head(connection, stream)[0]) != sequence:
                    raise Overtaken(f"{stream} was read up to entry {sequence}, and ends with {head}")
            for stream, each in records.items():
                self._write(connection, stream, *each)

    def append_once(self, stream: str, record: Record) -> bool:
        """Writes the record unless the stream has one that says the same; False, with nothing written, when it has."""
        table = tables.entries
        alike = _ENTRIES.where(table.c.stream == stream, table.c.kind == record.kind)
        with self._database.writing() as connection:
            if any(_read_entry(row).record() == record for row in connection.execute(alike)):
                return False
            self._write(connection, stream, record)
            return True

    def entries(self, stream: str, known: Known | None = None) -> tuple[Entry, ...]:
        """The stream from its first entry to its last; empty when there is none of that name.

        Args:
            known: what an earlier reading of the stream has left here. An entry that is stored as it was then is given
                as the same object.
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                _ENTRIES.where(tables.entries.c.stream == stream).order_by(tables.entries.c.sequence)
            )
            return tuple(_known_entry(row, {} if known is None else known) for row in rows)

    def entries_of(self, stream: str, *kinds: str) -> tuple[Entry, ...]:
        """The stream's entries of these kinds, in order."""
        table = tables.entries
        query = _ENTRIES.where(table.c.stream == stream, table.c.kind.in_(kinds)).order_by(table.c.sequence)
        with self._database.reading() as connection:
            return tuple(_read_entry(row) for row in connection.execute(query))

    def last(self, stream: str) -> Entry | None:
        """The stream's newest entry; None when there is none of that name."""
        newest = _ENTRIES.where(tables.entries.c.stream == stream).order_by(tables.entries.c.sequence.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(newest).first()
            return None if row is None else _read_entry(row)

    def newest(self, prefix: str, *kinds: str) -> tuple[Entry, ...]:
        """The newest entry of every stream that begins with `prefix`, where it is of one of these kinds."""
        table, streams = tables.entries, tables.streams
        newest = (table.c.stream == streams.c.stream) & (table.c.sequence == streams.c.sequence)
        of_these = (streams.c.stream.startswith(prefix, autoescape=True), table.c.kind.in_(kinds))
        query = select(*_COLUMNS).select_from(streams.join(table, newest)).where(*of_these).order_by(table.c.position)
        with self._database.reading() as connection:
            return tuple(_read_entry(row) for row in connection.execute(query))

    def head(self, stream: str) -> int:
        """The number of the stream's last entry, as it is kept apart from the entries; 0 where nothing was written.

        An entry that should be there and is not has been cut off.
        """
        with self._database.reading() as connection:
            return _head(connection, stream)[0]

    def streams(self, prefix: str = "") -> tuple[str, ...]:
        """The names of all streams that begin with `prefix`, sorted."""
        name = tables.streams.c.stream
        with self._database.reading() as connection:
            names = connection.scalars(select(name).where(name.startswith(prefix, autoescape=True)))
            return tuple(sorted(names))

    def verify(self, anchored: Iterable[Anchored] = ()) -> Verification:
        """Recomputes every hash and compares every checkpoint, in memory that grows with the streams alone.

        Args:
            anchored: checkpoints that can be trusted, by size, each once; they were made before this is called.
        """
        with auditing.snapshot(self._database) as connection:
            return auditing.verify(connection, anchored)

    def behind(self, last: Place | None, most: int) -> int:
        """How many entries stand behind `last`; no more than `most` are counted.

        Raises:
            LedgerError: `last` is not where it was: the ledger is not the one it was (`ledger-forked`).
        """
        with self._database.reading() as connection:
            auditing.require(connection, last)
            some = select(tables.entries.c.position).where(tables.entries.c.position > _position(last)).limit(most)
            return connection.scalar(select(func.count()).select_from(some.subquery())) or 0

    def stretch(self, last: Place | None, most: int) -> Stretch:
        """The entries behind `last`, at most so many, and the heads of all streams if there are no more.

        Raises:
            LedgerError: `last` is not where it was: the ledger is not the one it was (`ledger-forked`).
        """
        with auditing.snapshot(self._database) as connection:
            auditing.require(connection, last)
            found = tuple(auditing.places(connection, _position(last), most=most + 1))
            heads = auditing.read_heads(connection) if len(found) <= most else None
        return Stretch(found[:most], heads)

    def places(self, until: int) -> tuple[Place, ...]:
        """Where every entry stands, up to a position."""
        with auditing.snapshot(self._database) as connection:
            return tuple(auditing.places(connection, 0, until=until))

    def rebuild(self) -> int:
        """Makes cases, findings, responses, approvals and admissions anew from the entries. The number of entries read.

        The heads are left alone: a head made from the entries would vouch for whatever stands there now.
        """
        with self._database.writing() as connection:
            return remake(connection)

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
        stored: list[dict[str, Any]] = []
        for record in records:
            entry, body = seal(stream, sequence + 1, now, record, previous)
            sequence, previous = entry.sequence, entry.hash
            written.append(entry)
            stored.append({**entry.model_dump(exclude={"body"}), "body": body})
        if written:
            connection.execute(tables.entries.insert(), stored)
            upsert(connection, tables.streams, {"stream": stream, "sequence": sequence, "hash": previous})
        for entry, record in zip(written, records, strict=True):
            project(connection, entry, record)
        return tuple(written)

    def _require(self, connection: Connection, lease: Lease | None) -> None:
        """A run that was replaced writes nothing more."""
        if lease is not None:
            leasing.require(connection, lease)

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


def remake(connection: Connection) -> int:
    """Empties the tables that follow from the entries, and fills them from there. The number of entries read."""
    position, counted = 0, 0
    for table in tables.PROJECTIONS:
        connection.execute(delete(table))
    while rows := connection.execute(_after(position)).all():
        for row in rows:
            entry = _read_entry(row)
            project(connection, entry, entry.record())
        position, counted = rows[-1].position, counted + len(rows)
    return counted


_COLUMNS = tuple(column for column in tables.entries.c if column.name != "position")
_ENTRIES = select(*_COLUMNS)


_HEAD = select(tables.streams.c.sequence, tables.streams.c.hash).where(tables.streams.c.stream == bindparam("name"))


def _head(connection: Connection, stream: str) -> Head:
    row = connection.execute(_HEAD, {"name": stream}).first()
    return (row.sequence, row.hash) if row else (0, GENESIS)


def _known_entry(row: Row[Any], known: Known) -> Entry:
    stored = tuple(row)
    before = known.get(row.sequence)
    if before is None or before[0] != stored:
        before = known[row.sequence] = (stored, _read_entry(row))
    return before[1]


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


def _position(place: Place | None) -> int:
    return 0 if place is None else place.position
