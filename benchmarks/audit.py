"""How long `runbooks audit verify` takes: a ledger of a million entries, anchored every hundred.

    python -m benchmarks.audit [ENTRIES]

Prints what was made and the seconds that verifying it took; then edits one entry in the middle, as the database's owner
could, with every hash after it made anew, and prints that it is found. The last line is one JSON object:
`audit_entries`, and `audit_verify_seconds`, `audit_verify_processor_seconds` and `audit_peak_mb` of verifying it whole.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from runbooks.chain import GENESIS, canonical, hash_of, moment_text, sealed_text
from runbooks.checkpoint import Place, entry_leaf, make_checkpoint, origin_of, write_anchored
from runbooks.merkle import Range
from runbooks.records import Intent, Outcome
from tasks.anchors import anchor_at
from tasks.auditing import verify
from tasks.gateways.checkpoint_keys import OwnKey
from tasks.gateways.ledger import tables
from tasks.gateways.ledger.database import upsert
from tasks.services import Services
from tasks.settings import Settings

SEED = bytes(range(32))
EVERY = 100
STREAM_LENGTH = 20
START = datetime(2026, 1, 1, tzinfo=UTC)


def main(entries: int) -> None:
    _say(json.dumps(measure(entries)))


def measure(entries: int) -> dict[str, Any]:
    """The figures; see the module.

    Raises:
        SystemExit: A ledger that is as it was written was refused, or one that was rewritten was not.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        have = Services(Settings(home=Path(folder)))
        began = time.perf_counter()
        _fill(have, entries)
        size = Path(folder, "ledger.db").stat().st_size / 2**20
        made = time.perf_counter() - began
        _say(f"{entries} entries, {entries // STREAM_LENGTH} streams, {size:.0f} MiB, made in {made:.0f} s")
        intact, figures = _measure(have)
        _rewrite(have, entries // 2 - 2 * STREAM_LENGTH)
        rewritten, _ = _measure(have)
        have.ledger.close()
    if not intact or rewritten:
        raise SystemExit("the verdict is wrong")
    return {"audit_entries": entries, **figures}


def _measure(have: Services) -> tuple[bool, dict[str, float]]:
    began, processor = time.perf_counter(), time.process_time()
    found = verify(have, public_keys=(OwnKey(SEED).public_key,))
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _say(f"verified {found.entries} entries and {found.checkpoints} checkpoints in {seconds:.1f} s")
    _say(f"  ({processor:.1f} s of processor, {memory:.0f} MiB at most), ok: {found.ok}")
    for problem in (*found.problems, *found.checkpoint_problems)[:3]:
        _say(f"  {problem}")
    return found.ok, {
        "audit_verify_seconds": round(seconds, 2),
        "audit_verify_processor_seconds": round(processor, 2),
        "audit_peak_mb": round(memory),
    }


def _fill(have: Services, entries: int) -> None:
    """Writes entries and checkpoints as ledger and sweep do, but many at a time."""
    anchor, signer = anchor_at(have.settings), OwnKey(SEED)
    heads: dict[str, tuple[int, str]] = {}
    tree, fresh, origin = Range(), list[Place](), ""
    with have.ledger._database.writing() as connection:  # noqa: SLF001 - there is no other way to write so many
        for batch in _batches(entries):
            connection.execute(tables.entries.insert(), batch)
            for row in batch:
                place = Place(row["position"], row["stream"], row["sequence"], row["hash"])
                origin = origin or origin_of(place.hash)
                heads[place.stream] = (place.sequence, place.hash)
                tree.append(entry_leaf(place.hash))
                fresh.append(place)
            last = heads if tree.size == entries else None
            content = write_anchored(make_checkpoint(origin, tree, fresh, last, batch[-1]["at"], signer))
            anchor.keep(tree.size, content)
            fresh = []
        rows = [{"stream": name, "sequence": sequence, "hash": end} for name, (sequence, end) in heads.items()]
        upsert(connection, tables.streams, rows)


def _batches(entries: int) -> Iterator[list[dict[str, Any]]]:
    """Streams in turns of five, so that their entries are mixed."""
    ends = [GENESIS] * 5
    batch: list[dict[str, Any]] = []
    for number in range(entries):
        turn = number % 5
        sequence = number // 5 % STREAM_LENGTH + 1
        stream = f"response/resp-{number // (5 * STREAM_LENGTH):06d}-{turn}"
        at = START + timedelta(seconds=number)
        record = _record(number)
        body = canonical(record.model_dump(mode="json")).decode()
        previous = GENESIS if sequence == 1 else ends[turn]
        ends[turn] = hash_of(sealed_text(stream, sequence, record.kind, moment_text(at), body, previous))
        batch.append(
            {
                "position": number + 1,
                "stream": stream,
                "sequence": sequence,
                "kind": record.kind,
                "at": at,
                "body": body,
                "previous": previous,
                "hash": ends[turn],
            }
        )
        if len(batch) == EVERY:
            yield batch
            batch = []
    if batch:
        yield batch


def _record(number: int) -> Intent | Outcome:
    operation, subject = f"rb-{number:032x}", f"swap-groups:eni-{number:017x}"
    if number % 2:
        return Outcome(operation=operation, action="swap-groups", subject=subject, digest="d" * 64, status="done")
    groups = {"groups": [f"sg-{number:017x}", "sg-0123456789abcdef0"], "interface": f"eni-{number:017x}"}
    return Intent(operation=operation, action="swap-groups", subject=subject, digest="d" * 64, epoch=1, original=groups)


def _rewrite(have: Services, position: int) -> None:
    """Another entry in the place of one, and the rest of its stream and its head made to fit."""
    with have.ledger._database.writing() as connection:  # noqa: SLF001 - as above
        connection.execute(text("DROP TRIGGER entries_refuse_update"))
        find = (
            "SELECT * FROM entries WHERE stream = (SELECT stream FROM entries WHERE position = :at) AND position >= :at"
        )
        rows = connection.execute(text(find + " ORDER BY position"), {"at": position}).all()
        previous = rows[0].previous
        for row in rows:
            body = row.body.replace("swap-groups", "swap-nothing") if row.position == position else row.body
            at = row.at.replace(" ", "T") + "Z"
            digest = hash_of(sealed_text(row.stream, row.sequence, row.kind, at, body, previous))
            change = text("UPDATE entries SET body = :body, previous = :previous, hash = :hash WHERE position = :at")
            connection.execute(change, {"body": body, "previous": previous, "hash": digest, "at": row.position})
            previous = digest
        head = text("UPDATE streams SET hash = :hash WHERE stream = :stream")
        connection.execute(head, {"hash": previous, "stream": rows[0].stream})
    _say(f"rewritten: {rows[0].stream} entry {rows[0].sequence}, and all after it in its stream")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
