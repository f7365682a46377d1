"""An attack on a response while it is played out, from its finding to its end, by the product's own flows and sweep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from runbooks.case import response_stream
from runbooks.history import ResponseHistory
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tests.attacks.scene import words
from tests.crash_matrix.driver import play, turns
from tests.crash_matrix.line import NOT_AWS
from tests.crash_matrix.world import World


@dataclass
class Played:
    """A world that an attacker has come to, between two of the response's processes."""

    world: World
    ledger: Ledger
    response: str

    @property
    def history(self) -> ResponseHistory:
        return read_history(self.ledger, self.response)

    @property
    def stream(self) -> str:
        return response_stream(self.response)

    def told(self) -> list[str]:
        """Every entry of the response, in a few words."""
        found: list[str] = []
        for entry in self.ledger.entries(self.stream):
            body = entry.body
            more = body.get("result") if entry.kind in ("phase-ended", "response-ended") else body.get("status")
            found.append(f"{words(entry)}: {more}" if isinstance(more, str) else words(entry))
        return found


Moment = Callable[[ResponseHistory], bool]
"""Whether it has come, before one of the response's processes."""


@dataclass(frozen=True)
class PlayedAttack:
    """One way to have a response do what it must not."""

    name: str
    story: str
    """Of `STORIES` here."""
    moment: Moment
    tried: Callable[[Played], object]
    told: str
    """The ledger entry that tells of it: its kind, and how it ended."""
    changes: tuple[str, ...] = ()
    """What is changed in AWS all the same, in order of its name; it does no harm."""


@dataclass(frozen=True)
class Came:
    """What came of an attack."""

    name: str
    changes: list[str]
    """In AWS, until somebody is asked again or the response has ended."""
    told: list[str]
    loud: list[str]
    """Messages in Slack that call people who were not to be called."""


def carried_on(world: World, attack: PlayedAttack) -> Came:
    """The attack is tried, and the response goes on until somebody is asked again, or to its end."""
    played = _played(world)
    done = world.line.done.copy()
    attack.tried(played)
    tried = Counter(played.told())
    for turn in turns(world):
        play(world, turn)
        if any(run.form for run in world.prefect.runs.values()):
            break
    after = Counter(played.told())
    played.ledger.close()
    changes = (name for name in (world.line.done - done).elements() if not name.startswith((*NOT_AWS, "sts:")))
    posted = (f"{message.text} {json.dumps(message.blocks)}" for message in world.slack.messages)
    return Came(attack.name, sorted(changes), sorted(after - tried), [each for each in posted if "<!" in each])


def has_come(world: World, moment: Moment) -> bool:
    ledger = world.ledger()
    rows = ledger.responses()
    come = bool(rows) and moment(read_history(ledger, rows[0].id))
    ledger.close()
    return come


def _played(world: World) -> Played:
    ledger = world.ledger()
    (row,) = ledger.responses()
    return Played(world, ledger, row.id)
