"""Reading every entry as it is stored, in the order in which they were written, from one view that does not move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, case, func, or_, select, text, type_coerce

from runbooks.audit import Audit
from runbooks.chain import Head, Problem, Stored, verify_stream
from runbooks.checkpoint import Anchored, Place
from runbooks.errors import LedgerError
from runbooks.tampering import first_problems
from tasks.gateways.ledger import tables
from tasks.gateways.ledger.database import Database
from tasks.gateways.ledger.rows import Verification

_BATCH = 2000
_entries, _heads = tables.entries.c, tables.streams.c


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A transaction that sees the ledger as it was at its beginning, and all that is stored in it, text or not."""
    with database.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            yield connection
            return
        raw: Any = connection.connection.driver_connection
        raw.text_factory = _lenient
        try:
            yield connection
        finally:
            raw.text_factory = str


def verify(connection: Connection, anchored: Iterable[Anchored]) -> Verification:
    """Looks at every entry once; at the streams that are not whole once more, to tell what was done to them."""
    audit = Audit(anchored)
    everything = _stored(connection).order_by(_entries.position).execution_options(yield_per=_BATCH)
    with connection.execute(everything) as rows:
        for row in rows:
            audit.take(Stored._make(row))
    audit.end()
    heads = read_heads(connection)
    streams = {*audit.broken, *audit.heads, *heads}
    bad = {stream for stream in streams if stream in audit.broken or audit.heads.get(stream) != heads.get(stream)}
    chains = {stream: _chain_problem(connection, stream, heads.get(stream)) for stream in bad}
    return Verification(
        entries=audit.entries,
        streams=len(streams),
        problems=first_problems(audit, chains, _Records(connection)),
        checkpoints=audit.checkpoints,
        anchored=audit.agreed.size if audit.agreed else 0,
        anchored_at=audit.agreed.at if audit.agreed else None,
        unanchored_since=audit.after[0] if audit.after else None,
        checkpoint_problems=tuple(audit.problems),
    )


def places(connection: Connection, after: int, *, until: int | None = None, most: int | None = None) -> Iterator[Place]:
    """Which entries stand behind position `after`, in order."""
    query = select(_entries.position, _entries.stream, _entries.sequence, _entries.hash).where(
        _entries.position > after
    )
    if until is not None:
        query = query.where(_entries.position <= until)
    query = query.order_by(_entries.position).limit(most).execution_options(yield_per=_BATCH)
    return map(Place._make, connection.execute(query))


def require(connection: Connection, place: Place | None) -> None:
    """Sees that the entry still stands where it stood.

    Raises:
        LedgerError: It does not (`ledger-forked`).
    """
    if place is None:
        return
    there = connection.scalar(select(_entries.hash).where(_entries.position == place.position))
    if there != place.hash:
        raise LedgerError(
            f"{place.stream} entry {place.sequence} was anchored at position {place.position}, and is not there: "
            "the ledger was rolled back or changed, and is anchored no further; see runbooks audit verify",
            code="ledger-forked",
        )


def read_heads(connection: Connection) -> dict[str, Head]:
    """The head of every stream, as stored."""
    rows = connection.execute(select(_heads.stream, _heads.sequence, _heads.hash))
    return {stream: (sequence, digest) for stream, sequence, digest in rows}


class _Records:
    """Single entries. There is no index for some of these questions: they are asked only once something is wrong."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def numbered(self, stream: str, sequence: int) -> Stored | None:
        row = self._connection.execute(
            _stored(self._connection).where(_entries.stream == stream, _entries.sequence == sequence)
        ).first()
        return None if row is None else Stored._make(row)

    def last_sequence(self, stream: str) -> int:
        last = select(func.max(_entries.sequence)).where(_entries.stream == stream)
        return self._connection.scalar(last) or 0

    def has_hash(self, digest: str) -> bool:
        query = select(_entries.position).where(_entries.hash == digest).limit(1)
        return self._connection.execute(query).first() is not None

    def has_twin(self, entry: Stored) -> bool:
        says_the_same = and_(_entries.stream == entry.stream, _entries.kind == entry.kind, _entries.body == entry.body)
        twin = select(_entries.position).where(
            _entries.position != entry.position, or_(_entries.hash == entry.hash, says_the_same)
        )
        return self._connection.execute(twin.limit(1)).first() is not None


def _chain_problem(connection: Connection, stream: str, head: Head | None) -> Problem:
    """What is wrong with a stream: by its numbers, or by the order its entries are stored in."""
    for order in (_entries.sequence, _entries.position):
        query = _stored(connection).where(_entries.stream == stream).order_by(order, _entries.position)
        with connection.execute(query.execution_options(yield_per=_BATCH)) as rows:
            problem = verify_stream(map(Stored._make, rows), head)
        if problem is not None:
            return problem.model_copy(update={"stream": stream})
    raise AssertionError(f"{stream} is whole by its numbers and by its order")


def _stored(connection: Connection) -> Any:
    """The columns of `Stored`, as the database holds them. SQLite holds anything in any column: what is of another type
    than its column counts as nothing, which no entry says.
    """
    if connection.dialect.name == "postgresql":
        at = func.coalesce(func.to_char(func.timezone("UTC", _entries.at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), "")
        return select(*(at if column is _entries.at else column for column in tables.entries.c))
    typed = {"position": _entries.position, "sequence": _of_type("integer", _entries.sequence, 0)}
    typed["at"] = func.replace(_of_type("text", type_coerce(_entries.at, Text), ""), " ", "T") + "Z"
    return select(*(typed.get(each.name, _of_type("text", each, "")) for each in tables.entries.c))


def _of_type(name: str, column: ColumnElement[Any], otherwise: str | int) -> ColumnElement[Any]:
    return case((func.typeof(column) == name, column), else_=otherwise)


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
