"""An audit sees all that is stored, whatever it is, as it was at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbooks.case import SYSTEM_STREAM
from runbooks.chain import Fault
from runbooks.checkpoint import Anchored, entry_leaf, make_checkpoint
from runbooks.errors import LedgerError
from runbooks.merkle import Range
from runbooks.records import Restarted
from tasks.gateways.checkpoint_keys import OwnKey
from tasks.gateways.ledger import Ledger
from tests.tasks.gateways.ledger.samples import MORNING, tamper


def restarted(number: int = 1) -> Restarted:
    return Restarted(response=f"resp-{number}", attempt=number, reason="crashed")


def a_history(ledger: Ledger) -> None:
    ledger.append("case/a", *map(restarted, range(1, 4)))
    ledger.append("case/b", *map(restarted, range(1, 5)))


def named(ledger: Ledger) -> list[tuple[str, int, Fault]]:
    return [(each.stream, each.sequence, each.fault) for each in ledger.verify().problems]


def test_an_entry_moved_to_another_stream_is_missed_there_and_found_here(ledger: Ledger) -> None:
    a_history(ledger)
    tamper(ledger, "UPDATE entries SET stream = 'case/c' WHERE stream = 'case/b' AND sequence = 4")
    assert named(ledger) == [("case/c", 1, Fault.DELETED), ("case/b", 4, Fault.TRUNCATED)]


def test_a_copy_of_an_entry_in_another_stream_is_found(ledger: Ledger) -> None:
    a_history(ledger)
    columns = "kind, at, body, previous, hash"
    tamper(
        ledger,
        f"INSERT INTO entries (position, stream, sequence, {columns}) SELECT 99, 'case/a', 4, {columns} FROM entries "
        "WHERE stream = 'case/b' AND sequence = 4",
    )
    assert named(ledger) == [("case/a", 4, Fault.DELETED)]


ODD_ON_SQLITE = (
    ("body", "CAST(x'ff00fe' AS TEXT)"),
    ("body", "x'7b7d'"),
    ("body", "17"),
    ("kind", "CAST(x'ff' AS TEXT)"),
    ("kind", "x'00'"),
    ("at", "'no time'"),
    ("at", "CAST(x'ff' AS TEXT)"),
    ("at", "17"),
    ("previous", "CAST(x'ff' AS TEXT)"),
    ("previous", "'\"'"),
    ("hash", "CAST(x'ff' AS TEXT)"),
    ("hash", "x'ff'"),
    ("hash", "''"),
)


@pytest.mark.parametrize(("column", "value"), ODD_ON_SQLITE)
def test_what_is_no_text_at_all_is_an_edited_entry_and_no_error(
    tmp_path: Path, opened: Callable[[str], Ledger], column: str, value: str
) -> None:
    ledger = opened(f"sqlite:///{tmp_path}/ledger.db")
    a_history(ledger)
    tamper(ledger, f"UPDATE entries SET {column} = {value} WHERE stream = 'case/b' AND sequence = 2")
    ((stream, sequence, _),) = named(ledger)
    assert (stream, sequence) == ("case/b", 2)
    assert [entry.sequence for entry in ledger.entries("case/a")] == [1, 2, 3], "the connection reads text again"


@pytest.mark.parametrize("value", ["CAST(x'ff' AS TEXT)", "'three'", "2.5", "x'33'", "-1"])
def test_what_is_no_number_is_found(tmp_path: Path, opened: Callable[[str], Ledger], value: str) -> None:
    ledger = opened(f"sqlite:///{tmp_path}/ledger.db")
    a_history(ledger)
    tamper(ledger, f"UPDATE entries SET sequence = {value} WHERE stream = 'case/b' AND sequence = 3")
    assert {stream for stream, _, _ in named(ledger)} == {"case/b"}


@pytest.mark.postgres
@pytest.mark.parametrize("at", ["infinity", "-infinity", "4714-11-24 00:00:00+00 BC", "294276-01-01 00:00:00+00"])
def test_a_time_that_nobody_can_read_is_an_edited_entry(
    postgres_url: str, opened: Callable[[str], Ledger], at: str
) -> None:
    ledger = opened(postgres_url)
    a_history(ledger)
    tamper(ledger, f"UPDATE entries SET at = '{at}' WHERE stream = 'case/b' AND sequence = 2")
    ((stream, sequence, _),) = named(ledger)
    assert (stream, sequence) == ("case/b", 2)


def test_what_is_written_meanwhile_is_not_seen_by_half(url: str, opened: Callable[[str], Ledger]) -> None:
    """Between reading entries and reading heads somebody writes: those heads are not the ones to compare with."""
    ledger, other = opened(url), opened(url)
    a_history(ledger)

    def anchored(size: int, since: int) -> Anchored:
        places = ledger.places(until=size)
        tree = Range()
        for place in places:
            tree.append(entry_leaf(place.hash))
        return make_checkpoint("o", tree, places[since:], None, MORNING, OwnKey(b"k" * 32))

    def meanwhile() -> Iterator[Anchored]:
        yield anchored(3, 0)
        yield anchored(5, 3)
        other.append("case/a", restarted(4))
        other.append(SYSTEM_STREAM, restarted(1))

    verified = ledger.verify(meanwhile())
    assert (verified.ok, verified.entries, verified.streams, verified.checkpoints) == (True, 7, 2, 2)
    assert ledger.verify().entries == 9


def test_what_stands_behind_a_place_is_counted_and_listed_with_the_heads_at_its_end(ledger: Ledger) -> None:
    a_history(ledger)
    everything = ledger.places(until=100)
    assert [(place.stream, place.sequence) for place in everything] == [
        *(("case/a", number) for number in (1, 2, 3)),
        *(("case/b", number) for number in (1, 2, 3, 4)),
    ]
    assert [ledger.behind(last, 5) for last in (None, everything[0], everything[3], everything[-1])] == [5, 5, 3, 0]
    ends = {place.stream: (place.sequence, place.hash) for place in everything}
    assert ledger.stretch(None, 100) == (everything, ends)
    assert ledger.stretch(everything[4], 2) == (everything[5:], ends)
    assert ledger.stretch(everything[3], 2) == (everything[4:6], None)
    assert ledger.stretch(everything[-1], 2) == ((), ends)


def test_nothing_stands_behind_an_entry_that_is_not_where_it_was(ledger: Ledger) -> None:
    a_history(ledger)
    last = ledger.places(until=100)[-1]
    for wrong in (last._replace(hash="f" * 64), last._replace(position=99)):
        for ask in (ledger.behind, ledger.stretch):
            with pytest.raises(LedgerError) as refused:
                ask(wrong, 5)
            assert refused.value.code == "ledger-forked"
