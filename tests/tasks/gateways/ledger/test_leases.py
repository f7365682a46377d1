"""One may act on a resource at a time, and one who was replaced finds out before the call leaves."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from runbooks.errors import LeaseLost
from tasks.gateways.ledger import Lease, Ledger
from tests.tasks.gateways.ledger.samples import MORNING, Clock, contents, question, start


def take(ledger: Ledger, response: str, *resources: str, settle_seconds: float = 15) -> Lease:
    """The next run of the response begins to act."""
    attempt = ledger.next_attempt(response)
    return ledger.take_over(response, attempt, f"run-{attempt}", resources, 60, settle_seconds=settle_seconds)


def refusal(ledger: Ledger, response: str, *resources: str, settle_seconds: float = 15) -> str:
    """The code with which the response's next run is refused; nothing but the attempt may have changed."""
    attempt = ledger.next_attempt(response)
    before = contents(ledger)
    with pytest.raises(LeaseLost) as lost:
        ledger.take_over(response, attempt, "run-x", resources, 60, settle_seconds=settle_seconds)
    assert contents(ledger) == before
    return lost.value.code


def epochs(ledger: Ledger) -> dict[str, int]:
    return {resource: epoch for resource, epoch, *_ in contents(ledger)["leases"]}


def test_who_takes_over_holds_the_response_and_every_resource(ledger: Ledger) -> None:
    response = start(ledger)
    lease = take(ledger, response, "i-0a", "asg-1")
    assert lease.epochs == {response: 1, "i-0a": 1, "asg-1": 1}
    assert (lease.response_id, lease.attempt, lease.epoch) == (response, 1, 1)
    assert {row[2:] for row in contents(ledger)["leases"]} == {(lease.holder, MORNING + timedelta(seconds=60))}
    ledger.check(lease)


def test_a_lease_of_an_earlier_epoch_is_refused_whoever_shows_it(ledger: Ledger) -> None:
    lease = take(ledger, start(ledger), "i-0a")
    with pytest.raises(LeaseLost):
        ledger.check(lease.model_copy(update={"epochs": {**lease.epochs, "i-0a": 0}}))


def test_two_runbooks_do_not_act_on_one_instance_at_once(ledger: Ledger) -> None:
    first, second = start(ledger, "i-0a"), start(ledger, "i-0b")
    lease = take(ledger, first, "i-0a", "asg-1")
    assert refusal(ledger, second, "i-0b", "asg-1") == "lease-held"
    ledger.release(lease)
    assert take(ledger, second, "i-0b", "asg-1").epochs == {second: 1, "i-0b": 1, "asg-1": 2}


def test_the_same_run_in_two_processes_acts_in_one(ledger: Ledger) -> None:
    response = start(ledger)
    lease = take(ledger, response, "i-0a")
    with pytest.raises(LeaseLost) as lost:
        ledger.take_over(response, 1, "run-1", ["i-0a"], 60)
    assert lost.value.code == "lease-held"
    ledger.check(lease)


def test_a_lease_that_ran_out_is_refused_to_its_holder_and_settles_before_it_is_given_again(
    ledger: Ledger, clock: Clock
) -> None:
    first, second = start(ledger, "i-0a"), start(ledger, "i-0b")
    lease = take(ledger, first, "i-0a")
    clock.pass_by(seconds=59.999)
    ledger.check(lease)
    clock.pass_by(seconds=0.001)
    with pytest.raises(LeaseLost, match="ran out"):
        ledger.check(lease)
    clock.pass_by(seconds=14.999)
    assert refusal(ledger, second, "i-0a") == "lease-held"
    clock.pass_by(seconds=0.001)
    assert take(ledger, second, "i-0a").epochs["i-0a"] == 2


def test_a_run_that_was_replaced_is_stopped_at_its_next_call(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    lease = take(ledger, response, "i-0a")
    clock.pass_by(seconds=1)
    ledger.next_attempt(response, "its process crashed")
    for act in (lambda: ledger.check(lease), lambda: ledger.renew(lease, 60)):
        with pytest.raises(LeaseLost):
            act()
    clock.pass_by(seconds=14.999)
    with pytest.raises(LeaseLost) as held:
        ledger.take_over(response, 2, "run-2", ["i-0a"], 60, settle_seconds=15)
    assert held.value.code == "lease-held"
    clock.pass_by(seconds=0.001)
    new = ledger.take_over(response, 2, "run-2", ["i-0a"], 60, settle_seconds=15)
    assert all(new.epochs[resource] > epoch for resource, epoch in lease.epochs.items())
    ledger.check(new)


def test_a_lease_taken_away_after_it_ran_out_settles_from_when_it_ran_out(ledger: Ledger, clock: Clock) -> None:
    response = start(ledger)
    take(ledger, response, "i-0a")
    clock.pass_by(minutes=5)
    assert take(ledger, response, "i-0a").attempt == 2


def test_a_lease_is_lost_with_any_of_its_resources(ledger: Ledger, clock: Clock) -> None:
    first, second = start(ledger, "i-0a"), start(ledger, "i-0b")
    lease = take(ledger, first, "i-0a", "asg-1")
    clock.pass_by(minutes=2)
    other = take(ledger, second, "asg-1")
    before = contents(ledger)
    for act in (
        lambda: ledger.check(lease),
        lambda: ledger.renew(lease, 60),
        lambda: ledger.extend_lease(lease, ["i-0c"], 60),
    ):
        with pytest.raises(LeaseLost):
            act()
    assert contents(ledger) == before
    ledger.release(lease)
    ledger.check(other)


def test_a_renewed_lease_lasts(ledger: Ledger, clock: Clock) -> None:
    lease = take(ledger, start(ledger), "i-0a")
    clock.pass_by(seconds=50)
    ledger.renew(lease, 60)
    clock.pass_by(seconds=59)
    ledger.check(lease)


def test_a_lease_that_ran_out_may_be_renewed_while_nobody_else_has_it(ledger: Ledger, clock: Clock) -> None:
    lease = take(ledger, start(ledger), "i-0a")
    clock.pass_by(minutes=5)
    ledger.renew(lease, 60)
    ledger.check(lease)


def test_further_resources_are_held_by_the_same_holder(ledger: Ledger) -> None:
    response, other = start(ledger, "i-0a"), start(ledger, "i-0b")
    lease = ledger.extend_lease(take(ledger, response, "i-0a"), ["asg-1", "i-0a"], 60)
    assert lease.epochs == {response: 1, "i-0a": 1, "asg-1": 1}
    ledger.check(lease)
    assert refusal(ledger, other, "asg-1") == "lease-held"


def test_what_was_released_is_free_at_once_and_its_epoch_still_rises(ledger: Ledger) -> None:
    response = start(ledger)
    first = take(ledger, response, "i-0a")
    ledger.release(first)
    with pytest.raises(LeaseLost):
        ledger.check(first)
    assert take(ledger, response, "i-0a").epochs == {response: 2, "i-0a": 2}


@pytest.mark.parametrize("sleep", ["wait", "ask"])
def test_a_response_that_sleeps_holds_nothing(ledger: Ledger, sleep: str) -> None:
    response, other = start(ledger, "i-0a"), start(ledger, "i-0b")
    lease = take(ledger, response, "i-0a", "asg-1")
    if sleep == "wait":
        ledger.wait(response, "verify", "a scan", MORNING, lease=lease)
    else:
        ledger.ask(response, question(), lease=lease)
    assert take(ledger, other, "asg-1").epochs["asg-1"] == 2


def test_of_many_at_once_one_takes_over(ledger: Ledger) -> None:
    response = start(ledger)
    attempt = ledger.next_attempt(response)
    taken: list[Lease] = []
    refused: list[str] = []

    def take_over() -> None:
        try:
            taken.append(ledger.take_over(response, attempt, "run-1", ["i-0a"], 60))
        except LeaseLost as lost:
            refused.append(lost.code)

    threads = [threading.Thread(target=take_over) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), refused) == (1, ["lease-held"] * 5)


def test_four_hundred_resources_are_one_lease(ledger: Ledger) -> None:
    resources = [f"i-{number:04}" for number in range(400)]
    lease = take(ledger, start(ledger), *resources)
    ledger.check(lease)
    ledger.renew(lease, 60)
    ledger.release(lease)
    assert set(epochs(ledger).values()) == {1}
    assert len(epochs(ledger)) == 401
