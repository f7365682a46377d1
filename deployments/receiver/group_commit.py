"""Group commit: deliveries that arrive while others are being written share the next transaction.

To reach the disk costs about the same for one row as for a hundred. Nobody waits for company: a delivery that comes
alone is written at once. But whoever is at the door by then is let in first: begun a moment too soon, a transaction
leaves half of a burst to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runbooks.errors import LedgerError
from tasks.gateways.ledger import Receipt
from tasks.gateways.ledger.inbox import Incoming

MOST_TOGETHER = 200
"""Deliveries of one transaction."""
MOST_WAITING = 1_000
"""More are not taken: what waits is in memory, and its senders give up after five seconds."""
_QUIET_PASSES = 3
"""Passes of the event loop without a newcomer, after which nobody is at the door. A request that was read becomes a
delivery in two; of an idle loop they take microseconds."""


class GroupCommit:
    """Keeps deliveries, many in one transaction; each is answered for by itself. For one event loop.

    Args:
        write: Puts deliveries on disk, all of them or none, and gives their receipts in the same order. It is called
            in a thread, never twice at a time.
        most_waiting: How many may wait for their transaction.
    """

    def __init__(
        self, write: Callable[[Sequence[Incoming]], Sequence[Receipt]], most_waiting: int = MOST_WAITING
    ) -> None:
        self._write = write
        self._most_waiting = most_waiting
        self._waiting: list[_Member] = []
        self._writing: asyncio.Task[None] | None = None
        """There only while there is something to write: who stops the loop has nothing to wait for but its callers."""

    async def keep(self, key: str, source: str, body: bytes) -> Receipt:
        """Keeps one delivery; it is on disk when this returns.

        Raises:
            LedgerError: Too many wait (`ledger-busy`), or its transaction could not be written; nothing of it is kept.
            BadInput: The ledger cannot hold this one; those that came with it were tried without it.
        """
        if len(self._waiting) >= self._most_waiting:
            raise LedgerError(f"{self._most_waiting} deliveries wait to be written already", code="ledger-busy")
        receipt = asyncio.get_running_loop().create_future()
        self._waiting.append(_Member((key, source, body), receipt))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await receipt

    async def _write_all(self) -> None:
        while self._waiting:
            await self._let_in()
            batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            await self._settle(batch)
        self._writing = None

    async def _let_in(self) -> None:
        quiet, there = 0, 0
        while quiet < _QUIET_PASSES and there < MOST_TOGETHER:
            quiet, there = (quiet + 1 if len(self._waiting) == there else 0), len(self._waiting)
            await asyncio.sleep(0)

    async def _settle(self, batch: Sequence[_Member]) -> None:
        """Write a batch. What is wrong with one of its members is found by writing each alone."""
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, [each.incoming for each in batch]))
        await asyncio.wait([writing])
        fault = writing.exception()
        if fault is None:
            for each, receipt in zip(batch, writing.result(), strict=True):
                each.tell(receipt)
        elif isinstance(fault, LedgerError) or len(batch) == 1:
            for each in batch:
                each.tell(fault)
        else:
            for each in batch:
                await self._settle([each])


class _Member(NamedTuple):
    incoming: Incoming
    receipt: asyncio.Future[Receipt]

    def tell(self, outcome: Receipt | BaseException) -> None:
        if self.receipt.done():
            return  # its caller was cancelled
        if isinstance(outcome, BaseException):
            self.receipt.set_exception(outcome)
        else:
            self.receipt.set_result(outcome)
