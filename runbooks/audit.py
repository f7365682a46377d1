"""The audit: is the ledger as it was written? Every entry is looked at once, in the order in which they were written.

Chains and heads show what was done by someone who did not, or could not, make everything after it anew. The anchored
checkpoints show the rest, up to the last of them: which entry stood where is signed, and kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from runbooks.chain import GENESIS, Head, Stored
from runbooks.checkpoint import Anchored, Checkpoint, Place, entry_leaf, heads_tree
from runbooks.merkle import Range
from runbooks.model import Model

_NO_ENTRY: Head = (0, GENESIS)


class CheckpointProblem(Model):
    """A checkpoint that says nothing of the ledger, or says what no entry explains."""

    size: int
    detail: str

    def __str__(self) -> str:
        return f"checkpoint {self.size}: {self.detail}"


class Divergence(NamedTuple):
    """The first place of the ledger at which something else stands than what was anchored."""

    checkpoint: Checkpoint
    expected: Place
    found: Stored | None
    """None where the ledger ends."""

    @property
    def position(self) -> int:
        return self.expected.position if self.found is None else min(self.expected.position, self.found.position)


class Audit:
    """Takes the entries one after another, and the checkpoints (by size, each once) as it comes to them.

    What it keeps in memory are the heads of the streams and two checkpoints.
    """

    def __init__(self, anchored: Iterable[Anchored] = ()) -> None:
        self.heads: dict[str, Head] = {}
        """The last entry of each stream that is whole so far."""
        self.broken: dict[str, int] = {}
        """The streams that are not, by the position of the first entry that does not follow."""
        self.edited: dict[str, Place] = {}
        """Those of them whose first such entry stands where it was anchored, under the hash it was anchored with."""
        self.divergence: Divergence | None = None
        self.problems: list[CheckpointProblem] = []
        self.checkpoints = 0
        """How many say what the entries say."""
        self.agreed: Checkpoint | None = None
        """The last of those."""
        self.after: tuple[str, str] | None = None
        """When the first and the last of the entries after that checkpoint were written."""
        self._tree = Range()
        self._anchored = iter(anchored)
        self._next = next(self._anchored, None)
        self._following = next(self._anchored, None)
        self._unlisted = False
        """Whether entries were passed that no list names: a checkpoint is not there any more."""

    @property
    def entries(self) -> int:
        return self._tree.size

    def take(self, entry: Stored) -> None:
        """Looks at the next entry."""
        follows = entry.stream in self.broken or self._follows(entry)
        anchored = self._next if self.divergence is None else None
        if anchored is not None:
            self._compare(anchored, entry, follows=follows)
        self._tree.append(entry_leaf(entry.hash))
        self.after = (self.after[0] if self.after else entry.at, entry.at)
        if anchored is not None and self.divergence is None and self._tree.size == anchored.checkpoint.size:
            self._arrive(anchored.checkpoint)

    def end(self) -> None:
        """There are no more entries. What was anchored and did not come is missing."""
        if self._next is None or self.divergence is not None:
            return
        checkpoint, expected = self._next.checkpoint, self._expected(self._next)
        if expected is None:
            self._problem(checkpoint, f"the ledger has {self.entries} entries only; what is missing, no list says")
        else:
            self.divergence = Divergence(checkpoint, expected, None)

    def anchored_later(self) -> frozenset[str]:
        """The hashes of what was anchored behind the divergence. Reads all that is left: asked for once."""
        if self.divergence is None:
            return frozenset()
        here, left = self.divergence.expected.position, (self._next, self._following, *self._anchored)
        places = (place for anchored in left if anchored for place in anchored.places)
        return frozenset(place.hash for place in places if place.position > here)

    def _follows(self, entry: Stored) -> bool:
        """Whether it stands behind the entry before it in its stream. If so it is the stream's head from here on."""
        sequence, previous = self.heads.get(entry.stream, _NO_ENTRY)
        linked = entry.sequence == sequence + 1 and entry.previous == previous
        if linked and entry.computed_hash() == entry.hash:
            self.heads[entry.stream] = (entry.sequence, entry.hash)
            return True
        self.broken[entry.stream] = entry.position
        return False

    def _compare(self, anchored: Anchored, entry: Stored, *, follows: bool) -> None:
        expected = self._expected(anchored)
        if expected is None:
            self._unlisted = True
        elif expected != (entry.position, entry.stream, entry.sequence, entry.hash):
            self.divergence = Divergence(anchored.checkpoint, expected, entry)
        elif not follows:
            self.edited[entry.stream] = expected

    def _expected(self, anchored: Anchored) -> Place | None:
        index = self._index(anchored)
        return anchored.places[index] if index >= 0 else None

    def _index(self, anchored: Anchored) -> int:
        """Which of its list the next entry is; below 0 where its list begins later."""
        return self._tree.size - anchored.checkpoint.size + len(anchored.places)

    def _arrive(self, checkpoint: Checkpoint) -> None:
        if self._tree.root().hex() == checkpoint.root:
            self.agreed, self.after, self._unlisted = checkpoint, None, False
            self.checkpoints += 1
            if self._following is None and checkpoint.heads is not None and not self.broken:
                self._compare_heads(checkpoint)
            self._next, self._following = self._following, next(self._anchored, None)
            return
        which = "; which one is another, no list says" if self._unlisted else ": it was made of another ledger"
        since = 1 if self.agreed is None else self.agreed.size + 1
        self._problem(
            checkpoint, f"entries {since} to {checkpoint.size} of the ledger are not those it was made of{which}"
        )
        self._next = None

    def _compare_heads(self, checkpoint: Checkpoint) -> None:
        if heads_tree(self.heads).root().hex() != checkpoint.heads:
            self._problem(checkpoint, "its heads are not those of the entries: heads were changed before it was made")

    def _problem(self, checkpoint: Checkpoint, detail: str) -> None:
        self.problems.append(CheckpointProblem(size=checkpoint.size, detail=detail))
