"""Auditing the ledger against what was anchored of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from runbooks.audit import CheckpointProblem
from runbooks.bundle import make_bundle
from runbooks.case import case_stream, response_stream
from runbooks.chain import canonical
from runbooks.checkpoint import Anchored, Checkpoint, read_anchored
from runbooks.errors import BadInput, LedgerError, NotFound
from tasks.anchors import anchor_at, own_public_key
from tasks.gateways.anchors import Anchor
from tasks.gateways.ledger import Ledger, Verification
from tasks.services import Services

_READERS, _READ_AHEAD = 8, 64


class Bundle(NamedTuple):
    """A bundle, and what it is of."""

    content: bytes
    """Canonical JSON, with a newline behind it."""
    checkpoint: Checkpoint
    entries: int
    left_out: int
    """Entries that were written since the checkpoint."""


def verify(have: Services, place: str | None = None, public_keys: Sequence[bytes] = ()) -> Verification:
    """Looks at every entry, and at every checkpoint that is kept.

    Args:
        have: the services.
        place: where to look for checkpoints; the anchor of the settings where none is named.
        public_keys: those that checkpoints may be signed with; the settings' own where none is given.

    Raises:
        NotFound: there are checkpoints, and no key to check them with.
        InvalidSetting: there is no such place.
        LedgerError, Outside: ledger or anchor cannot be read.
    """
    anchor = anchor_at(have.settings, place)
    sizes = anchor.sizes()
    problems: list[CheckpointProblem] = []
    keys = public_keys or ((own_public_key(have.settings),) if sizes else ())
    found = have.ledger.verify(_trusted(anchor, sizes, keys, problems))
    return found.model_copy(update={"checkpoint_problems": (*problems, *found.checkpoint_problems)})


def export(have: Services, case: str) -> Bundle:
    """What is recorded of a case up to the newest checkpoint, with its proofs.

    Raises:
        NotFound: nothing is anchored yet of this case (`no-checkpoint`), or there is no key.
        LedgerError: the ledger is not the one that was anchored.
    """
    anchored = _newest_whole(have)
    if anchored is None:
        raise NotFound("nothing is anchored yet; the sweep does that, see runbooks sweep", code="no-checkpoint")
    names = _streams_of(have.ledger, case)
    streams = {name: have.ledger.entries(name) for name in names}
    places = have.ledger.places(anchored.places[-1].position)
    known = {place.stream for place in places}
    if case_stream(case) not in known:
        raise NotFound(f"nothing is anchored yet of {case}; try again after the next checkpoint", code="no-checkpoint")
    bundle = make_bundle(case, anchored, places, streams, own_public_key(have.settings))
    inside = sum(len(stream["entries"]) for stream in bundle["streams"])
    return Bundle(canonical(bundle) + b"\n", anchored.checkpoint, inside, sum(map(len, streams.values())) - inside)


def _streams_of(ledger: Ledger, case: str) -> tuple[str, ...]:
    """The case's stream and those of its responses: the table's, and whatever its own entries name."""
    own = case_stream(case)
    responses = {response.id for response in ledger.responses() if case in response.cases}
    responses |= {str(entry.body["response"]) for entry in ledger.entries(own) if "response" in entry.body}
    return (own, *map(response_stream, sorted(responses)))


def _newest_whole(have: Services) -> Anchored | None:
    """The newest checkpoint of the settings' anchor that names the heads of all streams; None where there is none.

    Raises:
        LedgerError: it is not signed with the settings' key.
    """
    anchor = anchor_at(have.settings)
    for size in reversed(anchor.sizes()):
        found = read_anchored(anchor.read(size))
        if not found.checkpoint.is_signed_by(own_public_key(have.settings)):
            raise LedgerError(f"checkpoint {size} is not signed with this key; see runbooks audit verify")
        if found.checkpoint.heads is not None:
            return found
    return None


def _trusted(
    anchor: Anchor, sizes: Sequence[int], keys: Sequence[bytes], problems: list[CheckpointProblem]
) -> Iterator[Anchored]:
    """The checkpoints that are what they should be; of the others is told what is wrong."""
    for size, content in _contents(anchor, sizes):
        try:
            found = read_anchored(content)
        except BadInput as error:
            problems.append(CheckpointProblem(size=size, detail=error.detail))
            continue
        if found.checkpoint.size != size:
            problems.append(CheckpointProblem(size=size, detail=f"it is over {found.checkpoint.size} entries"))
        elif not any(map(found.checkpoint.is_signed_by, keys)):
            detail = f"it is not signed with a key that was given; it names key {found.checkpoint.key_id}"
            problems.append(CheckpointProblem(size=size, detail=detail))
        else:
            yield found


def _contents(anchor: Anchor, sizes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """What is kept, in order, some of it read ahead."""
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(sizes), _READ_AHEAD):
            some = sizes[start : start + _READ_AHEAD]
            yield from zip(some, pool.map(anchor.read, some), strict=True)
