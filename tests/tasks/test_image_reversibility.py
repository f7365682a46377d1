"""Blocking and releasing an image, retiring it and putting that back, leave everything around it as it was.

What somebody else changed meanwhile is left as they made it. `python -m tests.tasks.reversibility --images` takes more.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from tests.tasks.conftest import OpenHouse
from tests.tasks.reversibility.image_trips import Trip, there_and_back
from tests.tasks.reversibility.image_worlds import Change, Owned, worlds

SAMPLE = worlds(16, seed=11)


@pytest.mark.parametrize("owned", SAMPLE, ids=range(len(SAMPLE)))
def test_what_was_blocked_and_retired_is_as_it_was_or_as_somebody_else_made_it(open_house: OpenHouse, owned: Owned):
    trip: Trip = there_and_back(open_house, owned)
    assert trip.violations == []
    assert trip.compared > 10


def test_the_sample_crashes_meddles_and_has_something_of_everything():
    assert {change for each in SAMPLE for _, change in each.meddling} == {*get_args(Change)}
    assert {phase for each in SAMPLE for phase in each.crashes} == {"contain", "release", "deprecate", "verify"}
    for name in ("mutability", "policy", "lifecycle", "deny_pulls", "services"):
        assert len(Counter(getattr(each, name) for each in SAMPLE)) > 1, name
