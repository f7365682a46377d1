"""Instances as their owners left them, and what befalls a response over them: generated, the same each time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.tasks.shaky import Blow

QUARANTINED = -1
"""In place of an interface's groups: an earlier response has left it in quarantine."""
MOST_INTERFACES, MOST_GROUPS, MOST_VOLUMES = 15, 5, 8
SCALING = ("front", "back")
TargetGroup = Literal["web", "api", "admin"]
When = Literal["before", "between"]
Change = Literal[
    "groups", "shutdown", "termination", "volume", "target", "membership", "protection", "power", "tag", "end"
]
ValueT = TypeVar("ValueT")


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
    targets: frozenset[tuple[TargetGroup, int]]


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


@st.composite
def owned(draw: st.DrawFn) -> Owned:
    interfaces = draw(st.integers(1, MOST_INTERFACES))
    groups = st.lists(st.integers(0, 9), min_size=1, max_size=MOST_GROUPS, unique=True).map(tuple)
    rarely = st.integers(0, 19).map(lambda number: number == 7)
    stopped = draw(rarely)
    place = st.builds(
        Place, group=st.sampled_from(SCALING), protected=st.booleans(), standby=rarely, registered=rarely.map(_not)
    )
    return Owned(
        network=draw(st.integers(0, 1)),
        interfaces=tuple((QUARANTINED,) if draw(rarely) else draw(groups) for _ in range(interfaces)),
        elsewhere=min(interfaces - 1, draw(st.sampled_from([0, 0, 0, 1, 2]))),
        volumes=draw(st.lists(st.booleans(), min_size=1, max_size=MOST_VOLUMES).map(tuple)),
        protected=draw(st.booleans()),
        shutdown=draw(st.sampled_from(["stop", "terminate"])),
        stopped=stopped,
        address=draw(st.sampled_from(["none", "none", "public", "elastic"])),
        scaling=draw(place) if draw(st.booleans()) and not stopped else None,
        targets=draw(st.frozensets(st.tuples(st.sampled_from(["web", "api", "admin"]), st.sampled_from([80, 8080])))),
    )


@st.composite
def courses(draw: st.DrawFn, members: int) -> Course:
    size = st.builds(
        Size,
        minimum=st.integers(0, members),
        others=st.integers(0, 2),
        room=st.integers(0, members),
        protects_new=st.booleans(),
        balanced=st.booleans(),
    )
    blows = st.sampled_from(
        ["dies before the call", "answer lost", "dies after the call", "dies before the commit", "dies after it"]
    )
    crash = st.builds(Crash, blow=blows, depth=st.integers(0, 999))
    meddling = st.builds(
        Meddling,
        when=st.sampled_from(["before", "between"]),
        whose=st.integers(0, members - 1),
        change=st.sampled_from(Change.__args__),  # type: ignore[attr-defined]
    )
    return Course(
        choices=draw(
            st.fixed_dictionaries(
                {
                    "stop": st.booleans(),
                    "cut_connections": st.booleans(),
                    "replacement_capacity": st.sampled_from(["launch", "none"]),
                    "protect_evidence": st.sampled_from([True, True, False]),
                    "snapshots": st.booleans(),
                }
            )
        ),
        sizes={group: draw(size) for group in SCALING},
        crashes={phase: draw(crash) for phase in ("contain", "release") if draw(st.booleans())},
        meddling=tuple(draw(meddling) for _ in range(draw(st.sampled_from([0, 0, members // 4, members // 2])))),
    )


@dataclass(frozen=True)
class Round:
    """One response over several instances."""

    number: int
    instances: tuple[Owned, ...]
    course: Course


def rounds(number: int, together: int) -> list[Round]:
    """So many instances in responses of so many, always the same ones."""
    every = generated(owned(), number)
    portions = [tuple(every[start : start + together]) for start in range(0, number, together)]
    return [
        Round(each, _within(portion, course), course)
        for each, (portion, course) in enumerate(
            zip(portions, generated(courses(together), len(portions)), strict=True), start=1
        )
    ]


def _within(instances: tuple[Owned, ...], course: Course) -> tuple[Owned, ...]:
    """Connections are not cut where there is a path from the internet."""
    if not course.choices["cut_connections"]:
        return instances
    return tuple(replace(each, address="none") for each in instances)


def generated(strategy: st.SearchStrategy[ValueT], number: int) -> list[ValueT]:
    """That many different values, always the same ones."""
    found: list[ValueT] = []

    @seed(20)
    @settings(
        max_examples=2 * number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(strategy)
    def take(value: ValueT) -> None:
        if value not in found:
            found.append(value)

    take()
    assert len(found) >= number
    return found[:number]


def _not(value: bool) -> bool:
    return not value
