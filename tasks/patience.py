"""How long a response is tried again when nothing moves: an ever longer pause, then a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbooks.history import HALTED, PAUSED, ResponseHistory
from runbooks.records import Intent, RunStarted, Waiting
from tasks.run import Run

MOST_IDLE_RUNS = 8
FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300
HALTED_PAUSE_SECONDS = 3600
"""The sweep wakes what is halted as soon as it is not."""


def exhausted(run: Run) -> str | None:
    """Why nothing more is tried: so many runs in a row wrote down nothing but trouble. None while there is hope."""
    idle = idle_runs(run.history())
    return f"{idle} runs in a row got nothing done" if idle > MOST_IDLE_RUNS else None


def next_try(run: Run) -> datetime:
    pause = FIRST_PAUSE_SECONDS * 2 ** idle_runs(run.history())
    return run.now() + timedelta(seconds=min(pause, LONGEST_PAUSE_SECONDS))


def next_turn(run: Run, held: str) -> datetime:
    """When to look again at what the kill switch or the limits hold back, without being any nearer to giving up."""
    if held in (HALTED, PAUSED):
        return run.now() + timedelta(seconds=HALTED_PAUSE_SECONDS)
    waits = [dated.record.phase for dated in run.history().entries if isinstance(dated.record, Waiting)]
    in_a_row = next((count for count, phase in enumerate(reversed(waits)) if phase != held), len(waits))
    pause = min(FIRST_PAUSE_SECONDS * 2**in_a_row, LONGEST_PAUSE_SECONDS, run.services.settings.maximum_look_seconds)
    return run.now() + timedelta(seconds=pause)


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
