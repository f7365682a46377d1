"""The executor: written down, then done; and what was begun may have been done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deployments.sandbox.operations import is_read
from runbooks.errors import LeaseLost
from runbooks.history import SUCCEEDED
from runbooks.plan import Phase, Plan
from runbooks.records import Intent, Outcome
from runbooks.steps import AnyStep
from tasks.rounds import fallen_out
from tests.tasks.aftermath import described, intents_open, of_kind, records_of, statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.contained import assert_isolated, furnished, to_contain
from tests.tasks.gateways.aws_world import INSTANCE
from tests.tasks.harness import House, Run
from tests.tasks.shaky import Blow, Died

# --- written down, then done -----------------------------------------------------------------------------------------


def test_every_mutating_call_has_its_intent_and_the_original_in_the_ledger_before_it_leaves(open_house: OpenHouse):
    house = furnished(open_house, in_group=True)
    before = described(house)
    seen: list[tuple[str, list[AnyStep]]] = []
    house.watch = lambda name: seen.append((name, intents_open(house)))
    house.start().to_the_end()

    mutating = house.mutating_calls()
    assert [name for name, _ in seen] == [call.partition(":")[2] for call in mutating]
    assert len(mutating) == 18
    for call, (_, steps) in zip(mutating, seen, strict=True):
        assert call in {each for step in steps for each in step.calls}
    originals = {record.subject: record.original for record in records_of(house) if isinstance(record, Intent)}
    swaps = {f"swap-security-groups:{eni}": {"groups": groups} for eni, groups in before["interfaces"].items()}
    history = house.history()
    contain = history.plan(Phase.CONTAIN)
    assert contain is not None
    assert {
        key: history.intents[contain.operation(step)].original for step in contain.steps if (key := step.key) in swaps
    } == swaps
    assert originals[f"create-snapshots:{INSTANCE}"] == {"snapshots": {}}


@pytest.mark.parametrize(
    ("first", "never"),
    [
        ("ec2:CreateSecurityGroup", "ec2:RevokeSecurityGroupEgress"),
        ("ec2:ModifyNetworkInterfaceAttribute", "ec2:ModifyNetworkInterfaceAttribute"),
        ("autoscaling:DetachInstances", "ec2:ModifyInstanceAttribute"),
    ],
)
def test_a_lost_lease_stops_the_very_next_call(open_house: OpenHouse, first: str, never: str):
    house = furnished(open_house, in_group=True)
    run, plan = to_contain(house)
    house.sessions.shaky.then[first] = house.overtake
    with pytest.raises(LeaseLost):
        run.carry_out(plan)
    calls = house.mutating_calls()
    assert calls[-1] == first
    assert never not in calls[calls.index(first) + 1 :]


def test_a_run_that_was_overtaken_writes_nothing_more(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.take_over(after_a_death=True)
    records = len(records_of(house))
    with pytest.raises(LeaseLost):
        run.once(plan, next(plan.stages()))
    assert len(records_of(house)) == records
    assert house.mutating_calls() == []


def test_a_lease_that_ran_out_stops_the_next_call_though_nobody_took_it(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    house.sandbox.advance(31)
    with pytest.raises(LeaseLost):
        run.once(plan, next(plan.stages()))
    assert house.mutating_calls() == []


# --- what was begun may have been done -------------------------------------------------------------------------------


@pytest.mark.parametrize("blow", ["dies before the call", "dies after the call", "answer lost"])
def test_a_containment_that_broke_anywhere_is_released_to_what_was_there(open_house: OpenHouse, blow: Blow):
    undisturbed = stopping(open_house)
    run, plan = to_contain(undisturbed)
    first = len(undisturbed.sessions.shaky.calls)
    run.carry_out(plan)
    calls = list(enumerate(undisturbed.sessions.shaky.calls))[first:]
    acts = {number: name for number, name in calls if not is_read(name.partition(":")[2])}
    assert len(acts) == 10

    wrong = {
        f"{name} ({number})": found for number, name in acts.items() if (found := broken(open_house, blow, number))
    }

    assert wrong == {}


def broken(open_house: OpenHouse, blow: Blow, number: int) -> list[str]:
    """What is not as it was after a containment that broke there, and was never taken up again, is released."""
    house = stopping(open_house)
    before = described(house) | {"state": state_of(house)}
    run, plan = to_contain(house)
    shaky = house.sessions.shaky
    shaky.blow, shaky.point = blow, number
    try:
        for stage in plan.stages():
            if not run.once(plan, stage).finished:
                break
    except Died:
        run = house.take_over(after_a_death=True)
    assert shaky.struck is not None
    release = run.plan(Phase.RELEASE)
    statuses = run.approved(release).carry_out(release) if release.steps else {}
    after = described(house) | {"state": state_of(house)}
    return [
        *(f"{name} is {after[name]}" for name in before if after[name] != before[name]),
        *(f"{key}: {status}" for key, status in statuses.items() if status not in SUCCEEDED),
    ]


def test_a_swap_that_was_begun_and_not_done_is_found_as_it_was_though_its_group_is_gone(open_house: OpenHouse):
    house = furnished(open_house)
    before = described(house)
    run, plan = to_contain(house)
    (swap, *_) = swaps = of_kind(plan, "swap-security-groups")
    house.watch = dies_at("ModifyNetworkInterfaceAttribute")
    with pytest.raises(Died):
        run.carry_out(plan)
    house.watch = lambda name: None
    (group,) = house.history().outcomes[plan.operation(plan.steps[0])].result.values()
    house.client("ec2").delete_security_group(GroupId=group)

    run = house.take_over(after_a_death=True)
    assert house.history().contained
    release = run.plan(Phase.RELEASE)
    statuses = run.approved(release).carry_out(release)

    assert set(house.history().intents) >= {plan.operation(step) for step in swaps}
    assert statuses[swap.key] == "already-done"
    assert set(statuses.values()) <= set(SUCCEEDED)
    assert described(house) == before


def dies_at(operation: str) -> Callable[[str], None]:
    def watch(name: str) -> None:
        if name == operation:
            raise Died(name)

    return watch


def test_a_stop_that_was_given_up_is_started_again_by_the_release(open_house: OpenHouse):
    house = stopping(open_house)
    run, plan = to_contain(house)
    (stop,) = stage = of_kind(plan, "stop-instance")
    assert not run.once(plan, stage).finished
    run.give_up(plan, stage)
    assert run.once(plan, stage).finished
    assert statuses_of(house, plan) == {stop.key: "failed"}
    assert list(fallen_out(house.history(), plan)) == list(plan.cases)
    assert (house.history().contained, state_of(house) == "running") == (True, False)

    release = run.plan(Phase.RELEASE)
    assert [step.kind for step in release.steps] == ["start-instance"]
    assert set(run.approved(release).carry_out(release).values()) == {"done"}

    assert state_of(house) == "running"


def overdue(run: Run, plan: Plan) -> Run:
    """The run ends to wait for the phase; the next one finds that it has waited too long."""
    house = run.house
    house.ledger.wait(house.response, str(plan.phase), "AWS did not answer", house.now(), lease=run.lease)
    return house.take_over()


def given_up_and_carried_on(run: Run, plan: Plan) -> dict[str, str]:
    """Every stage as the task takes it when the phase's time is over."""
    for stage in plan.stages():
        run.give_up(plan, stage)
        run.stage(plan, stage)
    return statuses_of(run.house, plan)


def test_what_could_not_be_begun_in_time_has_failed_and_the_network_is_cut_all_the_same(open_house: OpenHouse):
    house = furnished(open_house, target_group=True)
    run, plan = to_contain(house)
    (leaving,) = stage = of_kind(plan, "deregister-target")
    shaky = house.sessions.shaky
    shaky.refused["elasticloadbalancing:DescribeTargetHealth"] = "Throttling"
    for each in plan.stages():
        if each == stage:
            break
        run.stage(plan, each)
    assert not run.once(plan, stage).finished

    statuses = given_up_and_carried_on(overdue(run, plan), plan)

    assert statuses == {step.key: "failed" if step == leaving else "done" for step in plan.steps}
    assert plan.operation(leaving) not in house.history().changes
    assert_isolated(house, plan)


def test_what_was_sent_and_got_no_answer_in_time_has_failed_and_is_released_all_the_same(open_house: OpenHouse):
    house = furnished(open_house)
    before = described(house)
    run, plan = to_contain(house)
    shaky = house.sessions.shaky
    swaps = of_kind(plan, "swap-security-groups")
    for stage in plan.stages():
        if stage != swaps:
            run.stage(plan, stage)
    shaky.blow, shaky.point = "answer lost", len(shaky.calls) + 2  # the call after the look
    assert not run.once(plan, swaps).finished
    assert shaky.struck == "ec2:ModifyNetworkInterfaceAttribute"
    shaky.refused["ec2:DescribeNetworkInterfaces"] = "Throttling"

    statuses = given_up_and_carried_on(run := overdue(run, plan), plan)

    sent, *others = swaps
    assert statuses == {step.key: "failed" if step == sent else "done" for step in plan.steps}
    told = [record.status for record in records_of(house) if isinstance(record, Outcome) and record.subject == sent.key]
    assert told == ["in-progress", "failed"]
    assert house.history().changes.keys() >= {plan.operation(step) for step in (sent, *others)}
    shaky.refused.clear()
    run.phase(Phase.RELEASE)
    assert described(house) == before


def test_a_stage_that_was_never_waited_for_is_tried_though_the_phase_is_over_time(open_house: OpenHouse):
    house = furnished(open_house)
    run, plan = to_contain(house)
    first, *_ = plan.stages()
    run = overdue(run, plan)
    run.stage(plan, first)
    statuses = given_up_and_carried_on(run, plan)
    assert statuses == {step.key: "done" for step in plan.steps}


def stopping(open_house: OpenHouse) -> House:
    return furnished(open_house, {"contain": {"stop": True}}, in_group=True)


def state_of(house: House) -> str:
    answer = house.client("ec2").describe_instances(InstanceIds=[INSTANCE])
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]
