"""Pacing by a clock that stands still until somebody waits, and by the sandbox that throttles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, LeaseLost, Throttled
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import acts
from tasks.gateways.pacing import LONGEST_WAIT_SECONDS, MOST_SENDINGS, Pacing
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld

OTHER_ACCOUNT = "210987654322"
EVIDENCE = "evidence"


class Clock:
    """Time passes only while somebody waits, or where a test lets it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []
        self.then: Callable[[], None] = lambda: None
        """What happens elsewhere while somebody waits."""

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(round(seconds, 3))
        self.now += seconds
        self.then()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pacing(clock: Clock, factor: float = 1.0) -> Pacing:
    return Pacing(factor, clock=clock, wait=clock.wait)


def take(pace: Pacing, operation: str, times: int = 1, account: str = ACCOUNT, region: str = REGION) -> None:
    for _ in range(times):
        pace.take_turn(account, region, "ec2", operation)


def test_a_small_response_does_not_wait_at_all(clock: Clock) -> None:
    take(pacing(clock), "CreateSnapshots", times=95)
    assert clock.waits == []


def test_a_large_one_leaves_as_quickly_as_tokens_come_back(clock: Clock) -> None:
    take(pacing(clock), "CreateSnapshots", times=105)
    assert clock.waits == [0.2] * 10


def test_the_bucket_fills_again_while_nothing_is_asked(clock: Clock) -> None:
    pace = pacing(clock)
    take(pace, "CreateSnapshots", times=95)
    clock.now += 3_600
    take(pace, "CreateSnapshots", times=95)
    assert clock.waits == []
    take(pace, "CreateSnapshots")
    assert clock.waits == [0.2]


def test_each_api_each_region_and_each_account_has_a_bucket_of_its_own(clock: Clock) -> None:
    pace = pacing(clock)
    take(pace, "CreateSnapshots", times=95)
    take(pace, "ModifyNetworkInterfaceAttribute", times=95)
    take(pace, "CreateSnapshots", times=95, region="us-east-1")
    take(pace, "CreateSnapshots", times=95, account=OTHER_ACCOUNT)
    assert clock.waits == []


def test_what_no_documentation_limits_is_not_held_up(clock: Clock) -> None:
    pace = pacing(clock)
    for _ in range(1_000):
        pace.take_turn(ACCOUNT, REGION, "ssm", "SendCommand")
    assert clock.waits == []


def test_an_account_with_raised_quotas_is_asked_as_much_more_often(clock: Clock) -> None:
    take(pacing(clock, factor=4), "CreateSnapshots", times=97)
    assert clock.waits == [0.05, 0.05]


def test_threads_share_the_tokens_and_none_is_given_twice(clock: Clock) -> None:
    pace = Pacing(clock=clock, wait=clock.waits.append)
    threads = [threading.Thread(target=take, args=(pace, "CreateSnapshots", 25)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Nobody's wait moved the clock: each of those behind the 95 waits a fifth of a second longer than the one before.
    assert sorted(round(seconds, 3) for seconds in clock.waits) == [round(0.2 * n, 3) for n in range(1, 106)]


def test_nobody_waits_without_end(clock: Clock) -> None:
    waits: list[float] = []
    pace = Pacing(clock=clock, wait=waits.append)
    with pytest.raises(
        Throttled, match=r"StartInstances in 210987654321/eu-west-1 would wait 60 s .* too much"
    ) as told:
        take(pace, "StartInstances", times=1_000)
    assert told.value.code == "throttled"
    assert max(waits) <= LONGEST_WAIT_SECONDS
    asked = len(waits)
    clock.now += 1
    take(pace, "StartInstances", times=2)
    assert len(waits) == asked + 2


def test_a_refusal_of_aws_empties_the_bucket_and_slows_it_for_a_while(clock: Clock) -> None:
    pace = pacing(clock)
    take(pace, "CreateSnapshots")
    assert pace.refused(ACCOUNT, REGION, "ec2", "CreateSnapshots", 1) == 1.0
    take(pace, "CreateSnapshots", times=3)
    slow, *_ = clock.waits
    assert slow == 0.4
    assert clock.waits == sorted(clock.waits, reverse=True)
    clock.now += 60
    take(pace, "CreateSnapshots", times=200)
    assert clock.waits[-1] == 0.2


def test_refusals_in_one_burst_slow_it_once(clock: Clock) -> None:
    pace = pacing(clock)
    for _ in range(8):
        pace.refused(ACCOUNT, REGION, "ec2", "CreateSnapshots", 1)
    take(pace, "CreateSnapshots")
    assert clock.waits == [0.4]
    clock.now += 1
    pace.refused(ACCOUNT, REGION, "ec2", "CreateSnapshots", 1)
    take(pace, "CreateSnapshots")
    assert 0.7 < clock.waits[-1] < 0.8


def test_each_further_refusal_of_one_request_waits_twice_as_long(clock: Clock) -> None:
    pace = pacing(clock, factor=2)
    assert [pace.refused(ACCOUNT, REGION, "ssm", "SendCommand", n) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]


# --- at AWS's door ---------------------------------------------------------------------------------------------------


def paced(aws: AwsWorld, clock: Clock, role: Role = Role.CONTAIN, **options: Any) -> Any:
    """A client in a hurry: where botocore itself waits, it is for a thousandth of the time."""
    return aws.new_sessions(pacing=pacing(clock, factor=1_000), **options).client("ec2", ACCOUNT, REGION, role)


def snapshot(client: Any) -> None:
    with acts():
        client.create_snapshots(InstanceSpecification={"InstanceId": INSTANCE}, Description=EVIDENCE)


def snapshots(aws: AwsWorld) -> int:
    named = [{"Name": "description", "Values": [EVIDENCE]}]
    return len(aws.client("ec2").describe_snapshots(Filters=named)["Snapshots"])


def test_a_throttled_act_had_no_effect_is_sent_again_and_has_one(aws: AwsWorld, clock: Clock) -> None:
    aws.furnish(volumes=2)
    aws.fault("ec2:CreateSnapshots", FaultKind.THROTTLE, times=2)
    snapshot(paced(aws, clock))
    assert aws.calls(mutating=True) == ["ec2:CreateSnapshots"] * 3
    assert aws.guarded == ["CreateSnapshots"] * 3
    assert snapshots(aws) == 2


def test_an_act_that_stays_throttled_is_given_back_undone(aws: AwsWorld, clock: Clock) -> None:
    aws.furnish()
    aws.fault("ec2:CreateSnapshots", FaultKind.THROTTLE, times=100)
    with pytest.raises(Throttled):
        snapshot(paced(aws, clock))
    assert len(aws.calls()) == MOST_SENDINGS
    assert snapshots(aws) == 0


@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.SERVER_ERROR])
def test_an_act_whose_effect_is_not_known_is_never_sent_again(aws: AwsWorld, clock: Clock, kind: FaultKind) -> None:
    aws.furnish()
    aws.fault("ec2:CreateSnapshots", kind)
    with pytest.raises(AnswerLost):
        snapshot(paced(aws, clock))
    assert aws.guarded == ["CreateSnapshots"]


def test_lease_and_kill_switch_are_asked_after_the_wait(aws: AwsWorld, clock: Clock) -> None:
    aws.furnish(volumes=1)
    order: list[str] = []
    clock.then = lambda: order.append("waited")
    client = paced(aws, clock, guard=order.append)
    for _ in range(97):
        snapshot(client)
    assert order == ["CreateSnapshots"] * 95 + ["waited", "CreateSnapshots"] * 2


def test_a_lease_that_is_lost_while_an_act_waits_stops_it(aws: AwsWorld, clock: Clock) -> None:
    aws.furnish(volumes=1)
    lost: list[str] = []

    def guard(operation: str) -> None:
        if lost:
            raise LeaseLost(f"{operation} is not ours to make any more")

    clock.then = lambda: lost.append("to another run")
    client = paced(aws, clock, guard=guard)
    for _ in range(95):
        snapshot(client)
    with pytest.raises(LeaseLost):
        snapshot(client)
    assert len(aws.calls(mutating=True)) == 95


def test_reading_waits_for_its_tokens_too_at_every_attempt(aws: AwsWorld, clock: Clock) -> None:
    client = paced(aws, clock, Role.READ)
    aws.fault("ec2:DescribeVpcs", FaultKind.THROTTLE)
    client.describe_vpcs()
    assert aws.calls() == ["ec2:DescribeVpcs"] * 2
    # The refusal emptied the bucket: the second attempt waited for its token.
    assert len(clock.waits) == 1


def test_a_read_without_a_filter_takes_from_the_bucket_that_it_has_at_aws(aws: AwsWorld, clock: Clock) -> None:
    client = paced(aws, clock, Role.READ)
    for _ in range(48):
        client.describe_instances()
    assert len(clock.waits) == 1
    client.describe_instances(Filters=[{"Name": "instance-id", "Values": [INSTANCE]}])
    client.describe_instances(MaxResults=5)
    assert len(clock.waits) == 1


def test_a_turn_that_is_too_far_off_is_throttling_and_nothing_leaves(aws: AwsWorld, clock: Clock) -> None:
    aws.furnish()
    pace = Pacing(clock=clock, wait=lambda seconds: None)
    with pytest.raises(Throttled):
        take(pace, "CreateSnapshots", times=1_000)
    client = aws.new_sessions(pacing=pace).client("ec2", ACCOUNT, REGION, Role.CONTAIN)
    with pytest.raises(Throttled):
        snapshot(client)
    assert (aws.calls(), aws.guarded) == ([], [])
