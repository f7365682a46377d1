"""What could not be verified is looked at again: after the runbook's time, so often, and never while it is acted on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.verdict import VerdictKind
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house

INSTANCE = "i-0a1b2c3d4e5f60718"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def house(tmp_path: Path, prefect: PrefectApi) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as opened:
        opened.deliver()
        opened.sweep()
        yield opened


def ended(house: SweepHouse, kind: VerdictKind = VerdictKind.UNVERIFIABLE) -> None:
    """The newest response ends with this verdict."""
    row = house.newest(INSTANCE)
    house.take_over(row.id)
    house.end(row.id, str(kind), kind)


def test_it_is_looked_at_again_after_six_hours_and_not_before(house: SweepHouse, prefect: PrefectApi) -> None:
    ended(house)
    house.clock.pass_by(hours=5, minutes=59)
    assert house.sweep().looked_again == []
    house.clock.pass_by(minutes=1)
    swept = house.sweep()
    row = house.newest(INSTANCE)
    assert (swept.looked_again, swept.started) == ([row.id], [row.id])
    assert (row.purpose, row.cases) == ("verify", (house.case_on(INSTANCE).id,))
    assert prefect.runs[row.flow_run or ""]["parameters"] == {"response": row.id, "attempt": 1}


def test_it_is_not_looked_at_while_the_look_is_under_way(house: SweepHouse) -> None:
    ended(house)
    house.clock.pass_by(hours=6)
    assert len(house.sweep().looked_again) == 1
    house.clock.pass_by(hours=12)
    assert house.sweep().looked_again == []


def test_it_is_looked_at_four_times_and_no_more(house: SweepHouse) -> None:
    looks = 0
    for _ in range(8):
        if house.newest(INSTANCE).status != "ended":
            ended(house)
        house.clock.pass_by(hours=6)
        looks += len(house.sweep().looked_again)
    assert looks == 4


@pytest.mark.parametrize("kind", [VerdictKind.FIXED, VerdictKind.NOT_FIXED])
def test_a_verdict_that_is_one_is_left_alone(house: SweepHouse, kind: VerdictKind) -> None:
    ended(house, kind)
    house.clock.pass_by(hours=48)
    assert house.sweep().looked_again == []


def test_a_closed_case_is_left_alone(house: SweepHouse) -> None:
    row = house.newest(INSTANCE)
    house.take_over(row.id)
    house.end(row.id, "unverifiable", VerdictKind.UNVERIFIABLE, close=True)
    house.clock.pass_by(hours=48)
    assert house.sweep().looked_again == []
