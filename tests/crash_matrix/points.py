"""The points at which a process is broken: what it did undisturbed, so that a new call is covered by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from tests.crash_matrix.line import NOT_AWS, Blow, Event, How, When

BEFORE: When = "before it leaves"
LOST: When = "done, answer lost"
UNRECORDED: When = "answered, not recorded"

STALE: How = "stale read"
REFUSED: tuple[tuple[When, How], ...] = (
    (BEFORE, "SIGKILL"),
    (BEFORE, "timeout"),
    (BEFORE, "throttle"),
    (BEFORE, "5xx"),
)
DONE: tuple[tuple[When, How], ...] = (
    (LOST, "SIGKILL"),
    (LOST, "timeout"),
    (LOST, "5xx"),
    (UNRECORDED, "SIGKILL"),
)
SEEN_LATE: tuple[tuple[When, How], ...] = ((LOST, "SIGKILL then stale reads"), (LOST, "timeout, stale reads"))
Breadth = Literal["everything", "AWS and ledger", "changes"]
"""Every call and commit; every call of AWS and every commit, for Slack, Jira and Prefect are called as in any story; or
what changes AWS, what is recorded of that, and the reads that see it."""
SEEN_AT_ONCE = ("s3:", "github:")
"""Whose reads show a change as soon as they ever do: of GitHub's the sandbox itself lists each run late."""
SHOWS_ONLY = ("prefect:POST artifacts",)
"""What is only shown: the same artifact shown twice is one artifact, and nothing rests on it."""


@dataclass(frozen=True)
class Point:
    """One blow in one turn of one story."""

    story: str
    turn: int
    blow: Blow

    def __str__(self) -> str:
        blow = self.blow
        return f"{self.story}, turn {self.turn}: {blow.name} ({blow.occurrence}), {blow.when}: {blow.how}"


def points_of(story: str, turns: Sequence[Sequence[Event]], breadth: Breadth) -> Iterator[Point]:
    """The points of a story's turns that its breadth takes in."""
    ways: tuple[How, ...] = ("throttle", "timeout", "5xx")
    failures = cycle(ways)
    for number, events in enumerate(turns):
        for event in events:
            for when, how in _combinations(event, next(failures)):
                if _is_within(breadth, event, when, how):
                    yield Point(story, number, Blow(event.name, event.occurrence, when, how))


def _combinations(event: Event, failure: How) -> Iterable[tuple[When, How]]:
    """What may happen to this event, and means something.

    An AWS read that fails is asked for again by botocore, whichever way it failed: each gets one way, lasting longer
    than that. So does each commit: it fails, or is made and says so to nobody; to die after it is to die before what
    comes next. A throttled call is refused before it is done. S3 and the ledger show what was written at once.
    """
    if event.kind == "commit":
        return ((BEFORE, "SIGKILL"), (LOST, "timeout") if failure == "timeout" else (BEFORE, "5xx"))
    if event.name in SHOWS_ONLY:
        return ((BEFORE, "SIGKILL"),) if event.occurrence else REFUSED
    if event.kind == "change":
        return (*REFUSED, *DONE, *(() if event.name.startswith((*NOT_AWS, *SEEN_AT_ONCE)) else SEEN_LATE))
    if event.name.startswith(NOT_AWS):
        return REFUSED
    return ((BEFORE, "SIGKILL"), (BEFORE, failure), *(((BEFORE, STALE),) if event.moved else ()))


def _is_within(breadth: Breadth, event: Event, when: When, how: How) -> bool:
    """Whether the story is broken here too. What leaves world and ledger as another blow does is tried once."""
    if breadth == "everything":
        return True
    if event.kind == "commit":
        return how == "SIGKILL" and (breadth == "AWS and ledger" or "intent" in event.name or "outcome" in event.name)
    if event.name.startswith(NOT_AWS):
        return False
    if event.kind == "read":
        # To die before it is to die before the commit or the change that follows.
        return event.moved or (breadth == "AWS and ledger" and how != "SIGKILL")
    return breadth == "AWS and ledger" or (how != "5xx" and when != UNRECORDED)
