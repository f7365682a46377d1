"""A run that is stopped between its check and its call, while another takes its case over: what is left of fencing.

The lease is checked immediately before a call leaves. A process that is stopped (SIGSTOP, a suspended machine) right
after that check is overtaken like a dead one; when it goes on, its call leaves all the same. It is the only one: the
next is checked again, and refused. What bounds it is AWS, which takes no signature older than five minutes (IAM user
guide, "Signature Version 4", request timestamps); the sandbox does not look at that, so nothing is bounded here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tasks.run import Run
from tests.crash_matrix.driver import Turn, play, turns
from tests.crash_matrix.judge import Facts, Wrong, compare, facts_of
from tests.crash_matrix.line import Event
from tests.crash_matrix.world import World


@dataclass(frozen=True)
class Late:
    """One call that was held back until another run had brought the response home."""

    event: Event
    took_effect: bool
    """It leaves in any case; AWS refuses some of them, for what they would make or change is there."""
    others: int
    """Changes the stopped run made after that one."""
    wrong: list[tuple[Wrong, str]]


def stopping_at(program: Callable[[World], None], operation: str, occurrence: int) -> Callable[[World], None]:
    """The program, which stops itself between the check and the leaving of this call."""

    def stopped(world: World) -> None:
        check, seen = Run._may_leave, 0

        def check_and_stop(run: Run, name: str) -> None:
            nonlocal seen
            check(run, name)
            if name == operation:
                seen += 1
                if seen == occurrence + 1:
                    os.kill(os.getpid(), signal.SIGSTOP)

        Run._may_leave = check_and_stop  # type: ignore[method-assign]
        program(world)

    return stopped


def overtaken_at(world: World, *, turn: Turn, event: Event, undisturbed: Facts) -> Late:
    """Stop the turn's process there, let another bring the response home, and let it go on."""
    assert turn.run is not None
    world.prefect.move(turn.run, "RUNNING")
    world.line.anew()
    child = world.begin(stopping_at(turn.program, event.name.partition(":")[2], event.occurrence))
    _, status = os.waitpid(child, os.WUNTRACED)  # it stops; it does not end
    assert os.WIFSTOPPED(status), f"{event} was not reached"
    for later in turns(world):
        play(world, later)
    before = world.line.done.copy()
    os.kill(child, signal.SIGCONT)
    os.waitpid(child, 0)
    late = world.line.done - before
    took_effect = late[event.name] > 0
    return Late(event, took_effect, late.total() - took_effect, list(compare(undisturbed, facts_of(world))))
