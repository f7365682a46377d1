"""How long a response is tried again when nothing moves: an ever longer pause, then a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbooks.history import ResponseHistory
from runbooks.records import Intent, RunStarted, Waiting
from tasks.run import Run

MOST_IDLE_RUNS = 8
FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300


def exhausted(run: Run) -> str | None:
    """Why nothing more is tried: so many runs in a row wrote down nothing but trouble. None while there is hope."""
    idle = idle_runs(run.history())
    return f"{idle} runs in a row got nothing done" if idle > MOST_IDLE_RUNS else None


def next_try(run: Run) -> datetime:
    pause = FIRST_PAUSE_SECONDS * 2 ** idle_runs(run.history())
    return run.now() + timedelta(seconds=min(pause, LONGEST_PAUSE_SECONDS))


def idle_runs(history: ResponseHistory) -> int:
    """How many runs have begun since something other than trouble was last written down."""
    count = 0
    for dated in reversed(history.entries):
        match dated.record:
            case RunStarted():
                count += 1
            case Waiting(phase="trouble") | Intent(digest=None):
                # A message or a ticket that was only meant to be sent is no progress.
                continue
            case _:
                break
    return count
