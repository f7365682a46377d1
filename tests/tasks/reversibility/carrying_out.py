"""Rounds carried out, in a sandbox with runbook limits wide enough for all of a round's cases at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.sandbox.server import Sandbox
from tasks.gateways.ledger import Ledger
from tests.tasks.harness import EMPTY_LEDGER, House, the_runbook
from tests.tasks.reversibility.descriptions import MOST_INTERFACES, Round
from tests.tasks.reversibility.image_trips import Trip as ImageTrip
from tests.tasks.reversibility.image_trips import there_and_back as there_and_back_with_image
from tests.tasks.reversibility.image_worlds import Owned
from tests.tasks.reversibility.round_trip import Trip, there_and_back
from tests.tasks.shaky import ShakySessions

TOGETHER = 20
"""Cases in one response."""
WHOLE = 100
"""Percent."""


def carried_out(open_house: Callable[..., House], each: Round) -> Trip:
    """One round in a house of its own."""
    limits = {
        "maximum_cases": len(each.instances),
        "maximum_interfaces": MOST_INTERFACES,
        "maximum_cases_at_once": len(each.instances),
        "maximum_cases_per_hour": len(each.instances),
        "maximum_share_of_auto_scaling_group": WHOLE,
        "maximum_share_of_target_group": WHOLE,
        "maximum_share_of_environment": WHOLE,
    }
    house = open_house(runbook=the_runbook(contain=each.course.choices, limits=limits))
    trip = there_and_back(house, each.instances, each.course)
    trip.violations = [f"round {each.number}: {violation}" for violation in trip.violations]
    return trip


def in_a_process(each: Round) -> Trip:
    """As `carried_out`, where no test's fixture is."""
    # Forgets the developer's settings, and refuses what is beyond loopback.
    import tests.conftest  # noqa: F401

    with _house() as open_house:
        return carried_out(open_house, each)


def images_in_a_process(images: Sequence[tuple[int, Owned]]) -> ImageTrip:
    """Images, one after another, each with its number, where no test's fixture is."""
    import tests.conftest  # noqa: F401

    total = ImageTrip()
    with _house() as open_house:
        for number, owned in images:
            trip = there_and_back_with_image(open_house, owned)
            trip.violations = [f"image {number}: {violation}" for violation in trip.violations]
            total += trip
    return total


@contextmanager
def _house() -> Iterator[Callable[..., House]]:
    with tempfile.TemporaryDirectory() as folder, Sandbox(pace=0.0) as sandbox:
        os.environ |= {
            "AWS_ENDPOINT_URL": sandbox.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        Ledger.open(f"sqlite:///{folder}/{EMPTY_LEDGER}").close()
        opened: list[House] = []

        def make(**choices: Any) -> House:
            sandbox.reset()
            opened.append(House(sandbox, ShakySessions(), Path(folder), **choices))
            return opened[-1]

        try:
            yield make
        finally:
            for house in opened:
                house.close()
