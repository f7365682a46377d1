"""An instance about to be contained, and how one looks that is."""

from __future__ import annotations

from typing import Any

from runbooks.plan import Phase, Plan
from runbooks.steps import SwapSecurityGroups
from tests.tasks.aftermath import of_kind
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House, Run, the_runbook

OTHER = "i-0b1b2c3d4e5f60719"


def furnished(open_house: OpenHouse, runbook: dict[str, Any] | None = None, **options: Any) -> House:
    house = open_house(runbook=the_runbook(**(runbook or {})))
    house.furnish(an_event(in_group=options.pop("in_group", False)), **options)
    return house


def to_contain(house: House) -> tuple[Run, Plan]:
    """An approved contain plan, nothing of it done yet."""
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    return run.approved(plan), plan


def void(answer: object) -> None:
    del answer


def assert_isolated(house: House, plan: Plan) -> None:
    swaps = of_kind(plan, "swap-security-groups")
    groups = {tuple(house.groups_of(step.target.id)) for step in swaps}
    assert len(groups) == 1
    assert not groups & {step.expects for step in swaps if isinstance(step, SwapSecurityGroups)}
