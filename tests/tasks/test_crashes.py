"""Every point at which a response can break, and what the next run makes of it.

The points are those of an undisturbed run: each AWS call and each commit to the ledger of triage, contain, patch,
verify and release, so that a call that is new tomorrow is broken tomorrow. A run is broken at one point, a new run
under a higher epoch brings the response home, and the world must be as if nothing had happened.

A lost answer is tried for calls that change something; one to a read is asked for again by botocore, five times.
The suite takes a sample; RUNBOOKS_ALL_CRASH_POINTS=1 takes every point.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from deployments.sandbox.operations import is_read
from runbooks.errors import Outside
from runbooks.history import SUCCEEDED
from runbooks.records import RunStarted
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import (
    House,
    described,
    effects,
    records_of,
    statuses_of,
    the_runbook,
)
from tests.tasks.shaky import Blow, Died, Shaky

# Read when the module is imported: before a test begins, the developer's settings are forgotten.
EVERY_POINT = bool(int(os.environ.get("RUNBOOKS_ALL_CRASH_POINTS", "0")))
SAMPLE = 3
"""Points that the suite takes of each blow in each story, spread evenly over all there are."""
ASKED_TWICE = "ssm:StartAssociationsOnce"
"""Collecting an inventory once more harms nobody, and cannot be told from a run that someone else asked for."""


@dataclass(frozen=True)
class Story:
    """What kind of instance, and what its runbook chooses."""

    contain: dict[str, Any]
    options: dict[str, Any]


STORIES = {
    "one swap, in an Auto Scaling group": Story({}, {}),
    "by way of an open group": Story(
        {"cut_connections": True}, {"exposed": False, "tags": {"remediation:compromise-suspected": "a detection"}}
    ),
}


@dataclass(frozen=True)
class Point:
    blow: Blow
    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.blow}: {self.name} ({self.number})"


@pytest.mark.timeout(3600 if EVERY_POINT else 300)
@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_wherever_a_run_breaks_the_next_one_brings_it_home(
    open_house: OpenHouse, story: Story, capsys: pytest.CaptureFixture[str]
):
    undisturbed = furnished(open_house, story)
    shaky = undisturbed.shake(Shaky())
    undisturbed.start().to_the_end()
    made = expected_calls(undisturbed)
    every = list(points(shaky))
    chosen = every if EVERY_POINT else [point for blow in get_args(Blow) for point in sampled(blow, every)]
    with capsys.disabled():
        sys.stdout.write(f"\n{len(chosen)} of {len(every)} crash points: {Counter(point.blow for point in every)}\n")

    violations = {str(point): found for point in chosen if (found := broken_at(open_house, story, point, made))}

    assert violations == {}


def sampled(blow: str, every: list[Point]) -> list[Point]:
    """The middle of each of as many equal parts."""
    of_it = [point for point in every if point.blow == blow]
    return [of_it[(2 * part + 1) * len(of_it) // (2 * SAMPLE)] for part in range(SAMPLE)]


def points(shaky: Shaky) -> Iterator[Point]:
    """Every point of a run, in the order of its calls and then of its commits."""
    for number, name in enumerate(shaky.calls):
        yield Point("dies before the call", number, name)
        if not is_read(name.partition(":")[2]):
            yield Point("answer lost", number, name)
            yield Point("dies after the call", number, name)
    for number, name in enumerate(shaky.commits):
        yield Point("dies before the commit", number, name)
        yield Point("dies after it", number, name)


def broken_at(open_house: OpenHouse, story: Story, point: Point, made: Counter[str]) -> list[str]:
    """What is wrong after the response was broken there and brought home; nothing, it is hoped."""
    house = furnished(open_house, story)
    before = described(house)
    shaky = house.shake(Shaky(blow=point.blow, point=point.number))
    with contextlib.suppress(Died, Outside):
        house.start().to_the_end()
    if shaky.struck is None:
        return ["the point was not reached"]
    house.respond()
    verdicts = {str(verdict.kind) for verdict in house.take_over(after_a_death=True).to_the_end().values()}
    wrong = [] if verdicts == {"fixed"} else [f"the verdict is {verdicts}"]
    return [*wrong, *done_twice(house, made), *lost(house), *not_put_back(house, before), *not_recorded(house)]


def done_twice(house: House, made: Counter[str]) -> Iterator[str]:
    for kind, counts in effects(house).items():
        if set(counts.values()) != {1}:
            yield f"duplicates or nothing of {kind}: {counts}"
    if (calls := expected_calls(house)) != made:
        yield f"calls too many: {calls - made}, too few: {made - calls}"


def lost(house: House) -> Iterator[str]:
    for plan in house.history().plans.values():
        statuses = statuses_of(house, plan)
        for step in plan.steps:
            if statuses.get(step.key) not in SUCCEEDED:
                yield f"lost: {step.key} of {plan.phase}"


def not_put_back(house: House, before: dict[str, Any]) -> Iterator[str]:
    after = described(house)
    for name, value in before.items():
        if after[name] != value:
            yield f"{name} was {value} and is {after[name]}"


def not_recorded(house: House) -> Iterator[str]:
    epochs = [record.epoch for record in records_of(house) if isinstance(record, RunStarted)]
    if epochs != sorted(set(epochs)):
        yield f"epochs do not rise: {epochs}"
    if not house.ledger.verify().ok:
        yield "the ledger does not verify"


def expected_calls(house: House) -> Counter[str]:
    return Counter(call for call in house.mutating_calls() if call != ASKED_TWICE)


def furnished(open_house: OpenHouse, story: Story) -> House:
    house = open_house(runbook=the_runbook(contain=story.contain))
    house.furnish(an_event(in_group=True), **story.options)
    return house
