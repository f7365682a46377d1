"""Refused requests, in the ledger: nothing of them is believed or kept, and a flood of them cannot fill it."""

from __future__ import annotations

import asyncio
import logging

from fastapi.concurrency import run_in_threadpool

from runbooks.case import SYSTEM_STREAM
from runbooks.errors import LedgerError
from runbooks.records import SetAsideRecord
from tasks.gateways.ledger import Ledger

PAUSE_SECONDS = 60.0
_logger = logging.getLogger(__name__)


class Refusals:
    """The first request of a kind is written down at once, those that follow once a minute, by their number.

    Args:
        ledger: Where they are written down.
        what: What was refused, in words.
        pause: Seconds between two entries of a kind.
    """

    def __init__(self, ledger: Ledger, what: str, pause: float = PAUSE_SECONDS) -> None:
        self._ledger = ledger
        self._what = what
        self._pause = pause
        self._counts: dict[str, int] = {}
        """Kind -> how many have come since its last entry."""
        self._reasons: dict[str, str] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def note(self, code: str, reason: str) -> None:
        """Count one refused request. `code` is one of a few; neither it nor the reason says anything it said."""
        self._reasons[code] = reason
        if code in self._counts:
            self._counts[code] += 1
        else:
            await self._write(code, 1)

    async def flush(self, code: str) -> None:
        """Write down how many of a kind have come since its last entry."""
        if count := self._counts.pop(code, 0):
            await self._write(code, count)

    async def _write(self, code: str, count: int) -> None:
        self._counts[code] = 0
        asyncio.get_running_loop().call_later(self._pause, self._flush_later, code)
        reason = self._reasons[code] + (f" ({count} times)" if count > 1 else "")
        record = SetAsideRecord(delivery=None, code=code, what=self._what, reason=reason)
        try:
            await run_in_threadpool(self._ledger.append, SYSTEM_STREAM, record)
        except LedgerError:
            self._counts[code] = self._counts.get(code, 0) + count
            _logger.exception("%s was refused (%s), and that could not be written", self._what, code)

    def _flush_later(self, code: str) -> None:
        task = asyncio.get_running_loop().create_task(self.flush(code))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
