"""A checkpoint says what it was made of, and nothing else goes under its signature."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from runbooks.checkpoint import (
    Anchored,
    Checkpoint,
    Place,
    entry_leaf,
    head_leaf,
    heads_tree,
    key_id,
    make_checkpoint,
    origin_of,
    read_anchored,
    write_anchored,
)
from runbooks.errors import BadInput
from runbooks.merkle import Range, Tree
from tasks.gateways.checkpoint_keys import OwnKey

KEY, OTHER = OwnKey(b"k" * 32), OwnKey(b"o" * 32)
NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def place(number: int, stream: str = "case/a") -> Place:
    return Place(number, stream, number, f"{number:064x}")


def a_checkpoint(size: int = 5, listed: int = 3, signer: OwnKey = KEY, at: datetime = NOON) -> Anchored:
    """Over entries 1 to `size` of one stream, the last ones listed."""
    places = [place(number) for number in range(1, size + 1)]
    tree = Range()
    for each in places:
        tree.append(entry_leaf(each.hash))
    heads = {"case/a": (size, places[-1].hash)}
    return make_checkpoint(origin_of(places[0].hash), tree, places[size - listed :], heads, at, signer)


def test_it_names_the_roots_of_entries_and_heads_and_its_key() -> None:
    made = a_checkpoint().checkpoint
    assert made.root == Tree(f"{number:064x}".encode() for number in range(1, 6)).root().hex()
    assert made.heads == Tree([head_leaf("case/a", 5, f"{5:064x}")]).root().hex()
    assert (made.size, made.streams, made.at, made.key_id) == (5, 1, NOON, key_id(KEY.public_key))
    assert made.origin == "remediation-runbooks/0000000000000000"
    assert made.range().root().hex() == made.root


def test_the_signature_is_ed25519_over_the_canonical_json_of_the_rest() -> None:
    made = a_checkpoint(size=1, listed=1).checkpoint
    text = (
        f'{{"at":"2026-03-01T12:00:00.000005Z","heads":"{made.heads}","key_id":"{made.key_id}",'
        f'"origin":"remediation-runbooks/0000000000000000","peaks":["{made.root}"],"places":"{made.places}",'
        f'"root":"{made.root}","size":1,"streams":1}}'
    )
    public = Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()
    public.verify(bytes.fromhex(made.signature), text.encode())


def test_heads_are_sorted_by_name_whatever_order_they_come_in() -> None:
    heads = {"system": (1, "a" * 64), "case/b": (2, "b" * 64), "case/a": (3, "c" * 64)}
    names = ("case/a", "case/b", "system")
    assert heads_tree(heads).root() == Tree(head_leaf(name, *heads[name]) for name in names).root()
    assert head_leaf('odd "name"\n', 1, "a" * 64) == b'{"hash":"%s","sequence":1,"stream":"odd \\"name\\"\\n"}' % (
        b"a" * 64
    )


@given(size=st.integers(1, 40), listed=st.integers(0, 40))
def test_what_is_anchored_is_read_as_it_was_written(size: int, listed: int) -> None:
    made = a_checkpoint(size, min(size, listed))
    kept = write_anchored(made)
    assert read_anchored(kept) == made
    assert write_anchored(read_anchored(kept)) == kept
    assert made.checkpoint.is_signed_by(KEY.public_key)
    assert not made.checkpoint.is_signed_by(OTHER.public_key)


def test_the_name_of_another_key_does_not_help() -> None:
    made = a_checkpoint(signer=OTHER).checkpoint.model_copy(update={"key_id": key_id(KEY.public_key)})
    assert not made.is_signed_by(KEY.public_key)


def test_streams_of_odd_names_keep_to_their_line() -> None:
    tree = Range()
    tree.append(entry_leaf("a" * 64))
    made = make_checkpoint("o", tree, [Place(1, 'a b\n"c" é\udcff', 1, "a" * 64)], None, NOON, KEY)
    assert read_anchored(write_anchored(made)) == made
    assert (made.checkpoint.heads, made.checkpoint.streams) == (None, None)


@given(at=st.integers(0, 10_000), to=st.integers(0, 255))
def test_no_changed_byte_goes_unseen(at: int, to: int) -> None:
    kept = bytearray(write_anchored(a_checkpoint()))
    at %= len(kept)
    if kept[at] == to:
        return
    kept[at] = to
    try:
        changed = read_anchored(bytes(kept))
    except BadInput as error:
        assert error.code == "malformed-checkpoint"
    else:
        assert not changed.checkpoint.is_signed_by(KEY.public_key)


@given(st.sampled_from(sorted(set(Checkpoint.model_fields) - {"signature", "peaks", "root", "size"})))
def test_every_field_is_signed(name: str) -> None:
    values = {"origin": "x", "streams": 2, "at": datetime(2027, 1, 1, tzinfo=UTC), "key_id": "0" * 16}
    other = values.get(name, "f" * 64)
    assert not a_checkpoint().checkpoint.model_copy(update={name: other}).is_signed_by(KEY.public_key)


def test_peaks_that_do_not_come_to_the_root_are_refused() -> None:
    said = a_checkpoint().checkpoint.model_dump(mode="json")
    for wrong in ({"peaks": said["peaks"][:1]}, {"root": "f" * 64}, {"size": 7}):
        with pytest.raises(ValueError, match=r"peaks|subtrees"):
            Checkpoint.model_validate({**said, **wrong})


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\xfe", b"null\n1 1 x y\n"])
def test_what_is_no_checkpoint_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        read_anchored(content)
    assert refused.value.code == "malformed-checkpoint"


def test_a_list_longer_than_the_ledger_is_refused() -> None:
    tree = Range()
    tree.append(entry_leaf("a" * 64))
    made = make_checkpoint("o", tree, [place(1), place(2)], None, NOON, KEY)
    with pytest.raises(BadInput, match="more entries than it is over"):
        read_anchored(write_anchored(made))
