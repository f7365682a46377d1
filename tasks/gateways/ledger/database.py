"""The way to the database: SQLite by default, PostgreSQL by its address alone.

On both, those who write the record take turns, so that the order of the entries is the order of the commits: SQLite by
BEGIN IMMEDIATE, PostgreSQL by one advisory lock. Python's sqlite3 begins no transaction before a SELECT and commits
around DDL; it is told to keep out, and BEGIN is sent here (SQLAlchemy, "SQLite: Serializable isolation / Savepoints /
Transactional DDL").
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    Update,
    bindparam,
    create_engine,
    event,
    make_url,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from runbooks.errors import BadInput, InvalidSetting, LedgerError

_WRITERS_LOCK = 0x72756E626F6F6B73
"""The advisory lock of those who write, an arbitrary constant."""


class Database:
    """An engine with two ways in: `reading` and `writing`. Safe to share between threads."""

    def __init__(self, url: str, *, wait_seconds: float) -> None:
        self.url = _read_url(url)
        self._is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = (
            _sqlite_engine(self.url, wait_seconds) if self._is_sqlite else _postgres_engine(self.url, wait_seconds)
        )
        self._writer = self.engine.execution_options(ledger_writes=True)
        self._wait_seconds = wait_seconds
        # SQLite polls for its lock, ever more slowly; the threads of one process queue up here instead.
        self._turn = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, in_turn: bool = True) -> Iterator[Connection]:
        """A transaction that writes; it commits at the end and rolls back on any error.

        `in_turn` False is for what touches neither entries nor leases: PostgreSQL lets many of those in at once.
        """
        with self._translated(), self._my_turn(), self._writer.begin() as connection:
            if in_turn and not self._is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITERS_LOCK})
            yield connection

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._is_sqlite:
            yield
        elif self._turn.acquire(timeout=self._wait_seconds):
            try:
                yield
            finally:
                self._turn.release()
        else:
            raise LedgerError(f"ledger {self.url}: this process writes too long; try again")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._fault(error) from error

    def _fault(self, error: SQLAlchemyError) -> LedgerError | BadInput:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = " ".join(str(cause).split()) or type(cause).__name__
        name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
        if isinstance(error, DataError) or name.startswith(_LIMIT_EXCEEDED):
            return BadInput(f"the database cannot hold this: {reason}", code="not-recordable")
        mend = next((words for start, words in _MENDS if name.startswith(start)), None)
        if mend is None:
            mend = (
                "restore the ledger or look at its log"
                if self._is_sqlite
                else "see that the server is up and the address right"
            )
        return LedgerError(f"ledger {self.url.render_as_string(hide_password=True)}: {reason}; {mend}")


_LIMIT_EXCEEDED = "54"
"""PostgreSQL's class of SQLSTATEs for what is larger than it can ever be, such as a row of an index."""
_MENDS = (
    ("SQLITE_BUSY", "another process is writing: stop it, or try again"),
    ("SQLITE_LOCKED", "another process is writing: stop it, or try again"),
    ("SQLITE_READONLY", "make the file and its directory writable"),
    ("SQLITE_PERM", "make the file and its directory writable"),
    ("SQLITE_CANTOPEN", "make the directory exist and be writable"),
    ("SQLITE_FULL", "make room on the disk"),
    ("SQLITE_IOERR", "look at the disk"),
    ("SQLITE_CORRUPT", "restore the file from a backup"),
    ("SQLITE_NOTADB", "point the ledger's address at another file"),
    ("55P03", "another process is writing: stop it, or try again"),
    ("25006", "point the ledger's address at a server that takes writes"),
    ("42501", "give the ledger's user the right to read and write its tables"),
    ("53100", "make room on the server's disk"),
)
"""By SQLite's result codes and PostgreSQL's SQLSTATE."""


def insert(connection: Connection, table: Table) -> Any:
    """An INSERT of the connection's dialect, with its ON CONFLICT clauses."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(connection: Connection, table: Table, values: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Writes rows whole: changes the columns given of the row with the same primary key, or inserts one.

    For those who write in turn. (An UPDATE and, where it finds nothing, an INSERT: SQLAlchemy 2.0 compiles an ON
    CONFLICT anew each time, which takes longer than both.)
    """
    rows = values if isinstance(values, list) else [values]
    missing = [row for row in rows if not change(connection, table, row)]
    if missing:
        connection.execute(table.insert(), missing)


def change(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    """Changes the columns given of the row with that primary key; how many rows there were."""
    given = {f"new_{name}": value for name, value in row.items()}
    return connection.execute(_changing(table, tuple(row)), given).rowcount


@lru_cache(maxsize=100)
def _changing(table: Table, names: tuple[str, ...]) -> Update:
    """Made once: to put a statement together takes longer than to execute it."""
    keys = {column.name for column in table.primary_key}
    place = [table.c[name] == bindparam(f"new_{name}") for name in names if name in keys]
    return update(table).where(*place).values({name: bindparam(f"new_{name}") for name in names if name not in keys})


def portions(names: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    """The names, each once, as many at a time as a statement should have."""
    each = list(dict.fromkeys(names))
    return (each[start : start + size] for start in range(0, len(each), size))


def _read_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # their words may quote the address
        raise InvalidSetting("the ledger's address is not a database URL, such as sqlite:///var/ledger.db") from None
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        _require_told_apart(url, text)
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InvalidSetting(f"the ledger lives in SQLite or PostgreSQL, not in {backend}")
    if url.database in (None, "", ":memory:"):
        raise InvalidSetting("the ledger needs a file: a record in memory is no record")
    return url


def _require_told_apart(url: URL, text: str) -> None:
    """What is taken for host, database or option is printed, by us and by the driver: no password may be in there."""
    if text.count("@") > 1 or "@" in f"{url.host}{url.database}":
        raise InvalidSetting(
            "the ledger's address has an '@' that does not end the password: write it as %40, a '/' as %2F"
        )
    if any("password" in name.lower() for name in url.query):
        raise InvalidSetting("the ledger's address has a password among its options: put it into PGPASSFILE")


def _sqlite_engine(url: URL, wait_seconds: float) -> Engine:
    assert url.database is not None  # _read_url saw to it
    directory = Path(url.database).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"ledger directory {directory}: {os.strerror(error.errno or 0)}; make it writable") from error
    engine = create_engine(url, connect_args={"timeout": wait_seconds})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("ledger_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL, wait_seconds: float) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": max(2, round(wait_seconds))})
    except (NoSuchModuleError, ImportError) as error:
        raise InvalidSetting(f"PostgreSQL cannot be reached from here: {error}") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = {round(wait_seconds * 1000)}")
        connection.autocommit = False

    return engine
