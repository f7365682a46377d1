"""An instance about to be contained, and how one looks that is."""

from __future__ import annotations

from typing import Any

from runbooks.plan import Phase, Plan
from runbooks.records import Admitted
from runbooks.steps import SwapSecurityGroups
from tests.tasks.aftermath import of_kind
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House, Run, the_runbook

OTHER = "i-0b1b2c3d4e5f60719"
THIRD = "i-0c1c2c3d4e5f60720"


def furnished(open_house: OpenHouse, runbook: dict[str, Any] | None = None, **options: Any) -> House:
    house = open_house(runbook=the_runbook(**(runbook or {})))
    house.furnish(an_event(in_group=options.pop("in_group", False)), **options)
    return house


def to_contain(house: House) -> tuple[Run, Plan]:
    """An approved contain plan, nothing of it done yet."""
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    return run.approved(plan), plan


def somebody_else_begins(house: House, plan: Plan, instance: str = OTHER) -> str:
    """Another response, of which a plan is under way."""
    house.furnish(an_event(instance, 9))
    (case,) = (case.id for case in house.ledger.cases("open") if case.response_id is None)
    other = house.ledger.start_response(house.runbook.name, [case], "webhook").id
    extent = plan.extents[0].model_copy(update={"case": case})
    taken = Admitted(digest="0" * 64, phase=Phase.CONTAIN, extents=(extent,))
    assert house.ledger.admit(other, taken, lambda under_way, last_hour: None) is None
    return other


def void(answer: object) -> None:
    del answer


def assert_isolated(house: House, plan: Plan) -> None:
    swaps = of_kind(plan, "swap-security-groups")
    groups = {tuple(house.groups_of(step.target.id)) for step in swaps}
    assert len(groups) == 1
    assert not groups & {step.expects for step in swaps if isinstance(step, SwapSecurityGroups)}
