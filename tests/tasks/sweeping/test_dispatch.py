"""Runs that died, are stuck, or were never there: each is followed by a new flow run, once it has settled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from runbooks.case import SYSTEM_STREAM
from runbooks.errors import LeaseLost
from runbooks.history import HALTED
from runbooks.records import Decision, Restarted
from tasks.answering import settle
from tasks.gateways.ledger import Lease
from tasks.run import not_now, running
from tasks.services import use
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case
from tests.tasks.halts import halt, resume
from tests.tasks.prefect_api import PrefectApi, Trouble
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house, written

INSTANCE, OTHER = "i-0a1b2c3d4e5f60718", "i-0b1b2c3d4e5f60719"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def house(tmp_path: Path, prefect: PrefectApi) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def response(house: SweepHouse) -> str:
    """A response whose first flow run has been created."""
    house.deliver()
    assert house.sweep().troubles == []
    return house.newest(INSTANCE).id


def restarts(house: SweepHouse) -> list[tuple[int, str]]:
    records = (entry.record() for entry in house.ledger.entries(SYSTEM_STREAM))
    return [(each.attempt, each.reason) for each in records if isinstance(each, Restarted)]


def flow_run(house: SweepHouse) -> str:
    return house.newest(INSTANCE).flow_run or ""


def test_a_new_response_gets_one_flow_run(house: SweepHouse, prefect: PrefectApi, response: str) -> None:
    assert house.sweep().words == ""
    assert prefect.keys == [f"{response}-1"]
    assert prefect.runs[flow_run(house)]["parameters"] == {"response": response, "attempt": 1}
    assert restarts(house) == []


def test_a_run_that_stays_pending_is_replaced_after_its_time_and_not_before(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    stuck = flow_run(house)
    prefect.become(stuck, "PENDING")
    house.clock.pass_by(seconds=89)
    assert house.sweep().started == []
    house.clock.pass_by(seconds=2)
    assert house.sweep().restarted == {response: "its run never began"}
    assert (prefect.keys, prefect.cancelled) == ([f"{response}-1", f"{response}-2"], [stuck])
    assert restarts(house) == [(2, "its run never began")]


def test_a_run_that_crashed_before_its_first_line_is_replaced_at_once(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    crashed = flow_run(house)
    prefect.become(crashed, "CRASHED")
    assert house.sweep().restarted == {response: "its run never began"}
    assert (prefect.keys, prefect.cancelled) == ([f"{response}-1", f"{response}-2"], [])


def another_works_on_it(house: SweepHouse) -> Lease:
    """The run of another response holds the instance."""
    other = house.ledger.start_response(RUNBOOK, [open_case(house.ledger, OTHER)], "sweep").id
    key = house.case_on(INSTANCE).key
    held = (f"{key.account}/{key.region}/{key.resource_id}",)
    return house.ledger.take_over(other, house.ledger.next_attempt(other), "run", held, 30.0)


def comes_and_cannot_begin(house: SweepHouse, prefect: PrefectApi, response: str, attempt: int) -> None:
    """The run does what its flow does before its playbook, and ends."""
    with use(house), pytest.raises(LeaseLost) as lost, running(response, attempt, flow_run(house)):
        pass
    with use(house):
        not_now(response, attempt, lost.value)
    prefect.become(flow_run(house), "COMPLETED")


def test_a_run_that_finds_another_at_work_waits_a_little_and_is_started_without_a_word(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    lease = another_works_on_it(house)
    started = [f"{response}-{attempt}" for attempt in (1, 2, 3)]
    for attempt in (1, 2):
        comes_and_cannot_begin(house, prefect, response, attempt)
        for _ in range(7):
            house.clock.pass_by(seconds=2)
            house.ledger.renew(lease, 30.0)
            assert house.sweep().started == []
        house.clock.pass_by(seconds=1)
        assert house.sweep().started == [response]
        assert house.sweep().started == [], "the next one is on its way"
        mine = [key for key in prefect.keys if key.startswith(response)]
        assert mine == started[: attempt + 1]
    house.ledger.release(lease)
    house.clock.pass_by(seconds=60)
    with use(house), running(response, 3, flow_run(house)):
        assert house.newest(INSTANCE).status == "running"
    assert (restarts(house), prefect.cancelled) == ([], [])


def test_the_run_after_one_that_waited_is_replaced_if_it_crashes(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    another_works_on_it(house)
    comes_and_cannot_begin(house, prefect, response, 1)
    house.clock.pass_by(seconds=15)
    assert house.sweep().started == [response]
    prefect.become(flow_run(house), "CRASHED")
    assert house.sweep().restarted == {response: "its run never began"}
    assert restarts(house) == [(3, "its run never began")]


def test_a_run_woken_early_from_a_halt_is_replaced_if_it_crashes_though_the_halt_would_have_been_longer(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    lease = house.take_over(response)
    halt(house)
    house.ledger.wait(response, HALTED, "all is halted", house.now() + timedelta(hours=1), lease=lease)
    resume(house)
    assert house.sweep().started == [response]
    assert (house.newest(INSTANCE).status, house.newest(INSTANCE).waiting_phase) == ("starting", HALTED)
    prefect.become(flow_run(house), "CRASHED")
    assert house.sweep().restarted == {response: "its run never began"}


def test_an_orphaned_run_is_replaced_once_its_lease_has_lapsed_and_settled(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    lease = house.take_over(response)
    orphan = flow_run(house)
    prefect.become(orphan, "RUNNING")
    house.clock.pass_by(seconds=30 + 25)
    assert house.sweep().started == []
    house.clock.pass_by(seconds=2)
    assert house.sweep().restarted == {response: "its run went silent"}
    assert (prefect.keys, prefect.cancelled) == ([f"{response}-1", f"{response}-2"], [orphan])
    successor = house.take_over(response)
    assert successor.epoch == lease.epoch + 1


def test_a_run_that_crashed_while_it_worked_is_replaced_though_prefect_says_so_earlier(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    house.take_over(response)
    prefect.become(flow_run(house), "CRASHED")
    house.clock.pass_by(seconds=50)
    assert house.sweep().started == []
    house.clock.pass_by(seconds=10)
    assert house.sweep().restarted == {response: "its run went silent"}
    assert prefect.cancelled == []


def test_a_question_whose_form_died_is_asked_by_a_new_run(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    house.take_over(response)
    house.ask(response)
    prefect.become(flow_run(house), "CRASHED")
    house.clock.pass_by(seconds=6)
    assert house.sweep().restarted == {response: "its question lost its form"}
    assert prefect.keys == [f"{response}-1", f"{response}-2"]


def test_an_answer_that_woke_nobody_is_acted_on_by_a_new_run(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    house.take_over(response)
    plan = house.ask(response)
    prefect.become(flow_run(house), "PAUSED")
    no = Decision(digest=plan.digest, attempt=1, answer="rejected", approver="jane", channel="slack")
    assert settle(house, response, no)
    house.clock.pass_by(seconds=11)
    assert house.sweep().restarted == {response: "its answer did not wake it"}


def test_a_run_that_an_answer_has_woken_is_given_the_time_to_come_back(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    house.take_over(response)
    plan = house.ask(response)
    no = Decision(digest=plan.digest, attempt=1, answer="rejected", approver="jane", channel="command")
    assert settle(house, response, no)
    prefect.become(flow_run(house), "SCHEDULED")
    house.clock.pass_by(seconds=60)
    assert house.sweep().restarted == {}
    prefect.become(flow_run(house), "RUNNING", seconds_ago=91)
    house.clock.pass_by(seconds=31)
    assert house.sweep().restarted == {response: "its run is stuck"}


def test_a_killed_workers_case_acts_again_within_two_minutes(
    house: SweepHouse, prefect: PrefectApi, response: str
) -> None:
    """With the scheduled sweep alone, 30 s apart; 20 s are left for a worker to start two processes."""
    house.take_over(response)
    killed = house.now()
    while not house.sweep().restarted:
        house.clock.pass_by(seconds=30)
    house.take_over(response)
    assert (house.now() - killed).total_seconds() <= 100


@pytest.mark.parametrize("trouble", ["fails", "does not answer", "loses the answer"])
def test_prefect_being_away_for_ten_minutes_repeats_and_loses_nothing(
    house: SweepHouse, prefect: PrefectApi, response: str, trouble: Trouble
) -> None:
    house.take_over(response)
    prefect.become(flow_run(house), "RUNNING")
    prefect.trouble = trouble
    house.deliver(2, OTHER)
    for _ in range(10):
        house.clock.pass_by(minutes=1)
        swept = house.sweep()
        assert {each.split(": ")[1] for each in swept.troubles} == {"prefect"}
    other = house.newest(OTHER).id
    during = written(house.ledger)

    prefect.trouble = None
    assert sorted(house.sweep().started) == sorted([response, other])
    assert written(house.ledger) == during
    assert house.sweep().words == ""

    attempts = {row.id: row.attempt for row in house.ledger.responses()}
    newest = [f"{name}-{attempt}" for name, attempt in attempts.items()]
    assert [prefect.run_of(key) for key in newest] == [row.flow_run for row in house.ledger.responses()]
    assert len(prefect.keys) == len(set(prefect.keys))
    assert restarts(house)[0] == (2, "its run went silent")
