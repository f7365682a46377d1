"""Containing and releasing leave the described world as it was, over `FIELDS`, for generated instances.

What cannot be put back is what the plan said beforehand, no more and no less; what somebody else changed meanwhile is
reported and left as they made it. This is a sample; `python -m tests.tasks.reversibility` takes a thousand instances.
"""

from __future__ import annotations

import pytest

from tests.tasks.conftest import OpenHouse
from tests.tasks.reversibility.carrying_out import carried_out
from tests.tasks.reversibility.descriptions import Round, rounds

SAMPLE = rounds(30, 6, seed=3)


@pytest.mark.parametrize("each", SAMPLE, ids=lambda each: f"round {each.number}")
def test_what_was_contained_and_released_is_as_it_was_or_as_was_said_or_as_somebody_else_made_it(
    open_house: OpenHouse, each: Round
):
    trip = carried_out(open_house, each)
    assert trip.violations == []
    assert trip.compared > 10 * len(each.instances)


def test_the_sample_crashes_meddles_and_has_something_of_everything():
    courses = [each.course for each in SAMPLE]
    instances = [one for each in SAMPLE for one in each.instances]
    assert {phase for course in courses for phase in course.crashes} == {"contain", "release"}
    assert {each.when for course in courses for each in course.meddling} == {"before", "between"}
    for choice in ("stop", "cut_connections", "snapshots", "replacement_capacity"):
        assert len({course.choices[choice] for course in courses}) == 2, choice
    for name in ("network", "protected", "shutdown", "address"):
        assert len({getattr(one, name) for one in instances}) >= 2, name
    assert {bool(one.scaling) for one in instances} == {bool(one.targets) for one in instances} == {True, False}
    assert any(one.elsewhere for one in instances)
    assert max(len(one.interfaces) for one in instances) == 15
    assert max(len(one.volumes) for one in instances) == 8
