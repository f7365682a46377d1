"""Instances as their owners left them, and what befalls a response over them: generated, the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

from tests.tasks.shaky import Blow

QUARANTINED = -1
"""In place of an interface's groups: an earlier response has left it in quarantine."""
MOST_INTERFACES, MOST_GROUPS, MOST_VOLUMES = 15, 5, 8
SCALING = ("front", "back")
TARGET_GROUPS = ("web", "api", "admin")
PORTS = (80, 8080)
When = Literal["before", "between"]
Change = Literal[
    "groups", "shutdown", "termination", "volume", "target", "membership", "protection", "power", "tag", "end"
]


@dataclass(frozen=True)
class Place:
    """Where an instance stands in an Auto Scaling group."""

    group: str
    protected: bool
    standby: bool
    registered: bool
    """Whether the instance is still in the target group that the Auto Scaling group looks after."""


@dataclass(frozen=True)
class Owned:
    """One instance."""

    network: int
    """Which of the VPCs."""
    interfaces: tuple[tuple[int, ...], ...]
    """The numbers of the ordered groups of each."""
    elsewhere: int
    """How many of them, the last ones, are in yet another VPC."""
    volumes: tuple[bool, ...]
    """Whether each goes with the instance."""
    protected: bool
    shutdown: Literal["stop", "terminate"]
    stopped: bool
    address: Literal["none", "public", "elastic"]
    scaling: Place | None
    targets: tuple[tuple[str, int], ...]
    """Target group and port."""


@dataclass(frozen=True)
class Size:
    """An Auto Scaling group beside the instances described."""

    minimum: int
    others: int
    room: int
    protects_new: bool
    balanced: bool
    """Whether it looks after a target group."""


@dataclass(frozen=True)
class Crash:
    blow: Blow
    depth: int
    """How far into the plan, in thousandths."""


@dataclass(frozen=True)
class Meddling:
    """What somebody else does."""

    when: When
    """Before anything was contained but after the plan was approved, or between containment and release."""
    whose: int
    change: Change


@dataclass(frozen=True)
class Course:
    """What the runbook chooses, what the groups are like, and what happens on the way."""

    choices: dict[str, Any]
    sizes: dict[str, Size]
    crashes: dict[str, Crash]
    meddling: tuple[Meddling, ...]


@dataclass(frozen=True)
class Round:
    """One response over several instances."""

    number: int
    instances: tuple[Owned, ...]
    course: Course


def rounds(number: int, together: int, seed: int = 20) -> list[Round]:
    """So many instances in responses of so many; of one seed always the same ones."""
    random = Random(seed)
    found: list[Round] = []
    for start in range(0, number, together):
        course = _course(random, together)
        # Connections are not cut where there is a path from the internet.
        reachable = not course.choices["cut_connections"]
        instances = (_owned(random, reachable=reachable) for _ in range(min(together, number - start)))
        found.append(Round(len(found) + 1, tuple(instances), course))
    return found


def _owned(random: Random, *, reachable: bool) -> Owned:
    interfaces = random.randint(1, MOST_INTERFACES)
    stopped = _rarely(random)
    return Owned(
        network=random.randint(0, 1),
        interfaces=tuple(
            (QUARANTINED,) if _rarely(random) else tuple(random.sample(range(10), random.randint(1, MOST_GROUPS)))
            for _ in range(interfaces)
        ),
        elsewhere=min(interfaces - 1, random.choice([0, 0, 0, 1, 2])),
        volumes=tuple(_evenly(random) for _ in range(random.randint(1, MOST_VOLUMES))),
        protected=_evenly(random),
        shutdown=random.choice(["stop", "terminate"]),
        stopped=stopped,
        address=random.choice(["none", "none", "public", "elastic"]) if reachable else "none",
        scaling=_place(random) if _evenly(random) and not stopped else None,
        targets=tuple((group, port) for group in TARGET_GROUPS for port in PORTS if random.random() < 0.3),
    )


def _place(random: Random) -> Place:
    return Place(
        group=random.choice(SCALING),
        protected=_evenly(random),
        standby=_rarely(random),
        registered=not _rarely(random),
    )


def _course(random: Random, members: int) -> Course:
    return Course(
        choices={
            "stop": _evenly(random),
            "cut_connections": _evenly(random),
            "replacement_capacity": random.choice(["launch", "none"]),
            "protect_evidence": random.choice([True, True, False]),
            "snapshots": _evenly(random),
        },
        sizes={group: _size(random, members) for group in SCALING},
        crashes={phase: _crash(random) for phase in ("contain", "release") if _evenly(random)},
        meddling=tuple(_meddling(random, members) for _ in range(random.choice([0, 0, members // 4, members // 2]))),
    )


def _size(random: Random, members: int) -> Size:
    return Size(
        minimum=random.randint(0, members // 2),
        others=random.randint(0, 2),
        room=random.choice([0, 1, members // 4, members]),
        protects_new=_evenly(random),
        balanced=_evenly(random),
    )


def _crash(random: Random) -> Crash:
    return Crash(blow=random.choice(get_args(Blow)), depth=random.randrange(1000))


def _meddling(random: Random, members: int) -> Meddling:
    return Meddling(
        when=random.choice(get_args(When)), whose=random.randrange(members), change=random.choice(get_args(Change))
    )


def _evenly(random: Random) -> bool:
    return random.random() < 0.5


def _rarely(random: Random) -> bool:
    return random.random() < 0.05
