"""The chain finds what was done to a stream, and names the first entry it was done to."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.chain import (
    GENESIS,
    Entry,
    Fault,
    Head,
    Stored,
    UnknownRecord,
    canonical,
    hash_of,
    moment_text,
    read_body,
    seal,
    sealed_text,
    verify_stream,
)
from runbooks.errors import BadInput
from runbooks.records import Intent, Restarted, Waiting

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_chain(length: int = 6, stream: str = "response/resp-1") -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, length + 1):
        record = Waiting(phase="verify", reason=f"look {number}", look_again_at=NOON + timedelta(hours=number))
        previous = entries[-1].hash if entries else GENESIS
        entries.append(seal(stream, number, NOON + timedelta(minutes=number), record, previous)[0])
    return entries


def head_of(entries: list[Entry]) -> Head:
    return entries[-1].sequence, entries[-1].hash


def found(entries: list[Entry], head: Head | None) -> tuple[int, Fault] | None:
    problem = verify_stream(entries, head)
    return None if problem is None else (problem.sequence, problem.fault)


def edited(entry: Entry, **changes: object) -> Entry:
    return entry.model_copy(update={"body": {**entry.body, **changes}})


def resealed(entry: Entry, **changes: object) -> Entry:
    """As someone would who knows how the hash is made."""
    changed = entry.model_copy(update=changes)
    return changed.model_copy(update={"hash": changed.computed_hash()})


def test_an_untouched_chain_verifies() -> None:
    chain = a_chain()
    assert verify_stream(chain, head_of(chain)) is None
    assert verify_stream([], None) is None


def test_the_hash_can_be_computed_by_anyone_from_what_is_written_here() -> None:
    record = Restarted(response="resp-1", attempt=2, reason="crashed")
    at = datetime(2026, 3, 1, 13, 0, 0, 500, tzinfo=timezone(timedelta(hours=1)))
    text = (
        '{"at":"2026-03-01T12:00:00.000500Z","body":{"attempt":2,"kind":"restarted","reason":"crashed",'
        f'"response":"resp-1"}},"kind":"restarted","previous":"{GENESIS}","sequence":1,"stream":"system"}}'
    )
    entry, body = seal("system", 1, at, record, GENESIS)
    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()
    assert body == '{"attempt":2,"kind":"restarted","reason":"crashed","response":"resp-1"}'


def test_an_edited_entry_is_named() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2] = edited(chain[2], reason="nothing to see")
    assert found(chain, head) == (3, Fault.EDITED)


@pytest.mark.parametrize("change", [{"kind": "phase-ended"}, {"at": NOON}, {"stream": "response/resp-2"}])
def test_nothing_but_the_body_can_be_edited_either(change: dict[str, object]) -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2] = chain[2].model_copy(update=change)
    assert found(chain, head) == (3, Fault.EDITED)


def test_an_edited_entry_with_a_new_hash_is_named_by_the_entry_after_it() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2] = resealed(edited(chain[2], reason="nothing to see"))
    assert found(chain, head) == (3, Fault.EDITED)


def test_the_last_entry_edited_with_a_new_hash_is_named_by_the_head() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[5] = resealed(edited(chain[5], reason="nothing to see"))
    assert found(chain, head) == (6, Fault.EDITED)


def test_a_whole_rewritten_tail_is_named_by_the_head() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[3] = resealed(edited(chain[3], reason="nothing to see"))
    for index in (4, 5):
        chain[index] = resealed(chain[index], previous=chain[index - 1].hash)
    assert found(chain, head) == (6, Fault.EDITED)


def test_a_body_that_canonical_json_cannot_hold_is_edited_and_no_error() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2] = edited(chain[2], reason=2**60)
    assert found(chain, head) == (3, Fault.EDITED)


def test_a_deleted_entry_is_named() -> None:
    chain = a_chain()
    head = head_of(chain)
    del chain[2]
    assert found(chain, head) == (3, Fault.DELETED)


def test_a_deleted_first_entry_is_named() -> None:
    chain = a_chain()
    head = head_of(chain)
    assert found(chain[1:], head) == (1, Fault.DELETED)


def test_a_deleted_entry_is_named_though_the_later_ones_were_renumbered() -> None:
    chain = a_chain()
    del chain[2]
    chain[2:] = [entry.model_copy(update={"sequence": entry.sequence - 1}) for entry in chain[2:]]
    assert found(chain, (5, chain[-1].hash)) == (3, Fault.DELETED)


def test_entries_stored_in_another_order_are_named() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2], chain[3] = chain[3], chain[2]
    assert found(chain, head) == (3, Fault.REORDERED)


def test_entries_that_swapped_their_numbers_are_named() -> None:
    chain = a_chain()
    head = head_of(chain)
    chain[2], chain[3] = (
        chain[3].model_copy(update={"sequence": 3}),
        chain[2].model_copy(update={"sequence": 4}),
    )
    assert found(chain, head) == (3, Fault.REORDERED)


def test_an_inserted_entry_is_named_though_the_later_ones_were_renumbered() -> None:
    chain = a_chain()
    head = head_of(chain)
    forged, _ = seal(chain[0].stream, 3, NOON, Restarted(response="r", attempt=1, reason="forged"), chain[1].hash)
    later = [entry.model_copy(update={"sequence": entry.sequence + 1}) for entry in chain[2:]]
    assert found([*chain[:2], forged, *later], (7, head[1])) == (3, Fault.INSERTED)


def test_an_entry_added_past_the_head_is_named() -> None:
    chain = a_chain(7)
    assert found(chain, head_of(chain[:6])) == (7, Fault.INSERTED)
    assert found(chain, None) == (1, Fault.INSERTED)


@pytest.mark.parametrize("again", [3, 1])
def test_an_entry_stored_twice_is_named(again: int) -> None:
    chain = a_chain()
    head = head_of(chain)
    chain.insert(3, chain[again - 1])
    assert found(chain, head) == (again, Fault.DUPLICATED)


@pytest.mark.parametrize("left", [5, 1, 0])
def test_a_cut_off_end_is_named(left: int) -> None:
    chain = a_chain()
    assert found(chain[:left], head_of(chain)) == (left + 1, Fault.TRUNCATED)


@given(at=st.integers(0, 5), name=st.sampled_from(["body", "kind", "at", "previous", "hash", "stream", "sequence"]))
def test_no_single_change_goes_unseen(at: int, name: str) -> None:
    chain = a_chain()
    head = head_of(chain)
    values = {"body": {}, "kind": "x", "at": NOON, "previous": "f" * 64, "hash": "f" * 64, "stream": "s", "sequence": 9}
    chain[at] = chain[at].model_copy(update={name: values[name]})
    assert verify_stream(chain, head) is not None


def test_a_problem_reads_as_a_sentence() -> None:
    chain = a_chain()
    problem = verify_stream([*chain[:2], *chain[3:]], head_of(chain))
    assert str(problem) == "response/resp-1 entry 3 was deleted: entry 4 follows where it belongs"


def test_a_record_comes_back_as_it_was() -> None:
    record = Intent(
        operation="rb-1", action="swap", subject="eni-1", epoch=3, original={"groups": ["sg-1"], "at": 1e17}
    )
    assert seal("response/r", 1, NOON, record, GENESIS)[0].record() == record


def test_a_record_of_a_newer_version_is_kept_and_no_error() -> None:
    entry, _ = seal("system", 1, NOON, Restarted(response="r", attempt=1, reason="x"), GENESIS)
    newer = resealed(entry, kind="teleported", body={"kind": "teleported", "to": "mars"})
    grown = resealed(entry, body={**entry.body, "by": "someone"})
    assert newer.record() == UnknownRecord(kind="teleported", body={"kind": "teleported", "to": "mars"})
    assert grown.record() == UnknownRecord(kind="restarted", body={**entry.body, "by": "someone"})
    assert verify_stream([newer], (1, newer.hash)) is None


@pytest.mark.parametrize("value", [2**53, "\ud800"])
def test_what_canonical_json_cannot_hold_is_refused(value: object) -> None:
    record = Intent(operation="o", action="a", subject="s", epoch=1, original={"odd": value})
    with pytest.raises(BadInput) as refused:
        seal("response/r", 1, NOON, record, GENESIS)
    assert refused.value.code == "not-recordable"


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), _values, max_size=4))
def test_a_stored_body_is_read_back_so_that_its_hash_stays(body: dict[str, object]) -> None:
    text = canonical(body)
    assert canonical(read_body(text)) == text
    assert canonical(json.loads(json.dumps(read_body(text)), parse_int=float)) == text


@given(
    stream=st.text(st.characters(exclude_categories=["Cs"])),
    kind=st.text(st.characters(exclude_categories=["Cs"])),
    sequence=st.integers(1, 2**31),
    at=st.datetimes(timezones=st.just(UTC)),
    body=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _values, max_size=4),
)
def test_a_hash_of_stored_text_is_the_hash_of_the_canonical_json_of_the_whole(
    stream: str, kind: str, sequence: int, at: datetime, body: dict[str, object]
) -> None:
    try:
        stored = canonical(body).decode()
    except BadInput:
        return
    said = {"stream": stream, "sequence": sequence, "kind": kind, "at": moment_text(at), "body": body}
    whole = canonical({**said, "previous": GENESIS}).decode()
    assert sealed_text(stream, sequence, kind, moment_text(at), stored, GENESIS) == whole
    entry = Entry(stream=stream, sequence=sequence, kind=kind, at=at, body=body, previous=GENESIS, hash=hash_of(whole))
    row = Stored(1, stream, sequence, kind, moment_text(at), stored, GENESIS, hash_of(whole))
    assert entry.computed_hash() == row.computed_hash() == hashlib.sha256(whole.encode()).hexdigest()


def test_bytes_that_are_no_text_are_hashed_and_no_error() -> None:
    row = Stored(1, "case/\udcff", 1, "x", "no time", "\udcfe", GENESIS, "")
    text = b'{"at":"no time","body":\xfe,"kind":"x","previous":"%s","sequence":1,"stream":"case/\xff"}'
    assert row.computed_hash() == hashlib.sha256(text % GENESIS.encode()).hexdigest()
