"""Anchoring the ledger: signing what it holds now, and keeping that where its owner cannot reach.

Done by the sweep at every pass. It writes nothing into the ledger: an entry for each checkpoint would need a checkpoint
of its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from runbooks.checkpoint import (
    Checkpoint,
    Place,
    entry_leaf,
    make_checkpoint,
    origin_of,
    read_anchored,
    write_anchored,
)
from runbooks.errors import LedgerError
from runbooks.merkle import Range
from tasks.anchors import anchor_at, checkpoint_signer
from tasks.gateways.ledger import Ledger
from tasks.gateways.ledger.journal import Stretch
from tasks.services import Services
from tasks.settings import Settings

EVERY_ENTRIES = 100
EVERY = timedelta(seconds=60)
"""What comes first since the last checkpoint brings the next one, when the sweep passes."""
MOST_ENTRIES = 10_000
"""What one checkpoint lists at most; where more have come, several are made at once."""


def anchor(have: Services) -> Checkpoint | None:
    """Makes a checkpoint, or several, if there is something to anchor and it is time. The last one made.

    Where there is nothing to do this costs one question to the ledger.

    Raises:
        LedgerError: the ledger, or the anchor, is not the one it was (`ledger-forked`): nothing was anchored.
        Unsafe, InvalidSetting: there is no key that could be used.
        Outside: S3 or KMS cannot be reached, or refused.
    """
    return _desk(have.settings).anchor(have.ledger, have.now())


class _Desk:
    """Anchor, key, and what was anchored last: kept, so that neither is asked for at every pass."""

    def __init__(self, chosen: Settings) -> None:
        self.chosen = chosen
        self._anchor = anchor_at(chosen)
        self._signer = checkpoint_signer(chosen, make=True)
        self._last: _Last | None = None

    def anchor(self, ledger: Ledger, now: datetime) -> Checkpoint | None:
        if self._last is None:
            self._last = self._resume(ledger)
        if not self._is_due(ledger, self._last, now):
            return None
        while True:
            stretch = ledger.stretch(self._last.place, MOST_ENTRIES)
            if stretch.places:
                self._last = self._keep(self._last, stretch, now)
            if stretch.heads is not None:
                return self._last.checkpoint

    def _resume(self, ledger: Ledger) -> _Last:
        """From the newest checkpoint; its tree is believed where it is signed with this key, or else made anew."""
        size = self._anchor.newest()
        if size is None:
            return _Last(None, Range(), None)
        checkpoint, places = read_anchored(self._anchor.read(size))
        if not places:
            raise LedgerError(f"checkpoint {size} lists no entry; see runbooks audit verify", code="ledger-forked")
        if checkpoint.is_signed_by(self._signer.public_key):
            return _Last(checkpoint, checkpoint.range(), places[-1])
        tree = Range()
        for place in ledger.places(places[-1].position):
            tree.append(entry_leaf(place.hash))
        if tree.root().hex() != checkpoint.root:
            raise _forked(size)
        return _Last(checkpoint, tree, places[-1])

    def _is_due(self, ledger: Ledger, last: _Last, now: datetime) -> bool:
        new = ledger.behind(last.place, EVERY_ENTRIES)
        late = last.checkpoint is None or now - last.checkpoint.at >= EVERY
        return new >= EVERY_ENTRIES or (new > 0 and late)

    def _keep(self, last: _Last, stretch: Stretch, now: datetime) -> _Last:
        tree = Range(last.tree.size, last.tree.peaks)
        for place in stretch.places:
            tree.append(entry_leaf(place.hash))
        origin = last.checkpoint.origin if last.checkpoint else origin_of(stretch.places[0].hash)
        made = make_checkpoint(origin, tree, stretch.places, stretch.heads, now, self._signer)
        kept = read_anchored(self._anchor.keep(tree.size, write_anchored(made))).checkpoint
        if kept.root != made.checkpoint.root:
            raise _forked(tree.size)
        return _Last(kept, tree, stretch.places[-1])


class _Last(NamedTuple):
    """What was anchored last."""

    checkpoint: Checkpoint | None
    tree: Range
    place: Place | None


_desks: list[_Desk] = []


def _desk(chosen: Settings) -> _Desk:
    """The one of this process."""
    if not _desks or _desks[0].chosen != chosen:
        _desks[:] = [_Desk(chosen)]
    return _desks[0]


def _forked(size: int) -> LedgerError:
    return LedgerError(
        f"checkpoint {size} was made of another ledger: this one is anchored no further; see runbooks audit verify",
        code="ledger-forked",
    )
