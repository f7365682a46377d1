"""The tree is RFC 6962's, its proofs hold for what is in it and for nothing else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.merkle import Range, Tree, root_of

leaves = st.lists(st.binary(max_size=40), max_size=70)
some_leaves = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def defined_root(data: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it is written there."""
    if not data:
        return sha256(b"")
    if len(data) == 1:
        return sha256(b"\x00" + data[0])
    k = 1
    while k * 2 < len(data):
        k *= 2
    return sha256(b"\x01" + defined_root(data[:k]) + defined_root(data[k:]))


def defined_path(index: int, data: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(data) == 1:
        return []
    k = 1
    while k * 2 < len(data):
        k *= 2
    if index < k:
        return [*defined_path(index, data[:k]), defined_root(data[k:])]
    return [*defined_path(index - k, data[k:]), defined_root(data[:k])]


def test_the_root_of_a_tree_that_others_computed() -> None:
    """The test vectors of Certificate Transparency's reference implementation."""
    data = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", bytes(range(0x50, 0x58))]
    data.append(bytes(range(0x60, 0x70)))
    assert Tree(data).root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert Tree(data[:1]).root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(leaves)
def test_both_trees_have_the_root_that_the_standard_defines(data: list[bytes]) -> None:
    grown = Range()
    for size, leaf in enumerate(data):
        assert grown.root() == defined_root(data[:size])
        grown.append(leaf)
    assert grown.root() == Tree(data).root() == defined_root(data)
    assert grown.size == Tree(data).size == len(data)


@given(data=some_leaves, cut=st.integers(0, 70))
def test_a_range_goes_on_from_its_peaks_alone(data: list[bytes], cut: int) -> None:
    begun = Range()
    for leaf in data[:cut]:
        begun.append(leaf)
    resumed = Range(begun.size, begun.peaks)
    for leaf in data[cut:]:
        resumed.append(leaf)
    assert resumed.root() == defined_root(data)
    assert len(resumed.peaks) == len(data).bit_count()


def test_peaks_that_cannot_be_those_of_the_size_are_refused() -> None:
    with pytest.raises(ValueError, match="3 leaves has 2 full subtrees, not 1"):
        Range(3, [b"x" * 32])


@given(data=some_leaves, at=st.integers(0, 1000))
def test_every_leaf_is_proved_by_the_path_that_the_standard_defines(data: list[bytes], at: int) -> None:
    index = at % len(data)
    proof = Tree(data).proof(index)
    assert list(proof) == defined_path(index, data)
    assert root_of(data[index], index, len(data), proof) == defined_root(data)


@given(data=some_leaves, at=st.integers(0, 1000), other=st.integers(0, 80), forged=st.binary(max_size=40))
def test_a_proof_proves_nothing_else(data: list[bytes], at: int, other: int, forged: bytes) -> None:
    index, size = at % len(data), len(data)
    proof, root = Tree(data).proof(index), defined_root(data)
    if forged != data[index]:
        assert root_of(forged, index, size, proof) != root
    if other != index and data[other % size] != data[index]:
        assert root_of(data[index], other, size, proof) != root
    for changed in ((*proof, b"x" * 32), (b"x" * 32, *proof), proof[1:] if proof else (b"",)):
        assert root_of(data[index], index, size, changed) != root


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_a_leaf_that_there_is_not(index: int) -> None:
    tree = Tree([b"a", b"b", b"c"])
    with pytest.raises(IndexError):
        tree.proof(index)
    assert root_of(b"a", index, 3, tree.proof(0)) is None
