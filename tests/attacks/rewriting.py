"""How a stream is written anew by somebody who has the database: numbers, hashes, head and tables all fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, delete

from runbooks.chain import GENESIS, Entry, canonical, hash_of, moment_text, sealed_text
from tasks.gateways.ledger import Ledger, tables
from tasks.gateways.ledger.database import upsert
from tests.attacks.scene import Scene

Edit = Callable[[Sequence[Entry]], Sequence[Entry]]


class HasLedger(Protocol):
    """Where somebody gets at a ledger's database."""

    ledger: Ledger


def rewrite(scene: HasLedger, stream: str, edit: Edit) -> None:
    """The stream as if it had always been so: numbers, hashes and head; and the tables that follow from it."""
    left, previous = edit(scene.ledger.entries(stream)), GENESIS
    with scene.ledger._database.writing() as connection:
        drop_triggers(connection)
        connection.execute(delete(tables.entries).where(tables.entries.c.stream == stream))
        for number, entry in enumerate(left, 1):
            body = canonical(entry.body).decode()
            text = sealed_text(stream, number, entry.kind, moment_text(entry.at), body, previous)
            row = entry.model_dump() | {"sequence": number, "body": body, "previous": previous, "hash": hash_of(text)}
            connection.execute(tables.entries.insert(), row)
            previous = row["hash"]
        upsert(connection, tables.streams, {"stream": stream, "sequence": len(left), "hash": previous})
    scene.ledger.rebuild()
    assert scene.ledger.verify().problems == ()


def cut_off(scene: Scene, stream: str) -> None:
    """The stream's last entry is gone. Its head is left: made anew, only a checkpoint shows that there was more."""
    last = scene.ledger.entries(stream)[-1].sequence
    where = (tables.entries.c.stream == stream) & (tables.entries.c.sequence == last)
    with scene.ledger._database.writing() as connection:
        drop_triggers(connection)
        connection.execute(delete(tables.entries).where(where))


def drop_triggers(connection: Connection) -> None:
    """Those that keep entries from being changed by mistake."""
    for trigger in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
        connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")


def edited(kind: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Edit:
    """Every record of a kind, changed."""
    return lambda entries: [
        each.model_copy(update={"body": change(each.body)}) if each.kind == kind else each for each in entries
    ]


def without(kind: str) -> Edit:
    return lambda entries: [each for each in entries if each.kind != kind]


def saying(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: body | values
