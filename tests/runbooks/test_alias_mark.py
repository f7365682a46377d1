"""What an alias's description says while it is moved, and that the owner's words survive it."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from runbooks.alias_mark import LONGEST, AliasMark, without_mark

OPERATION = "rb-" + "0123456789abcdef01234567"
SINCE = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)


def test_a_mark_says_since_when_and_is_read_back() -> None:
    mark = AliasMark(operation=OPERATION, since=SINCE)
    assert mark.on("what customers call") == f"[{OPERATION} since 2026-03-02T09:15:30Z] what customers call"
    assert AliasMark.of(mark.on("what customers call")) == mark


def test_what_went_back_says_why() -> None:
    mark = AliasMark(operation=OPERATION, went_back="alarm errors] is raised")
    found = AliasMark.of(mark.on(""))
    assert found == AliasMark(operation=OPERATION, went_back="alarm errors) is raised")


@given(st.text(max_size=300), st.text(max_size=300))
def test_it_fits_is_read_back_and_leaves_what_fits_of_the_owners_words(words: str, why: str) -> None:
    for mark in (AliasMark(operation=OPERATION, since=SINCE), AliasMark(operation=OPERATION, went_back=why)):
        text = mark.on(words)
        assert len(text) <= LONGEST
        found = AliasMark.of(text)
        assert found is not None
        assert (found.operation, found.since) == (OPERATION, mark.since)
        assert words.rstrip().startswith(without_mark(text)[: len(words)]) or not without_mark(text)


@given(st.text(max_size=300))
def test_the_owners_own_words_are_no_mark(words: str) -> None:
    assert AliasMark.of(words) is None
    assert without_mark(words) == words
