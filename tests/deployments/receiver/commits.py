"""How many transactions there were, and a door in front of the ledger, to hold up what is to be written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event

from tasks.gateways.ledger import Ledger, Receipt
from tasks.gateways.ledger.inbox import Incoming


def commits_of(ledger: Ledger) -> list[Any]:
    """Grows by one with each transaction of the ledger."""
    commits: list[Any] = []
    event.listen(ledger._database.engine, "commit", commits.append)
    return commits


def keys(ledger: Ledger) -> list[str]:
    return sorted(delivery.key for delivery in ledger.deliveries(limit=10_000))


@dataclass
class Door:
    """In front of the ledger: what is to be written waits here until the door is opened."""

    ledger: Ledger
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list[int])

    def receive_all(self, batch: Sequence[Incoming]) -> Sequence[Receipt]:
        self.reached.set()
        assert self.opened.wait(60)
        self.batches.append(len(batch))
        return self.ledger.receive_all(batch)
