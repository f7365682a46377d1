"""Two faults in one response: whatever breaks while it is contained or released, and again while that is mended.

The points are those of an undisturbed run, so that a new call or commit is among them tomorrow. A death is an exception
that nothing may catch; `tests.crash_matrix` kills real processes, one at a time.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbooks.errors import Outside
from runbooks.history import SUCCEEDED
from runbooks.plan import Phase
from runbooks.records import RunStarted
from tests.tasks.aftermath import described, effects, records_of, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House, the_runbook
from tests.tasks.shaky import Blow, Died, Shaky

PHASES = (Phase.CONTAIN, Phase.RELEASE)
BY_WAY_OF_AN_OPEN_GROUP: dict[str, Any] = {
    "exposed": False,
    "tags": {"remediation:compromise-suspected": "a detection"},
}
FAULTS = st.lists(st.tuples(st.sampled_from(get_args(Blow)), st.floats(0, 1, exclude_max=True)), min_size=2, max_size=2)
"""Two of them, each as what happens and where: a share of all that goes out of the process."""


@dataclass(frozen=True)
class Undisturbed:
    """What goes out of a process that nothing happens to, and what it changes."""

    out: Shaky
    made: Counter[str]


@pytest.fixture
def undisturbed(open_house: OpenHouse) -> Undisturbed:
    house = furnished(open_house)
    out = house.shake(Shaky())
    contained_and_released(house)
    return Undisturbed(out, Counter(house.mutating_calls()))


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=FAULTS)
def test_two_faults_are_survived_like_one(
    open_house: OpenHouse, undisturbed: Undisturbed, faults: list[tuple[Blow, float]]
):
    house = furnished(open_house)
    before = described(house)
    for number, (blow, share) in enumerate(faults):
        out = undisturbed.out.commits if "commit" in blow or blow == "dies after it" else undisturbed.out.calls
        house.shake(Shaky(blow=blow, point=int(share * len(out))))
        with contextlib.suppress(Died, Outside):
            contained_and_released(house, again=number > 0)
    house.shake(Shaky())
    contained_and_released(house, again=True)

    assert [
        *done_twice(house, undisturbed.made),
        *lost(house),
        *not_put_back(house, before),
        *not_recorded(house),
    ] == []


def contained_and_released(house: House, *, again: bool = False) -> None:
    """What a run makes of the two phases; another one goes on where it ended."""
    if again:
        house.respond()
        run = house.take_over(after_a_death=True)
    else:
        run = house.start()
    for phase in PHASES:
        run = run.phase(phase)


def done_twice(house: House, made: Counter[str]) -> Iterator[str]:
    for kind, counts in effects(house).items():
        if set(counts.values()) - {1}:
            yield f"duplicates of {kind}: {counts}"
    if (calls := Counter(house.mutating_calls())) != made:
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


def furnished(open_house: OpenHouse) -> House:
    house = open_house(runbook=the_runbook(contain={"cut_connections": True}))
    house.furnish(an_event(in_group=True), **BY_WAY_OF_AN_OPEN_GROUP)
    return house
