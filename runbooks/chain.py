"""The chain: each ledger entry carries the hash of the one before it, so that a changed past cannot hide.

An entry's hash is SHA-256 over the RFC 8785 canonical JSON of everything else in it. Streams (one case, one response,
the system) are chains of their own. A chain alone cannot show that its end was cut off: the head (sequence and hash of
the last entry) is stored apart and compared. Whoever can write entries and heads can make both anew: what shows that is
in `runbooks.audit` and `runbooks.tampering`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from json.encoder import encode_basestring
from typing import Annotated, Any, NamedTuple, Protocol

import rfc8785
from pydantic import AwareDatetime, Field, ValidationError

from runbooks.errors import BadInput
from runbooks.model import Model
from runbooks.records import Record, record_adapter

GENESIS = "0" * 64
"""What the first entry of a stream names as the hash before it."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Head = tuple[int, str]
"""Sequence and hash of a stream's last entry; (0, GENESIS) of an empty stream."""

_LARGEST_EXACT = 2**53 - 1


class UnknownRecord(Model):
    """A record that this version cannot read: written by a newer one. Kept, shown, never acted upon."""

    kind: str
    body: dict[str, Any]


class Entry(Model):
    """One record in its place in one stream."""

    stream: str
    sequence: Annotated[int, Field(ge=1)]
    kind: str
    at: AwareDatetime
    """When it was written, UTC."""
    body: dict[str, Any]
    previous: Hash
    hash: Hash

    def record(self) -> Record | UnknownRecord:
        """The record; an UnknownRecord where a newer version wrote it. Never raises."""
        try:
            return record_adapter.validate_python(self.body)
        except ValidationError:
            return UnknownRecord(kind=self.kind, body=self.body)

    def computed_hash(self) -> str:
        """What `hash` must be for the rest of the entry.

        Raises:
            BadInput: The body holds what canonical JSON cannot.
        """
        return hash_of(self.text())

    def text(self) -> str:
        """What the hash is over.

        Raises:
            BadInput: The body holds what canonical JSON cannot.
        """
        body = canonical(self.body).decode()
        return sealed_text(self.stream, self.sequence, self.kind, moment_text(self.at), body, self.previous)


class Stored(NamedTuple):
    """An entry as it is stored: text, read by nobody yet, and perhaps not what an entry may be."""

    position: int
    """Its place in the order in which all entries were written."""
    stream: str
    sequence: int
    kind: str
    at: str
    body: str
    previous: str
    hash: str

    def computed_hash(self) -> str:
        """What `hash` must be for the rest of the entry. Never raises."""
        return hash_of(sealed_text(self.stream, self.sequence, self.kind, self.at, self.body, self.previous))


class Fault(StrEnum):
    """What was done. The last three leave every chain whole: only a checkpoint shows them."""

    EDITED = "edited"
    DELETED = "deleted"
    REORDERED = "reordered"
    INSERTED = "inserted"
    DUPLICATED = "duplicated"
    TRUNCATED = "truncated"
    ROLLED_BACK = "rolled back"
    FORKED = "forked"
    REWRITTEN = "rewritten"


class Problem(Model):
    """The first entry of a stream that does not verify."""

    stream: str
    sequence: int
    fault: Fault
    detail: str

    def __str__(self) -> str:
        return f"{self.stream} entry {self.sequence} was {self.fault}: {self.detail}"


def seal(stream: str, sequence: int, at: datetime, record: Record, previous: str) -> tuple[Entry, str]:
    """The entry for `record` behind the entry whose hash is `previous`, and its body as it is to be stored.

    Raises:
        BadInput: The record holds what canonical JSON cannot (an integer of 2^53 or more, half a surrogate pair).
    """
    moment = at.astimezone(UTC)
    body = canonical(record.model_dump(mode="json")).decode()
    entry = Entry(
        stream=stream,
        sequence=sequence,
        kind=record.kind,
        at=moment,
        body=read_body(body),
        previous=previous,
        hash=hash_of(sealed_text(stream, sequence, record.kind, moment_text(moment), body, previous)),
    )
    return entry, body


def sealed_text(stream: str, sequence: int, kind: str, at: str, body: str, previous: str) -> str:
    """The canonical JSON of an entry without its hash, from its parts: a body is stored as canonical JSON already."""
    quoted = encode_basestring
    return (
        f'{{"at":{quoted(at)},"body":{body},"kind":{quoted(kind)},"previous":{quoted(previous)},'
        f'"sequence":{sequence},"stream":{quoted(stream)}}}'
    )


def hash_of(text: str) -> str:
    """The hash of an entry whose text is this. Bytes in what is stored that are no text count as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def moment_text(at: datetime) -> str:
    """The time as an entry's text has it: UTC, always with microseconds, so that text sorts as time does."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def canonical(value: dict[str, Any]) -> bytes:
    """`value` as RFC 8785 canonical JSON.

    Raises:
        BadInput: It holds what canonical JSON cannot.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise BadInput(f"this cannot be recorded as canonical JSON: {error}", code="not-recordable") from error


def read_body(text: str | bytes) -> dict[str, Any]:
    """The body behind its canonical JSON, such that its canonical JSON is that text again."""
    return json.loads(text, parse_int=_read_integer)


class Sealed(Protocol):
    """What verifying needs of an entry."""

    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def previous(self) -> str: ...
    @property
    def hash(self) -> str: ...
    def computed_hash(self) -> str: ...


def verify_stream(entries: Iterable[Sealed], head: Head | None) -> Problem | None:
    """The first entry of one stream that is not as it was written; None when all verify up to `head`.

    Entries are read once, in the order they are stored in; memory stays bounded. `head` None: no head was stored.
    A problem of a stream without any entry has an empty stream name.
    """
    rest = iter(entries)
    before_last, last = GENESIS, None
    for entry in rest:
        problem = _compare(entry, last, before_last, rest)
        if problem is not None:
            return problem
        before_last, last = entry.previous, entry
    return _compare_head(last, head or (0, GENESIS))


def _compare(entry: Sealed, last: Sealed | None, before_last: str, rest: Iterator[Sealed]) -> Problem | None:
    """What is wrong where `entry` follows `last`. May read on in `rest` to tell what happened, once something did."""
    expected = 1 if last is None else last.sequence + 1
    previous = GENESIS if last is None else last.hash
    if entry.sequence < expected:
        fault = Fault.DUPLICATED if _is_sealed(entry) else Fault.INSERTED
        return _problem(entry, entry.sequence, fault, f"its place is taken, and it is stored before entry {expected}")
    if entry.sequence > expected:
        if any(later.sequence == expected for later in rest):
            return _problem(entry, expected, Fault.REORDERED, f"entry {entry.sequence} is stored before it")
        return _problem(entry, expected, Fault.DELETED, f"entry {entry.sequence} follows where it belongs")
    sealed = _is_sealed(entry)
    if entry.previous == previous:
        return None if sealed else _problem(entry, expected, Fault.EDITED, "its hash is not the hash of what it says")
    if last is not None and entry.previous == before_last:
        return _problem(entry, last.sequence, Fault.INSERTED, "the entry after it follows the one before it")
    if last is not None and sealed:
        return _problem(entry, last.sequence, Fault.EDITED, "the entry after it was written behind another one")
    if any(later.previous == previous for later in rest):
        return _problem(entry, expected, Fault.REORDERED, "another entry was written in its place")
    if sealed:
        return _problem(entry, expected, Fault.EDITED, "it does not begin the stream as a first entry does")
    return _problem(entry, expected, Fault.DELETED, "no entry follows the one before it; later ones were renumbered")


def _is_sealed(entry: Sealed) -> bool:
    try:
        return entry.hash == entry.computed_hash()
    except BadInput:
        return False


def _compare_head(last: Sealed | None, head: Head) -> Problem | None:
    sequence, digest = head
    stream, end, end_digest = ("", 0, GENESIS) if last is None else (last.stream, last.sequence, last.hash)
    if end < sequence:
        detail = f"the stream's head is entry {sequence}, its last stored entry is {end}"
        return Problem(stream=stream, sequence=end + 1, fault=Fault.TRUNCATED, detail=detail)
    if end > sequence:
        detail = f"the stream's head is entry {sequence}"
        return Problem(stream=stream, sequence=sequence + 1, fault=Fault.INSERTED, detail=detail)
    if end_digest != digest:
        detail = "its hash is not the one the stream's head names"
        return Problem(stream=stream, sequence=end, fault=Fault.EDITED, detail=detail)
    return None


def _problem(entry: Sealed, sequence: int, fault: Fault, detail: str) -> Problem:
    return Problem(stream=entry.stream, sequence=sequence, fault=fault, detail=detail)


def _read_integer(digits: str) -> int | float:
    """Canonical JSON writes 1e17 as digits; as an int it would be refused the next time, so it stays a float."""
    number = int(digits)
    return number if abs(number) <= _LARGEST_EXACT else float(number)
