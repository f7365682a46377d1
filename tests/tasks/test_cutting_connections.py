"""Cutting tracked connections by way of an open group, on which no interface may be left."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.errors import NotApproved, Refused
from runbooks.plan import Phase, Plan
from runbooks.steps import EnsureQuarantineGroup, SwapSecurityGroups
from tasks.looking import SHOWS_WITHIN
from tasks.rounds import fallen_out
from tests.tasks.aftermath import described, effects, intents_open, of_kind, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.gateways.ledger.samples import tamper
from tests.tasks.harness import House, Run, the_runbook
from tests.tasks.shaky import Died

SWAP = "ec2:ModifyNetworkInterfaceAttribute"
SUSPECTED = {"remediation:compromise-suspected": "a detection"}


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    house = open_house(runbook=the_runbook(contain={"cut_connections": True}))
    house.furnish(an_event(), exposed=False, tags=SUSPECTED)
    return house


def to_contain(house: House) -> tuple[Run, Plan, tuple[SwapSecurityGroups, ...]]:
    """An approved contain plan that is done up to its swaps."""
    run = house.start()
    plan = run.plan(Phase.CONTAIN)
    run = run.approved(plan)
    swaps = of_kind(plan, "swap-security-groups")
    for stage in plan.stages():
        if stage != swaps:
            run.stage(plan, stage)
    return run, plan, tuple(step for step in swaps if isinstance(step, SwapSecurityGroups))


def group(house: House, name: str) -> str:
    filters = [{"Name": "group-name", "Values": [name]}]
    (found,) = house.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return found["GroupId"]


def quarantine_of(house: House, plan: Plan) -> str:
    (step,) = of_kind(plan, "ensure-quarantine-group")
    assert isinstance(step, EnsureQuarantineGroup)
    return group(house, step.name)


def swaps_made(house: House) -> list[tuple[str, list[str]]]:
    calls = house.sandbox.cloud.record.calls()
    made = [call["parameters"] for call in calls if call["operation"] == SWAP.partition(":")[2]]
    return [(each["NetworkInterfaceId"], each["Groups"]) for each in made]


def die() -> None:
    raise Died


def test_each_interface_passes_through_the_open_group_that_the_plan_made(house: House):
    before = described(house)
    run, plan, swaps = to_contain(house)
    run.carry_out(plan)
    quarantine, way = quarantine_of(house, plan), group(house, "remediation-quarantine-open")
    assert [step.kind for step in plan.steps[:2]] == ["ensure-quarantine-group", "ensure-open-group"]
    assert swaps_made(house) == [(step.target.id, [each]) for step in swaps for each in (way, quarantine)]
    assert described(house)["interfaces"] == {step.target.id: [quarantine] for step in swaps}
    run.phase(Phase.RELEASE)
    assert described(house) == before
    assert set(effects(house)["groups"].values()) == {1}


def test_the_plan_says_that_there_will_be_an_open_group_and_what_for(house: House):
    plan = house.start().plan(Phase.CONTAIN)
    (step,) = of_kind(plan, "ensure-open-group")
    assert step.describe() == (
        "Have security group remediation-quarantine-open in vpc-0feedc0de: everything comes in and goes out; "
        "an interface only passes through it, so that its connections are cut"
    )
    assert step.undo is None
    assert step.undo_reason


def test_an_interface_whose_run_died_in_between_is_closed_before_anything_else(house: House):
    run, plan, (first, second) = to_contain(house)
    house.sessions.shaky.then[SWAP] = die
    with pytest.raises(Died):
        run.once(plan, of_kind(plan, "swap-security-groups"))
    way, quarantine = group(house, "remediation-quarantine-open"), quarantine_of(house, plan)
    assert house.groups_of(first.target.id) == [way]
    house.sandbox.cloud.record.clear()

    house.take_over(after_a_death=True).carry_out(plan)

    assert swaps_made(house) == [
        (first.target.id, [quarantine]),
        (second.target.id, [way]),
        (second.target.id, [quarantine]),
    ]
    assert set(statuses_of(house, plan).values()) == {"done"}


def test_an_interface_whose_run_died_in_between_is_released_from_there(house: House):
    before = described(house)
    run, plan, (first, _) = to_contain(house)
    house.sessions.shaky.then[SWAP] = die
    with pytest.raises(Died):
        run.once(plan, of_kind(plan, "swap-security-groups"))
    assert described(house)["interfaces"][first.target.id] == [group(house, "remediation-quarantine-open")]

    run = house.take_over(after_a_death=True)
    assert house.history().contained
    run.phase(Phase.RELEASE)

    assert described(house) == before


def test_an_interface_in_between_is_closed_though_the_approval_was_tampered_with(house: House):
    run, plan, (first, second) = to_contain(house)
    house.sessions.shaky.then[SWAP] = die
    with pytest.raises(Died):
        run.once(plan, of_kind(plan, "swap-security-groups"))
    before, quarantine = house.groups_of(second.target.id), quarantine_of(house, plan)
    tamper(house.ledger, "UPDATE entries SET body = replace(body, 'jane', 'eve') WHERE kind = 'decision'")

    with pytest.raises(NotApproved) as refused:
        house.take_over(after_a_death=True).once(plan, of_kind(plan, "swap-security-groups"))

    assert refused.value.code in ("forged", "not-approved")
    assert house.groups_of(first.target.id) == [quarantine]
    assert house.groups_of(second.target.id) == before


def test_the_interface_in_between_comes_first_though_it_is_the_last_of_the_plan(house: House):
    run, plan, (first, second) = to_contain(house)
    way = group(house, "remediation-quarantine-open")
    house.set_groups(second.target.id, [way])
    house.sandbox.cloud.record.clear()
    run.carry_out(plan)
    assert [interface for interface, _ in swaps_made(house)] == [second.target.id, first.target.id, first.target.id]


def test_a_closing_that_is_refused_is_never_called_the_end(house: House):
    run, plan, (first, second) = to_contain(house)
    shaky = house.sessions.shaky
    shaky.then[SWAP] = lambda: shaky.refused.update({SWAP: "UnauthorizedOperation"})
    progress = run.once(plan, (first,))
    assert not progress.finished
    assert progress.waiting is not None
    assert "rests on the open group" in progress.waiting
    assert "UnauthorizedOperation" in progress.waiting
    assert first.key not in statuses_of(house, plan)

    shaky.refused.clear()
    house.sandbox.cloud.record.clear()
    run.carry_out(plan)
    assert swaps_made(house)[0] == (first.target.id, [quarantine_of(house, plan)])
    assert statuses_of(house, plan)[second.key] == "done"


def test_an_opening_that_is_refused_has_opened_nothing_and_fails(house: House):
    run, plan, swaps = to_contain(house)
    house.sessions.shaky.refused[SWAP] = "UnauthorizedOperation"
    run.carry_out(plan)
    statuses = statuses_of(house, plan)
    assert [statuses[step.key] for step in swaps] == ["failed", "failed"]
    assert [house.groups_of(step.target.id) for step in swaps] == [list(step.expects) for step in swaps]


def test_an_interface_in_between_is_closed_though_its_case_has_fallen_out(house: House):
    run, plan, (first, second) = to_contain(house)
    stranger = house.make_group("of-somebody-else")
    house.set_groups(second.target.id, [stranger])
    house.sessions.shaky.then[SWAP] = die
    house.sandbox.advance(SHOWS_WITHIN.total_seconds())
    with pytest.raises(Died):
        run.once(plan, of_kind(plan, "swap-security-groups"))
    assert list(fallen_out(house.history(), plan)) == list(plan.cases)

    house.take_over(after_a_death=True).carry_out(plan)

    assert house.groups_of(first.target.id) == [quarantine_of(house, plan)]
    assert house.groups_of(second.target.id) == [stranger]
    statuses = statuses_of(house, plan)
    assert (statuses[first.key], statuses[second.key]) == ("done", "drifted")


def test_a_swap_that_had_not_begun_does_not_open_anything_once_its_case_has_fallen_out(house: House):
    run, plan, (first, second) = to_contain(house)
    house.set_groups(second.target.id, [house.make_group("of-somebody-else")])
    house.sandbox.cloud.record.clear()
    house.watch = lambda name: die()
    house.sandbox.advance(SHOWS_WITHIN.total_seconds())
    with pytest.raises(Died):
        run.once(plan, of_kind(plan, "swap-security-groups"))
    house.watch = lambda name: None
    assert swaps_made(house) == []
    assert [step.key for step in intents_open(house)] == [first.key]

    house.take_over(after_a_death=True).carry_out(plan)

    assert house.groups_of(first.target.id) == list(first.expects)
    assert statuses_of(house, plan)[first.key] == "refused"


def test_a_lost_lease_between_the_two_swaps_leaves_the_closing_to_the_next_run(house: House):
    run, plan, (first, *_) = to_contain(house)
    house.sessions.shaky.then[SWAP] = house.overtake
    with pytest.raises(Refused):
        run.carry_out(plan)
    assert len(swaps_made(house)) == 1
    house.take_over(after_a_death=True).carry_out(plan)
    assert house.groups_of(first.target.id) == [quarantine_of(house, plan)]


@pytest.mark.parametrize("options", [{"exposed": True}, {"exposed": True, "port": 8443}])
def test_connections_are_not_cut_where_the_internet_would_get_in_for_a_moment(
    open_house: OpenHouse, options: dict[str, Any]
):
    house = open_house(runbook=the_runbook(contain={"cut_connections": True}))
    built = house.furnish(an_event(), tags=SUSPECTED, **options)
    # Today's groups keep the internet out; the open group would not.
    closed = house.make_group("closed")
    for interface in built["interfaces"]:
        house.set_groups(interface, [closed])
    with pytest.raises(Refused) as raised:
        house.start().plan(Phase.CONTAIN)
    assert raised.value.code == "open-to-the-internet"
