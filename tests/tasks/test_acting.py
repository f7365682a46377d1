"""Acting: how long a phase may wait before it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.catalog import Catalog
from runbooks.plan import Phase
from tasks.acting import is_overdue
from tasks.run import Run
from tests.runbooks.builders import a_runbook
from tests.tasks.sweep_house import SweepHouse, sweep_house

INSTANCE = "i-0a1b2c3d4e5f60718"
BUILDS, REMEDIATIONS = 20, 40
"""Minutes."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as opened:
        limits = {"rebuild": {"timeout_minutes": BUILDS}, "remediate": {"timeout_minutes": REMEDIATIONS}}
        vars(opened)["catalog"] = Catalog([a_runbook(**limits)])
        yield opened


@pytest.mark.parametrize(
    ("phase", "minutes"),
    [(Phase.REBUILD, BUILDS), (Phase.TEST, BUILDS), (Phase.REMEDIATE, REMEDIATIONS), (Phase.DEPRECATE, REMEDIATIONS)],
)
def test_a_build_is_waited_for_as_long_as_the_runbook_says_of_builds(
    house: SweepHouse, phase: Phase, minutes: int
) -> None:
    house.deliver()
    house.sweep()
    row = house.newest(INSTANCE)
    lease = house.take_over(row.id)
    run = Run(services=house, response=row, lease=lease, flow_run="run")
    assert not is_overdue(run, phase)

    house.ledger.wait(row.id, phase, "it goes on", house.now(), lease=lease)
    house.clock.pass_by(minutes=minutes)
    assert not is_overdue(run, phase)

    house.clock.pass_by(minutes=1)
    assert is_overdue(run, phase)
