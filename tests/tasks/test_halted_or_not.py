"""Whether everything is halted: from any halt on, until a resumption that is signed for that very halt."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runbooks.case import HALT_STREAM
from runbooks.errors import LedgerError, Unsafe
from runbooks.records import Halted as HaltedRecord
from runbooks.records import Resumed
from runbooks.signing import Signer
from tasks import halting
from tasks.gateways.ledger import Ledger
from tasks.services import Services
from tests.runbooks.signatures import SIGNER
from tests.tasks.halts import halt, resume, services

ANOTHER = Signer(b"another key of thirty-two bytes!")
Write = Callable[[Services], object]


@pytest.fixture
def have(tmp_path: Path) -> Any:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield services(ledger)
    ledger.close()


def append(*records: HaltedRecord | Resumed) -> Write:
    return lambda have: have.ledger.append(HALT_STREAM, *records)


def resumed(ends: int = 1, signer: Signer | None = SIGNER, stream: str = HALT_STREAM) -> Resumed:
    record = Resumed(by="mallory", reason="let me", ends=ends)
    return record if signer is None else signer.signed(stream, record)


def replayed(have: Services) -> None:
    """The resumption that ended an earlier halt, written once more."""
    records = [entry.record() for entry in have.ledger.entries(HALT_STREAM)]
    have.ledger.append(HALT_STREAM, next(record for record in records if isinstance(record, Resumed)))


@pytest.mark.parametrize(
    ("story", "is_halted"),
    [
        ([], False),
        ([halt], True),
        ([halt, halt], True),
        ([halt, resume], False),
        ([halt, halt, resume], False),
        ([halt, resume, halt], True),
        ([halt, resume, halt, resume], False),
        ([append(HaltedRecord(by="jane", reason="no key at hand"))], True),
        ([append(HaltedRecord(by="jane", reason="a false one", signature="0" * 64))], True),
        ([halt, append(resumed(signer=None))], True),
        ([halt, append(resumed(signer=ANOTHER))], True),
        ([halt, append(resumed(stream="system"))], True),
        ([halt, append(resumed(ends=0))], True),
        ([halt, append(resumed(), resumed())], True),
        ([append(resumed(ends=0, signer=None))], True),
        ([halt, resume, halt, replayed], True),
        ([halt, resume, replayed], True),
        ([halt, append(resumed(signer=None)), resume], False),
    ],
)
def test_it_is_on_from_any_halt_until_a_resumption_that_is_signed_for_that_very_halt(
    have: Services, story: Sequence[Write], is_halted: bool
):
    for write in story:
        write(have)
    assert (halting.halted(have) is not None) == is_halted


def test_a_halt_whose_entry_was_cut_off_holds_until_somebody_resumes(have: Services, tmp_path: Path):
    halt(have)
    resume(have)
    halt(have)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as owner, owner:
        owner.execute("DROP TRIGGER entries_refuse_delete")
        owner.execute("DELETE FROM entries WHERE stream = ? AND sequence = 3", (HALT_STREAM,))

    found = halting.halted(have)
    assert found is not None
    assert (found.by, found.number) == ("the ledger", 3)
    resume(have)
    assert halting.halted(have) is None


def test_it_says_since_when_by_whom_and_why(have: Services):
    made = halting.halt(have, "jane", "the wrong group")
    assert halting.halted(have) == made
    assert halting.words(made) == f"halted since {made.at:%Y-%m-%d %H:%M:%S} UTC by jane: the wrong group"


def test_halting_needs_no_key_and_resuming_does(have: Services, tmp_path: Path):
    keyless = services(have.ledger, signer=None, home=tmp_path / "nobody")
    made = halting.halt(keyless, "jane", "the key is gone")
    assert halting.halted(have) == made
    with pytest.raises(Unsafe):
        halting.resume(keyless, made, "jane", "never mind")
    assert halting.halted(have) == made
    assert halting.resume(have, made, "joe", "mended") is None
    assert halting.halted(keyless) is not None, "without the key nobody can tell that it is off"


def test_a_halt_that_comes_while_another_is_ended_holds(have: Services):
    first = halting.halt(have, "jane", "the wrong group")
    second = halting.halt(have, "joe", "and the wrong account")
    assert halting.resume(have, first, "jane", "mended") is not None
    last = halting.halted(have)
    assert last is not None
    assert last.number == second.number + 1
    assert halting.resume(have, last, "joe", "both are mended") is None


def test_a_ledger_that_does_not_say_lets_nothing_leave(have: Services, tmp_path: Path):
    halt(have)
    have.ledger.close()
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(LedgerError):
        halting.require_running(have)
