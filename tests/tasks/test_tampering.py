"""Whatever the database's owner does to what is anchored is found, and the first entry it was done to is named."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.chain import Fault
from tasks.auditing import verify
from tasks.gateways.ledger import Ledger
from tests.tasks.audited import Audited, Owner, owned
from tests.tasks.gateways.ledger.samples import Clock
from tests.tasks.tamperings import KINDS, tampered

SAMPLE = int(os.environ.get("TAMPERINGS", "270"))
"""How many are tried; TAMPERINGS=10000 is what is promised."""
ANCHORED, BEHIND = 60, 8

History = tuple[Audited, Owner]


def history(url: str, home: Path) -> Iterator[History]:
    """Entries in five streams, anchored four times, and some since."""
    clock, dice = Clock(), random.Random(7)
    have = Audited(home, Ledger.open(url, clock=clock), clock)
    for length in (11, 25, 1, 23):
        have.grow(length, dice)
        have.anchor()
    have.grow(BEHIND, dice)
    with owned(have.ledger) as owner:
        yield have, owner
    have.ledger.close()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[History]:
    yield from history(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "home")


@pytest.fixture
def on_postgresql(postgres_url: str, tmp_path: Path) -> Iterator[History]:
    yield from history(postgres_url, tmp_path / "home")


def misjudged(have: Audited, owner: Owner, numbers: range) -> list[str]:
    """Tampers with the ledger once for each number, by that number alone. What was not told right."""
    rows, heads = owner.read(), owner.heads()
    wrong: list[str] = []
    for number in numbers:
        kind = tuple(KINDS)[number % len(KINDS)]
        done = tampered(kind, rows, heads, ANCHORED, random.Random(number))
        owner.write(done.rows, done.heads)
        problems = verify(have).problems
        if not problems:
            wrong.append(f"{number} ({kind}): not found")
        elif (problems[0].stream, problems[0].sequence) not in done.first or problems[0].fault not in done.faults:
            wrong.append(f"{number} ({kind}): {problems[0]}, not {set(done.first)}, {set(done.faults)}")
    owner.write(rows, heads)
    assert verify(have).ok
    return wrong


def test_every_tampering_with_what_is_anchored_is_found_and_named(on_sqlite: History) -> None:
    assert misjudged(*on_sqlite, range(SAMPLE)) == []


@pytest.mark.postgres
def test_it_is_found_on_postgresql_just_so(on_postgresql: History) -> None:
    assert misjudged(*on_postgresql, range(max(SAMPLE // 10, 27))) == []


def test_behind_the_last_checkpoint_a_rewrite_goes_unseen_and_how_much_lies_there_is_said(on_sqlite: History) -> None:
    """The window: what the sweep has not anchored yet, at most 100 entries or 60 seconds and a pass of the sweep."""
    have, owner = on_sqlite
    rows, heads = owner.read(), owner.heads()
    last = max(range(len(rows)), key=lambda at: rows[at].position)
    rows[last] = rows[last]._replace(body=rows[last].body.replace("look", "nothing"))
    owner.write(rows, heads)
    assert [problem.fault for problem in verify(have).problems] == [Fault.EDITED], "the hash was forgotten"

    rows[last] = rows[last]._replace(hash=rows[last].computed_hash())
    owner.write(rows, {**heads, rows[last].stream: (rows[last].sequence, rows[last].hash)})
    found = verify(have)
    assert (found.ok, found.entries, found.anchored) == (True, ANCHORED + BEHIND, ANCHORED)
    assert found.unanchored_since == rows[ANCHORED].at

    have.anchor()
    owner.write(rows[:last], heads)
    assert not verify(have).ok, "once it is anchored, it is held to that"
