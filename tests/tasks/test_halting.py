"""The kill switch: from the next call on nothing is changed, but for what closes an unsafe middle."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from flows.response_run import LookAgain, _played
from runbooks.case import response_stream
from runbooks.errors import Halted
from runbooks.history import HALTED, Dated, fold
from runbooks.plan import Phase, Plan
from runbooks.records import Intent, Outcome, RunStarted, Waiting
from runbooks.steps import SwapSecurityGroups
from runbooks.steps.base import Role
from tasks import halting, patience, run
from tasks.executor import MOST_TRIES
from tasks.services import Services
from tasks.sweeping.dispatch import _why_to_start
from tests.runbooks.builders import after
from tests.tasks.aftermath import described, effects, intents_open, of_kind, records_of, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import furnished, to_contain
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.halts import (
    as_far_as_it_goes,
    halt,
    once,
    product_run,
    resume,
    services,
    stage_as_far_as_it_goes,
    woken,
)
from tests.tasks.harness import House, the_runbook
from tests.tasks.shaky import Died

SWAP = "ec2:ModifyNetworkInterfaceAttribute"
CUTTING = {"contain": {"cut_connections": True}}
SUSPECTED = {"remediation:compromise-suspected": "a detection"}


# --- nothing leaves --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.CONTAIN, Role.PATCH, Role.RESTORE])
def test_no_acting_client_of_a_run_sends_anything_while_it_is_on(open_house: OpenHouse, role: Role):
    house = furnished(open_house)
    have, run = services(house.ledger), house.start()
    aws = product_run(have, run).aws
    halt(have)
    with pytest.raises(Halted):
        aws.client("ec2", ACCOUNT, REGION, role).stop_instances(InstanceIds=[INSTANCE])
    assert house.mutating_calls() == []
    assert aws.client("ec2", ACCOUNT, REGION, Role.READ).describe_instances()["Reservations"]
    resume(have)
    aws.client("ec2", ACCOUNT, REGION, role).stop_instances(InstanceIds=[INSTANCE])
    assert house.mutating_calls() == ["ec2:StopInstances"]


@dataclass
class Switch:
    """Somebody who halts everything as soon as so many of the calls that change something have left."""

    have: Services
    lets_pass: int = 0

    def __call__(self, name: str) -> None:
        if self.lets_pass == 0:
            halt(self.have)
        self.lets_pass -= 1


def test_whichever_call_is_next_does_not_leave_and_everything_is_done_once_in_the_end(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    run, plan = to_contain(house)
    run.carry_out(plan)
    undisturbed = house.mutating_calls()
    assert len(undisturbed) > 8

    house = furnished(open_house, in_group=True)
    have = services(house.ledger)
    run, plan = to_contain(house)
    for number in range(len(undisturbed)):
        house.watch = Switch(have, lets_pass=min(number, 1))
        progress = as_far_as_it_goes(have, run, plan)
        assert progress is not None
        assert progress.held == "halted"
        assert house.mutating_calls() == undisturbed[:number]
        run = woken(run, progress)
        resume(have)
    house.watch = lambda name: None
    assert as_far_as_it_goes(have, run, plan) is None
    assert house.mutating_calls() == undisturbed
    assert statuses_of(house, plan) == {step.key: "done" for step in plan.steps}
    assert {count for made in effects(house).values() for count in made.values()} == {1}


def test_evidence_that_halts_held_up_again_and_again_is_not_given_up(open_house: OpenHouse):
    house = furnished(open_house)
    have = services(house.ledger)
    run, plan = to_contain(house)
    snapshots = of_kind(plan, "create-snapshots")
    for _ in range(MOST_TRIES + 1):
        house.watch = Switch(have)
        run = woken(run, stage_as_far_as_it_goes(have, run, plan, snapshots))
        resume(have)
    house.watch = lambda name: None
    assert stage_as_far_as_it_goes(have, run, plan, snapshots).finished
    assert statuses_of(house, plan) == {snapshots[0].key: "done"}


def test_while_it_is_on_no_intent_is_written_and_nothing_counts_as_tried(open_house: OpenHouse):
    house = furnished(open_house)
    have = services(house.ledger)
    run, plan = to_contain(house)
    halt(have)
    for _ in range(5):
        progress = as_far_as_it_goes(have, run, plan)
        assert progress is not None
        assert progress.waiting == halting.words(halting.halted(have))  # type: ignore[arg-type]
    assert not [record for record in records_of(house) if isinstance(record, Intent | Outcome)]
    assert house.history().admitted == {}


def test_putting_back_waits_too(open_house: OpenHouse):
    house = furnished(open_house)
    have = services(house.ledger)
    before = described(house)
    run, plan = to_contain(house)
    assert as_far_as_it_goes(have, run, plan) is None
    release = run.plan(Phase.RELEASE)
    run = run.approved(release)
    halt(have)
    changed = house.mutating_calls()
    progress = as_far_as_it_goes(have, run, release)
    assert progress is not None
    assert progress.held == "halted"
    assert house.mutating_calls() == changed
    resume(have)
    assert as_far_as_it_goes(have, run, release) is None
    assert described(house) == before


# --- nothing rests open ----------------------------------------------------------------------------------------------


@pytest.fixture
def cutting(open_house: OpenHouse) -> House:
    """Connections are cut by way of an open group."""
    house = open_house(runbook=the_runbook(**CUTTING))
    house.furnish(an_event(), exposed=False, tags=SUSPECTED)
    return house


def swaps_of(plan: Plan) -> tuple[SwapSecurityGroups, ...]:
    return tuple(step for step in of_kind(plan, "swap-security-groups") if isinstance(step, SwapSecurityGroups))


def up_to_the_swaps(house: House, have: Services) -> tuple[Any, Plan]:
    run, plan = to_contain(house)
    for stage in plan.stages():
        if stage[0].kind != "swap-security-groups":
            assert stage_as_far_as_it_goes(have, run, plan, stage).finished
    house.sandbox.cloud.record.clear()
    return run, plan


def groups_named(house: House, ending: str) -> list[str]:
    groups = house.client("ec2").describe_security_groups()["SecurityGroups"]
    return [group["GroupId"] for group in groups if group["GroupName"].endswith(ending)]


def test_a_halt_between_the_two_halves_of_a_swap_lets_the_closing_one_through_and_nothing_else(cutting: House):
    have = services(cutting.ledger)
    run, plan = up_to_the_swaps(cutting, have)
    first, second = swaps_of(plan)
    cutting.sessions.shaky.then[SWAP] = lambda: halt(have)

    progress = once(have, run, plan, (first, second))

    assert progress.held == "halted"
    assert cutting.mutating_calls() == [SWAP, SWAP]
    assert statuses_of(cutting, plan)[first.key] == "done"
    assert second.key not in statuses_of(cutting, plan)
    (way,) = groups_named(cutting, "-open")
    assert [way] not in described(cutting)["interfaces"].values()
    assert cutting.groups_of(second.target.id) == list(second.expects)
    assert intents_open(cutting) == [second]

    resume(have)
    assert stage_as_far_as_it_goes(have, run, plan, (first, second)).finished
    assert cutting.mutating_calls() == [SWAP] * 4


def test_an_interface_left_half_way_by_a_dead_run_is_closed_during_the_halt(cutting: House):
    have = services(cutting.ledger)
    run, plan = up_to_the_swaps(cutting, have)
    first, second = swaps_of(plan)

    def die() -> None:
        raise Died

    cutting.sessions.shaky.then[SWAP] = die
    with pytest.raises(Died):
        once(have, run, plan, (first, second))
    (way,) = groups_named(cutting, "-open")
    assert cutting.groups_of(first.target.id) == [way]
    halt(have)

    progress = as_far_as_it_goes(have, cutting.take_over(after_a_death=True), plan)

    assert progress is not None
    assert progress.held == "halted"
    assert cutting.mutating_calls() == [SWAP, SWAP]
    assert cutting.groups_of(first.target.id) not in ([way], list(first.expects))
    assert cutting.groups_of(second.target.id) == list(second.expects)


def test_a_halt_before_the_opening_half_keeps_the_interface_as_it_was(cutting: House):
    have = services(cutting.ledger)
    run, plan = up_to_the_swaps(cutting, have)
    cutting.watch = Switch(have)
    before = described(cutting)
    assert once(have, run, plan, swaps_of(plan)).held == "halted"
    assert cutting.mutating_calls() == []
    assert described(cutting) == before


# --- the response waits, and nobody gives up -------------------------------------------------------------------------


def waits(minutes: float, phase: str) -> Dated:
    return Dated(after(minutes), Waiting(phase=phase, reason="a reason", look_again_at=after(minutes + 1)))


def begins(minutes: float) -> Dated:
    return Dated(after(minutes), RunStarted(attempt=1, epoch=1, flow_run="run"))


def test_a_halt_is_nobodys_delay_and_the_time_of_a_phase_is_counted_anew_after_it():
    story = [waits(0, "remediate"), begins(1), waits(2, HALTED), begins(500), waits(501, "remediate")]
    assert fold(story[:1]).waiting_since["remediate"] == after(0)
    assert "remediate" not in fold(story[:3]).waiting_since
    assert fold(story).waiting_since["remediate"] == after(501)


@pytest.mark.parametrize("held", [HALTED, "limits"])
def test_runs_that_were_held_back_are_not_idle(held: str):
    story = [each for number in range(20) for each in (begins(number), waits(number, held))]
    assert patience.idle_runs(fold([*story, begins(21)])) == 1


def test_a_run_that_meets_the_halt_waits_and_is_not_handed_over(open_house: OpenHouse):
    house = furnished(open_house)
    have = services(house.ledger)
    made = product_run(have, house.start())

    async def playbook() -> Any:
        raise Halted("halted by jane")

    token = run._current.set(made)
    try:
        with pytest.raises(LookAgain) as pause:
            asyncio.run(_played(playbook))
    finally:
        run._current.reset(token)
    assert (pause.value.phase, pause.value.reason) == (HALTED, "halted by jane")
    assert house.history().ended is None


def test_the_sweep_wakes_what_is_halted_as_soon_as_it_is_not(open_house: OpenHouse):
    house = furnished(open_house)
    have, now = services(house.ledger), house.now()
    made = house.start()
    halt(have)
    house.ledger.wait(house.response, HALTED, "halted by jane", now + timedelta(hours=1), lease=made.lease)
    (row,) = house.ledger.responses("waiting")
    assert asyncio.run(_why_to_start(have, row, now)) is None
    resume(have)
    assert asyncio.run(_why_to_start(have, row, now)) is not None
    assert response_stream(row.id) in house.ledger.streams("response/")
