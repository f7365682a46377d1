"""A ledger with its anchor, told by a clock that only the test moves, and whatever its owner can do to it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, text

from runbooks.chain import Stored, moment_text
from runbooks.records import Waiting
from tasks.anchoring import anchor
from tasks.gateways.ledger import Ledger, tables
from tasks.services import Services
from tasks.settings import Settings
from tests.tasks.gateways.ledger.samples import Clock

STREAMS = ("case/case-a", "case/case-b", "response/resp-1", "response/resp-2", "system")


class Audited(Services):
    """Services over one ledger, at the time of the test's clock."""

    def __init__(self, home: Path, ledger: Ledger, clock: Clock, **settings: Any) -> None:
        super().__init__(Settings(home=home, **settings))
        vars(self)["ledger"] = ledger
        vars(self)["clock"] = clock

    @property
    def clock(self) -> Clock:
        return vars(self)["clock"]

    def now(self) -> datetime:
        return self.clock()

    def grow(self, entries: int, dice: random.Random | None = None) -> None:
        """So many entries more, in streams by chance, a second apart."""
        dice = dice or random.Random(0)
        for number in range(entries):
            later = self.clock.pass_by(seconds=1)
            record = Waiting(phase="verify", reason=f"look {number}: {dice.random()}", look_again_at=later)
            self.ledger.append(dice.choice(STREAMS), record)

    def anchor(self) -> int:
        """A minute passes, and what is new is anchored; the size of that checkpoint."""
        self.clock.pass_by(seconds=61)
        made = anchor(self)
        assert made is not None
        return made.size


@contextmanager
def owned(ledger: Ledger) -> Iterator[Owner]:
    """The database's owner at work: no trigger and no constraint stands in the way any more."""
    with ledger._database.writing() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("ALTER TABLE entries RENAME TO former"))
            columns = "stream TEXT, sequence INTEGER, kind TEXT, at DATETIME, body TEXT, previous TEXT, hash TEXT"
            connection.execute(text(f"CREATE TABLE entries (position INTEGER PRIMARY KEY, {columns})"))
            connection.execute(text("INSERT INTO entries SELECT * FROM former"))
            connection.execute(text("DROP TABLE former"))
        else:
            connection.execute(text("DROP TRIGGER entries_refuse_change ON entries"))
            connection.execute(text("ALTER TABLE entries DROP CONSTRAINT uq_entries_stream_sequence"))
    yield Owner(ledger)


class Owner:
    """Reads all that is stored, and stores whatever it likes instead."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read(self) -> list[Stored]:
        with self._ledger._database.reading() as connection:
            return [
                Stored._make((*row[:4], moment_text(row.at), *row[5:]))
                for row in connection.execute(select(tables.entries).order_by(tables.entries.c.position))
            ]

    def heads(self) -> dict[str, tuple[int, str]]:
        with self._ledger._database.reading() as connection:
            return {row.stream: (row.sequence, row.hash) for row in connection.execute(select(tables.streams))}

    def write(self, rows: Iterable[Stored], heads: dict[str, tuple[int, str]]) -> None:
        entries = [{**row._asdict(), "at": datetime.fromisoformat(row.at)} for row in rows]
        ends = [{"stream": name, "sequence": at, "hash": digest} for name, (at, digest) in heads.items()]
        with self._ledger._database.writing() as connection:
            for table, values in ((tables.entries, entries), (tables.streams, ends)):
                connection.execute(delete(table))
                if values:
                    connection.execute(table.insert(), values)
