"""A checkpoint: a signed statement of what the ledger held, to be kept where the ledger's owner cannot reach.

It names the root of the Merkle tree over the hashes of all entries, in the order they were written in, and the root of
a second tree over the heads of all streams, by name. The first shows that an entry is in the ledger and where; the
second, that a stream ends where it is said to end. Beside it stands the list of the entries that came since the
checkpoint before: where the ledger says otherwise, the list says which entry it is.

What is anchored is a text: the checkpoint as canonical JSON on the first line, one line for each entry of the list
after it. The signature (Ed25519) is over the canonical JSON of everything else in the checkpoint, which names the list
by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Annotated, NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from runbooks.chain import Hash, Head, canonical
from runbooks.errors import BadInput
from runbooks.merkle import Range, Tree
from runbooks.model import Model

ORIGIN = "remediation-runbooks/"
"""What every origin begins with; the first 16 digits of the hash of the ledger's first entry follow."""


class CheckpointSigner(Protocol):
    """Holds the private key, or knows who does."""

    @property
    def public_key(self) -> bytes: ...
    def sign(self, message: bytes) -> bytes: ...


class Place(NamedTuple):
    """Which entry stands where."""

    position: int
    stream: str
    sequence: int
    hash: str


class Checkpoint(Model):
    """What the ledger held once."""

    origin: str
    """Names the ledger, and what is signed here."""
    size: Annotated[int, Field(ge=1)]
    """The number of entries."""
    root: Hash
    peaks: tuple[Hash, ...]
    """The roots of the tree's full subtrees: the tree can be grown on from here without reading what is before."""
    places: Hash
    """SHA-256 of the list of entries."""
    streams: int | None
    heads: Hash | None
    """The root over the streams' heads. None where more entries had been written already when this one was made."""
    at: AwareDatetime
    key_id: str
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    @model_validator(mode="after")
    def _grows_from_its_peaks(self) -> Self:
        if self.range().root().hex() != self.root:
            raise ValueError("its peaks are not those of its root")
        return self

    def range(self) -> Range:
        """The tree as it was then."""
        return Range(self.size, map(bytes.fromhex, self.peaks))

    def is_signed_by(self, public_key: bytes) -> bool:
        """Whether the signature is this key's, over exactly this."""
        if self.key_id != key_id(public_key):
            return False
        try:
            signed = canonical(self.model_dump(mode="json", exclude={"signature"}))
            Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(self.signature), signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class Anchored(NamedTuple):
    """A checkpoint with its list, as an anchor keeps them."""

    checkpoint: Checkpoint
    places: tuple[Place, ...]
    """The entries that came since the checkpoint before, in order, up to the checkpoint's size."""


def make_checkpoint(
    origin: str,
    tree: Range,
    places: Sequence[Place],
    heads: Mapping[str, Head] | None,
    at: datetime,
    signer: CheckpointSigner,
) -> Anchored:
    """The signed checkpoint over what is in the tree.

    Args:
        origin: the ledger's name.
        tree: the tree of all entries, those of `places` included.
        places: the entries that came since the checkpoint before.
        heads: the head of every stream; None where the ledger has more entries than the tree.
        at: when this is made.
        signer: who signs.
    """
    over = None if heads is None else heads_tree(heads)
    said: dict[str, object] = {
        "origin": origin,
        "size": tree.size,
        "root": tree.root().hex(),
        "peaks": [peak.hex() for peak in tree.peaks],
        "places": hashlib.sha256(_list_of(places)).hexdigest(),
        "streams": None if over is None else over.size,
        "heads": None if over is None else over.root().hex(),
        "at": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "key_id": key_id(signer.public_key),
    }
    return Anchored(Checkpoint.model_validate({**said, "signature": signer.sign(canonical(said)).hex()}), tuple(places))


def origin_of(first_hash: str) -> str:
    """The name of the ledger whose first entry has this hash."""
    return ORIGIN + first_hash[:16]


def key_id(public_key: bytes) -> str:
    """Short name of a key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def heads_tree(heads: Mapping[str, Head]) -> Tree:
    """The tree over the heads of streams, sorted by name."""
    return Tree(head_leaf(stream, *heads[stream]) for stream in sorted(heads))


def head_leaf(stream: str, sequence: int, digest: str) -> bytes:
    """What the tree over the heads holds of a stream: canonical JSON."""
    text = f'{{"hash":"{digest}","sequence":{sequence},"stream":{encode_basestring(stream)}}}'
    return text.encode("utf-8", "surrogateescape")


def entry_leaf(digest: str) -> bytes:
    """What the tree over the entries holds of an entry: the hexadecimal digits of its hash."""
    return digest.encode("utf-8", "surrogateescape")


def write_anchored(anchored: Anchored) -> bytes:
    """The text to keep."""
    return canonical(anchored.checkpoint.model_dump(mode="json")) + b"\n" + _list_of(anchored.places)


def read_anchored(content: bytes) -> Anchored:
    """What was kept; its signature is for `is_signed_by` to look at.

    Raises:
        BadInput: It is not a checkpoint with its list.
    """
    first, _, rest = content.partition(b"\n")
    try:
        checkpoint = Checkpoint.model_validate_json(first)
        if hashlib.sha256(rest).hexdigest() != checkpoint.places:
            raise BadInput("its list of entries is not the one it names", code="malformed-checkpoint")
        places = tuple(map(_read_place, rest.decode("utf-8", "surrogateescape").splitlines()))
    except (ValidationError, ValueError) as error:
        raise BadInput("this is no checkpoint", code="malformed-checkpoint") from error
    if len(places) > checkpoint.size:
        raise BadInput("its list has more entries than it is over", code="malformed-checkpoint")
    return Anchored(checkpoint, places)


def _list_of(places: Iterable[Place]) -> bytes:
    lines = (f"{each.position} {each.sequence} {each.hash} {encode_basestring(each.stream)}\n" for each in places)
    return "".join(lines).encode("utf-8", "surrogateescape")


def _read_place(line: str) -> Place:
    position, sequence, digest, stream = line.split(" ", 3)
    return Place(int(position), json.loads(stream), int(sequence), digest)
