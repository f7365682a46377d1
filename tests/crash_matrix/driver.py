"""How a response is carried to its end: a worker runs what is scheduled, the sweep keeps it moving, a person answers.

Nothing here knows where anything broke: what brings a response home is the product's own sweep.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from runbooks.case import APPROVERS_STREAM
from tests.crash_matrix.executor import LEASE_SECONDS, flow_run, one_sweep
from tests.crash_matrix.line import Blow, Event
from tests.crash_matrix.prefect_api import FlowRun
from tests.crash_matrix.world import World
from tests.runbooks.signatures import JANE, added, code_of, signed

MOST_TURNS = 120
AFTER_A_DEATH = LEASE_SECONDS + 26 + 1
"""Seconds after which a silent run's lease has lapsed and settled."""
CODE_SECONDS = 31
"""After which an authenticator shows another code: each counts once."""


@dataclass(frozen=True)
class Turn:
    """One process: a flow run, or a pass of the sweep."""

    run: FlowRun | None

    @property
    def program(self) -> Callable[[World], None]:
        return flow_run(self.run) if self.run else one_sweep

    def __str__(self) -> str:
        return "flow" if self.run else "sweep"


class NeverEnds(Exception):
    """The response has not come home."""


def deliver(world: World) -> None:
    """An approver is registered, and the finding lies in the inbox as the receiver leaves it."""
    ledger = world.ledger()
    ledger.append(APPROVERS_STREAM, *signed(added(JANE)))
    ledger.receive("finding-1", "webhook", json.dumps(world.built["event"], default=str).encode())
    ledger.close()


def turns(world: World) -> Iterator[Turn]:
    """The processes that bring the response to its end, one after another; each is to be played before the next.

    Raises:
        NeverEnds: it takes too many.
    """
    for _ in range(MOST_TURNS):
        if due := world.prefect.due():
            yield Turn(due[0])
        elif _has_ended(world):
            return
        elif not _answer_forms(world):
            _let_time_pass(world)
            yield Turn(None)
    raise NeverEnds


def play(world: World, turn: Turn, blow: Blow | None = None, *, here: bool = False) -> list[Event]:
    """Run the turn's process to its end, or to its death. A worker that dies with its run reports nothing.

    Args:
        here: in this very process instead of one of its own.
    """
    if turn.run is not None:
        world.prefect.move(turn.run, "RUNNING")
    code, events = world.rehearse(turn.program) if here else world.run(turn.program, blow)
    if turn.run is not None and turn.run.status == "RUNNING" and code >= 0:
        world.prefect.move(turn.run, "COMPLETED" if code == 0 else "FAILED")
    return events


def _answer_forms(world: World) -> bool:
    asked = [run for run in world.prefect.runs.values() if run.form]
    for run in asked:
        world.moment.advance(CODE_SECONDS)
        code = code_of(JANE, world.moment.now())
        values = {"decision": "approve", "approver": JANE, "one_time_code": code, "comment": "go ahead"}
        world.prefect.answer(run, values)
    return bool(asked)


def _has_ended(world: World) -> bool:
    ledger = world.ledger()
    rows = ledger.responses()
    ledger.close()
    return bool(rows) and all(row.status == "ended" for row in rows)


def _let_time_pass(world: World) -> None:
    """To the moment at which the sweep has something to do, as far as anyone can tell."""
    ledger = world.ledger()
    live = [row for row in ledger.responses() if row.status != "ended"]
    ledger.close()
    now = world.moment.now()
    for row in live:
        match row.status:
            case "waiting" if row.look_again_at is not None:
                world.moment.advance((row.look_again_at - now) / timedelta(seconds=1))
            case "running":
                world.moment.advance(AFTER_A_DEATH)
            case "starting" | "asking":
                world.moment.advance(91)
            case _:
                pass
