"""The time of one world, shared by its processes: nobody waits in real time."""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime

_SIZE = struct.calcsize("d")


class Moment:
    """Seconds since the epoch, in memory that a forked child shares and may move on."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._write(float(int(time.time())))

    def __call__(self) -> float:
        return struct.unpack("d", self._memory[:_SIZE])[0]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)

    def advance(self, seconds: float) -> None:
        self._write(self() + max(seconds, 0.0))

    def part(self) -> None:
        """From here on this process, and what it forks, has a time of its own."""
        moment, self._memory = self(), mmap.mmap(-1, _SIZE)
        self._write(moment)

    def _write(self, moment: float) -> None:
        self._memory[:_SIZE] = struct.pack("d", moment)
