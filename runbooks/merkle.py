"""Merkle trees as RFC 6962 (2.1) defines them: one hash over a list that only ever grows, and proofs of what is in it.

A leaf is hashed behind a zero byte and a node behind a one, so that neither can be taken for the other. The list is cut
at the largest power of two that is smaller than it, so what was a full subtree once stays one for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256().digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Range:
    """A tree of which only the roots of its full subtrees are kept, largest first: as many as its size has one bits.

    Leaves are added at the end; the root can be asked for at any size.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)
        if len(self._peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(self._peaks)}")

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def append(self, data: bytes) -> None:
        """Adds a leaf."""
        node = hashlib.sha256(b"\x00" + data).digest()
        size, peaks = self.size, self._peaks
        while size & 1:
            node = hashlib.sha256(b"\x01" + peaks.pop() + node).digest()
            size >>= 1
        peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


class Tree:
    """A tree that keeps all its nodes, to prove its leaves: 64 bytes or more for each leaf."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        level = [leaf_hash(data) for data in leaves]
        self._levels = [level]
        while len(level) > 1:
            level = _parents(level)
            self._levels.append(level)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def root(self) -> bytes:
        return self._levels[-1][0] if self.size else EMPTY

    def proof(self, index: int) -> tuple[bytes, ...]:
        """What `root_of` needs to get from the leaf at `index` to the root, from the leaf's sibling upwards."""
        if not 0 <= index < self.size:
            raise IndexError(f"a tree of {self.size} leaves has none at {index}")
        path: list[bytes] = []
        for level in self._levels[:-1]:
            if (sibling := index ^ 1) < len(level):
                path.append(level[sibling])
            index >>= 1
        return tuple(path)


def root_of(data: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root of the tree of `size` leaves that has `data` at `index`, by its proof; None where that cannot be one."""
    if not 0 <= index < size:
        return None
    node, rest, last = leaf_hash(data), list(reversed(proof)), size - 1
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            sibling = rest.pop()
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return None if rest else node


def _parents(level: list[bytes]) -> list[bytes]:
    """The level above; a last node without a sibling moves up as it is."""
    above = [node_hash(level[left], level[left + 1]) for left in range(0, len(level) - 1, 2)]
    return above if len(level) % 2 == 0 else [*above, level[-1]]
