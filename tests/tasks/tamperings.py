"""What the owner of a ledger's database can do to it, by chance: nine classes, each from clumsy to thorough."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.chain import GENESIS, Fault, Stored, moment_text

Rows = list[Stored]
Heads = dict[str, tuple[int, str]]


@dataclass(frozen=True)
class Tampered:
    """A ledger after somebody was at it, and what an audit is to say of it."""

    rows: Rows
    heads: Heads
    first: frozenset[tuple[str, int]]
    """Stream and sequence of the entry to be named; any of these."""
    faults: frozenset[Fault]


def tampered(kind: str, rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """One tampering of a kind, somewhere in the first `anchored` entries."""
    return KINDS[kind](list(rows), dict(heads), anchored, dice)


def _edit(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """One column of one entry; with a new hash of its own, or not."""
    at = dice.randrange(anchored)
    entry = rows[at]
    column = dice.choice(["body", "kind", "at", "previous", "hash"])
    changes = {
        "body": entry.body.replace("look", dice.choice(["took", "LOOK", "look\\n", "l o o k"]), 1),
        "kind": "phase-ended",
        "at": _later(entry.at, dice.choice([-3600, 1])),
        "previous": f"{dice.getrandbits(256):064x}",
        "hash": f"{dice.getrandbits(256):064x}",
    }
    rows[at] = entry._replace(**{column: changes[column]})
    if column != "hash" and dice.random() < 0.5:
        rows[at] = _resealed(rows[at])
    return _named(rows, heads, [entry], Fault.EDITED)


def _delete(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """One entry in the middle of its stream; numbers, hashes, heads and positions made to fit, or not."""
    at = dice.choice([each for each in range(anchored) if _has_later(rows, each)])
    former, gone = tuple(rows), rows.pop(at)
    thoroughness = dice.randrange(3)
    if thoroughness > 0:
        rows = [_renumbered(row, -1) if _is_later(row, gone) else row for row in rows]
        heads[gone.stream] = (heads[gone.stream][0] - 1, heads[gone.stream][1])
    if thoroughness > 1:
        rows, heads = made_anew(rows, heads, gone.stream)
    if dice.random() < 0.5:
        rows = _moved(rows, at, -1)
    faults = [Fault.DELETED]
    if thoroughness > 1:
        # Where the chain is whole again, what was done to it can be told in more than one way.
        faults += [Fault.REWRITTEN, Fault.FORKED]
    if not any(_is_later(row, gone) for row in former[:anchored]):
        # An entry that no checkpoint knows came to stand in its place.
        faults += [Fault.EDITED]
    return _named(rows, heads, [gone], *faults)


def _insert(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """One entry that was never written, before one that was."""
    at = dice.randrange(anchored)
    after = rows[at]
    forged = _resealed(after._replace(body=after.body.replace("look", "forged")))
    rows = [
        _renumbered(row, 1) if row.stream == after.stream and row.sequence >= after.sequence else row for row in rows
    ]
    heads[after.stream] = (heads[after.stream][0] + 1, heads[after.stream][1])
    rows = [*rows[:at], forged, *_moved(rows[at:], 0, 1)]
    thorough = dice.random() < 0.5
    if thorough:
        rows, heads = made_anew(rows, heads, after.stream)
    return _named(rows, heads, [forged], Fault.INSERTED, *((Fault.REWRITTEN,) if thorough else ()))


def _reorder(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """Two entries change places: in the ledger, with all their columns, or only their numbers in their stream."""
    one, other = sorted(dice.sample(range(anchored), 2))
    mates = [each for each in range(anchored) if each != one and rows[each].stream == rows[one].stream]
    if mates and dice.random() < 0.5:
        one, other = sorted((one, dice.choice(mates)))
        rows[one], rows[other] = (
            rows[one]._replace(sequence=rows[other].sequence),
            rows[other]._replace(sequence=rows[one].sequence),
        )
        return _named(rows, heads, [rows[one], rows[other]], Fault.REORDERED)
    rows[one], rows[other] = (
        rows[other]._replace(position=rows[one].position),
        rows[one]._replace(position=rows[other].position),
    )
    between = [row for row in rows[one:other] if row.stream in (rows[one].stream, rows[other].stream)]
    return _named(rows, heads, [rows[one], rows[other], *between], Fault.REORDERED)


def _duplicate(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """A copy of an entry: under its own number, or behind it as if it had been written twice."""
    at = dice.randrange(anchored - 1)  # behind the last one the copy would lie behind the checkpoint
    copied = rows[at]
    if dice.random() < 0.5:
        place = dice.randrange(at + 1, anchored + 1)
        rows = [*rows[:place], copied._replace(position=rows[place - 1].position + 1), *_moved(rows[place:], 0, 1)]
        return _named(rows, heads, [copied], Fault.DUPLICATED)
    rows = [_renumbered(row, 1) if _is_later(row, copied) else row for row in rows]
    heads[copied.stream] = (heads[copied.stream][0] + 1, heads[copied.stream][1])
    again = _renumbered(copied, 1)._replace(position=copied.position + 1, previous=copied.hash)
    rows = [*rows[: at + 1], again, *_moved(rows[at + 1 :], 0, 1)]
    rows, heads = made_anew(rows, heads, copied.stream)
    return _named(rows, heads, [again], Fault.DUPLICATED)


def _truncate(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """The end of one stream is cut off; its head made to fit, or not."""
    first = rows[dice.randrange(anchored)]
    rows = [row for row in rows if row.stream != first.stream or row.sequence < first.sequence]
    if dice.random() < 0.7:
        rows, heads = made_anew(rows, heads, first.stream)
    # Of a stream that was the last to be written nothing tells its cut-off end from an older copy of the ledger.
    return _named(rows, heads, [first], Fault.TRUNCATED, Fault.ROLLED_BACK)


def _roll_back(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """An older copy of the whole database."""
    at = dice.randrange(anchored)
    lost, rows = rows[at], rows[:at]
    return _named(rows, _heads_of(rows), [lost], Fault.ROLLED_BACK)


def _fork(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """An older copy, and another history written on from there."""
    at = dice.randrange(anchored)
    lost, last, rows = rows[at], rows[-1], rows[:at]
    ends = _heads_of(rows)
    for number in range(dice.randrange(1, 20)):
        stream = dice.choice(["case/case-a", "response/resp-2", "case/case-new"])
        sequence, previous = ends.get(stream, (0, GENESIS))
        changes = {"position": at + 1 + number, "stream": stream, "sequence": sequence + 1, "previous": previous}
        rows.append(_resealed(lost._replace(at=_later(last.at, 3600 + number), **changes)))
        ends[stream] = (sequence + 1, rows[-1].hash)
    return _named(rows, ends, [lost], Fault.FORKED)


def _rewrite(rows: Rows, heads: Heads, anchored: int, dice: random.Random) -> Tampered:
    """One entry says something else, and every hash after it, of its stream or of all, and the heads say so too."""
    at = dice.randrange(anchored)
    rows[at] = rows[at]._replace(body=rows[at].body.replace("look", "nothing"))
    if dice.random() < 0.5:
        rows[at + 1 :] = [row._replace(body=row.body.replace("look", "none")) for row in rows[at + 1 :]]
    for stream in {row.stream for row in rows}:
        rows, heads = made_anew(rows, heads, stream)
    return _named(rows, heads, [rows[at]], Fault.REWRITTEN)


KINDS: dict[str, Callable[[Rows, Heads, int, random.Random], Tampered]] = {
    "edit": _edit,
    "delete": _delete,
    "insert": _insert,
    "reorder": _reorder,
    "duplicate": _duplicate,
    "truncate": _truncate,
    "rollback": _roll_back,
    "fork": _fork,
    "rewrite": _rewrite,
}


def _named(rows: Rows, heads: Heads, first: Sequence[Stored], *faults: Fault) -> Tampered:
    return Tampered(rows, heads, frozenset((row.stream, row.sequence) for row in first), frozenset(faults))


def _resealed(row: Stored) -> Stored:
    return row._replace(hash=row.computed_hash())


def _renumbered(row: Stored, by: int) -> Stored:
    return row._replace(sequence=row.sequence + by)


def _moved(rows: Rows, start: int, by: int) -> Rows:
    return [row if at < start else row._replace(position=row.position + by) for at, row in enumerate(rows)]


def _is_later(row: Stored, than: Stored) -> bool:
    return row.stream == than.stream and row.sequence > than.sequence


def _has_later(rows: Rows, at: int) -> bool:
    return any(_is_later(row, rows[at]) for row in rows)


def _later(at: str, seconds: float) -> str:
    return moment_text(datetime.fromisoformat(at) + timedelta(seconds=seconds))


def made_anew(rows: Rows, heads: Heads, stream: str) -> tuple[Rows, Heads]:
    """Every hash of a stream, and its head, as if all of it had been written so."""
    previous, made = GENESIS, Rows()
    for row in rows:
        made.append(_resealed(row._replace(previous=previous)) if row.stream == stream else row)
        previous = made[-1].hash if row.stream == stream else previous
    return made, {name: end for name, end in {**heads, **_heads_of(made, stream)}.items() if end[0]}


def _heads_of(rows: Rows, *streams: str) -> Heads:
    heads: Heads = dict.fromkeys(streams, (0, GENESIS))
    return heads | {row.stream: (row.sequence, row.hash) for row in rows if not streams or row.stream in streams}
