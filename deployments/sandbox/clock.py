"""The sandbox's own time, and what is to happen in it.

Nothing runs in the background: what has become due is carried out, in order and each at its own moment, when somebody
next looks. A test advances the clock and needs no sleep; a demo lets it run at its pace.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Action = Callable[[], None]


class Clock:
    """Real time times a pace, plus what was advanced by hand; with a list of what is due when.

    Args:
        pace: sandbox seconds that pass in one real second.
        real: where real time comes from, in seconds.
    """

    def __init__(self, pace: float = 1.0, real: Callable[[], float] = time.time) -> None:
        self._pace = pace
        self._real = real
        self._started = real()
        self._advanced = timedelta()
        self._moment: datetime | None = None
        self._due: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The sandbox's time in UTC; inside an action, the moment that action was due."""
        if self._moment is not None:
            return self._moment
        passed = (self._real() - self._started) * self._pace
        # Added apart: as one float the two would be a microsecond off now and then, and a token short.
        return datetime.fromtimestamp(self._started + passed, UTC) + self._advanced

    def advance(self, seconds: float) -> None:
        """Move the clock forward and carry out what has become due.

        Raises:
            ValueError: seconds is negative; sandbox time never runs backwards.
        """
        if seconds < 0:
            raise ValueError("the sandbox clock only moves forward")
        self._advanced += timedelta(seconds=seconds)
        self.catch_up()

    def after(self, seconds: float, action: Action) -> None:
        """Have the action carried out this many sandbox seconds from now."""
        heapq.heappush(self._due, (self.now() + timedelta(seconds=seconds), next(self._order), action))

    def catch_up(self) -> None:
        """Carry out everything that is due, oldest first, including what that makes due in turn."""
        until = self.now()
        while self._due and self._due[0][0] <= until:
            moment, _, action = heapq.heappop(self._due)
            self._moment = moment
            try:
                action()
            finally:
                self._moment = None

    def reset(self) -> None:
        """Back to real time, with nothing due."""
        self._started = self._real()
        self._advanced = timedelta()
        self._due.clear()
