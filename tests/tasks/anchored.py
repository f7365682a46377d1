"""One ledger, opened by one process after another, and what its anchor keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.checkpoint import Checkpoint, read_anchored
from runbooks.errors import RunbooksError
from tasks.anchoring import anchor
from tasks.anchors import anchor_at
from tasks.gateways.ledger import Ledger
from tests.tasks.audited import Audited
from tests.tasks.gateways.ledger.samples import Clock

Open = Callable[..., Audited]


@pytest.fixture
def open_audited(tmp_path: Path) -> Iterator[Open]:
    """Opens one ledger again and again, as processes do; only the first of them makes it."""
    opened: list[Audited] = []
    clock = Clock()

    def open_one(ledger: str = "ledger", **settings: Any) -> Audited:
        url = f"sqlite:///{tmp_path}/{ledger}.db"
        opened.append(Audited(tmp_path / "home", Ledger.open(url, clock=clock), clock, **settings))
        return opened[-1]

    yield open_one
    for each in opened:
        each.ledger.close()


def kept(have: Audited) -> list[Checkpoint]:
    place = anchor_at(have.settings)
    return [read_anchored(place.read(size)).checkpoint for size in place.sizes()]


def refusal(have: Audited) -> RunbooksError:
    """Why nothing is anchored; nothing more is kept than was."""
    before = [(each.size, each.root) for each in kept(have)]
    have.clock.pass_by(seconds=61)
    with pytest.raises(RunbooksError) as refused:
        anchor(have)
    assert [(each.size, each.root) for each in kept(have)] == before
    return refused.value
