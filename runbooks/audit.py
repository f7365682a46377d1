"""The audit: is the ledger as it was written? Every entry is looked at once, in the order in which they were written.

Chains and heads show what was done by someone who did not, or could not, make everything after it anew. The anchored
checkpoints show the rest, up to the last of them: which entry stood where is signed, and kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from typing import NamedTuple, Protocol

from runbooks.chain import GENESIS, Fault, Head, Problem, Stored, moment_text
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


class Records(Protocol):
    """The ledger, asked about single entries once something is wrong."""

    def numbered(self, stream: str, sequence: int) -> Stored | None: ...
    def last_sequence(self, stream: str) -> int: ...
    def has_hash(self, digest: str) -> bool: ...
    def has_twin(self, entry: Stored) -> bool:
        """Whether another entry has the same hash, or says the same in the same stream."""
        ...


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


def first_problems(audit: Audit, chains: Mapping[str, Problem], records: Records) -> tuple[Problem, ...]:
    """The first problem of each stream that has one, the first of all first.

    Args:
        audit: what became of the pass over all entries.
        chains: the streams that are not whole, or do not end where their heads say, each with what is wrong with it.
        records: the ledger.
    """
    problems, positions = dict(chains), dict(audit.broken)
    problems |= {stream: _problem(place, Fault.EDITED, _NOT_ITS_HASH) for stream, place in audit.edited.items()}
    if audit.divergence is not None:
        told = _explain(audit, audit.divergence, records, broken=chains)
        if audit.divergence.position <= positions.get(told.stream, audit.divergence.position):
            problems[told.stream], positions[told.stream] = told, audit.divergence.position
    end = float("inf")
    return tuple(problems[stream] for stream in sorted(problems, key=lambda each: (positions.get(each, end), each)))


def _explain(audit: Audit, divergence: Divergence, records: Records, *, broken: Collection[str]) -> Problem:
    """Which entry the divergence is about, and what was done to it. `broken`: the streams that are not whole."""
    checkpoint, expected, found = divergence
    if found is None:
        return _missing(records, expected) if broken else _rolled_back(expected)
    if found.position > expected.position:
        return _missing(records, expected)
    known = audit.anchored_later()
    late = found.at > moment_text(checkpoint.at) and not broken  # a ledger that went another way is whole
    if found.position < expected.position:
        return _added(records, found, moved=found.hash in known)
    if found.hash == expected.hash:
        return _renumbered(records, expected, known)
    if (found.stream, found.sequence) != (expected.stream, expected.sequence):
        return _displaced(records, expected, found, moved=found.hash in known, late=late)
    if found.hash in known:
        return _problem(expected, Fault.DELETED, "a later entry has its place and its number")
    if records.has_hash(expected.hash) or (not late and records.has_twin(found)):
        return _added(records, found, moved=False)
    if found.stream in broken:
        return _problem(expected, Fault.EDITED, "another entry was anchored")
    if late:
        return _problem(expected, Fault.FORKED, _LATE)
    return _problem(expected, Fault.REWRITTEN, "another entry was anchored; hashes and heads were made anew")


_NOT_ITS_HASH = "its hash is not the hash of what it says"
_LATE = "it was anchored, and what stands in its place was written after that: an older copy went on from there"


def _rolled_back(expected: Place) -> Problem:
    detail = "it was anchored, and neither it nor any entry after it is there: an older copy, or its end was cut off"
    return _problem(expected, Fault.ROLLED_BACK, detail)


def _missing(records: Records, expected: Place) -> Problem:
    there = records.numbered(expected.stream, expected.sequence)
    if there is not None and there.hash == expected.hash:
        return _problem(expected, Fault.REORDERED, "it was anchored at another place of the ledger")
    if there is not None:
        return _problem(expected, Fault.DELETED, "it was anchored, and another entry has its number")
    if records.last_sequence(expected.stream) > expected.sequence:
        return _problem(expected, Fault.DELETED, "it was anchored, and is not there")
    return _problem(expected, Fault.TRUNCATED, "it was anchored, and the stream ends before it")


def _added(records: Records, found: Stored, *, moved: bool) -> Problem:
    if records.has_twin(found):
        return _problem(found, Fault.DUPLICATED, "it is there twice, and was not anchored here")
    if moved:
        return _problem(found, Fault.REORDERED, "it was anchored at another place of the ledger")
    return _problem(found, Fault.INSERTED, "no entry was anchored in its place")


def _renumbered(records: Records, expected: Place, known: Container[str]) -> Problem:
    """The entry is there, under another number or in another stream."""
    there = records.numbered(expected.stream, expected.sequence)
    if there is None:
        return _problem(expected, Fault.EDITED, "it has another number, or is in another stream")
    if there.hash in known:
        return _problem(expected, Fault.REORDERED, "another entry has its number")
    return _problem(expected, Fault.INSERTED, "an entry that was not anchored has its number")


def _displaced(records: Records, expected: Place, found: Stored, *, moved: bool, late: bool) -> Problem:
    """Another entry stands in the very place of the one that was anchored."""
    there = records.numbered(expected.stream, expected.sequence)
    if there is not None and there.hash == expected.hash:
        return _problem(expected, Fault.REORDERED, _elsewhere(found)) if moved else _added(records, found, moved=False)
    if moved:
        return _missing(records, expected)
    if late:
        return _problem(expected, Fault.FORKED, _LATE)
    if there is None:
        return _missing(records, expected)
    return _problem(expected, Fault.REWRITTEN, _elsewhere(found))


def _elsewhere(found: Stored) -> str:
    return f"{found.stream} entry {found.sequence} stands in its place"


def _problem(entry: Stored | Place, fault: Fault, detail: str) -> Problem:
    return Problem(stream=entry.stream, sequence=entry.sequence, fault=fault, detail=detail)
