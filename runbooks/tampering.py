"""What was done to a ledger, and to which entry first, once an audit has found that it is not as it was written.

That something was done is certain. What it was is read from what was anchored and what is there now; where chains and
heads were made anew, the same ledger can come of more than one act, and the simplest is told.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from typing import Protocol

from runbooks.audit import Audit, Divergence
from runbooks.chain import Fault, Problem, Stored, moment_text
from runbooks.checkpoint import Place


class Records(Protocol):
    """The ledger, asked about single entries once something is wrong."""

    def numbered(self, stream: str, sequence: int) -> Stored | None: ...
    def last_sequence(self, stream: str) -> int: ...
    def has_hash(self, digest: str) -> bool: ...
    def has_twin(self, entry: Stored) -> bool:
        """Whether another entry has the same hash, or says the same in the same stream."""
        ...


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
