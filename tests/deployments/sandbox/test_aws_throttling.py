"""The documented token buckets, enforced when somebody asks for it. The sandbox's clock stands still."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.deployments.sandbox.test_aws_faults import ask, control


def enforce(sandbox: Any, **body: Any) -> Any:
    return control(sandbox.url, "throttling", body)


def refused(call: Any, times: int, **request: Any) -> list[int]:
    """Which of so many calls AWS refused for their rate, from 0."""
    found: list[int] = []
    for number in range(times):
        try:
            call(**request)
        except ClientError as error:
            answer: Any = error.response
            assert answer["Error"]["Code"] == "RequestLimitExceeded"
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
            found.append(number)
    return found


def test_nobody_is_throttled_who_did_not_ask_for_it(sandbox, aws):
    assert refused(aws("ec2").describe_instances, 60) == []
    assert control(sandbox.url, "throttling") == {
        "scale": 0.0,
        "answer_seconds": 0.0,
        "requests": {},
        "throttled": {},
    }


def test_a_burst_finds_as_many_tokens_as_are_documented_and_they_come_back_in_time(sandbox, aws, finding):
    instance = sandbox.furnish(finding())["instance_id"]
    enforce(sandbox, scale=1)
    start = aws("ec2").start_instances
    assert refused(start, 7, InstanceIds=[instance]) == [5, 6]
    sandbox.advance(1)
    assert refused(start, 3, InstanceIds=[instance]) == [2]
    sandbox.advance(3_600)
    assert refused(start, 6, InstanceIds=[instance]) == [5]
    seen = control(sandbox.url, "throttling")
    assert (seen["requests"], seen["throttled"]) == ({"ec2:StartInstances": 16}, {"ec2:StartInstances": 4})


def test_a_refused_request_does_nothing(sandbox, aws, finding):
    instance = sandbox.furnish(finding())["instance_id"]
    aws("ec2").stop_instances(InstanceIds=[instance])
    enforce(sandbox, scale=1)
    unknown = {"InstanceIds": ["i-0bbbbbbbbbbbbbbb1"]}
    for _ in range(5):
        with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
            aws("ec2").start_instances(**unknown)
    assert refused(aws("ec2").start_instances, 1, InstanceIds=[instance]) == [0]
    shown = aws("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert shown["State"]["Name"] == "stopped"


def test_accounts_regions_and_operations_have_buckets_of_their_own(sandbox, aws):
    enforce(sandbox, scale=1)
    assert refused(aws("ec2").describe_instances, 51) == [50]
    assert refused(aws("ec2", region="us-east-1").describe_instances, 1) == []
    assert refused(aws("ec2", account="210987654322").describe_instances, 1) == []
    assert refused(aws("ec2").describe_vpcs, 1) == []


def test_a_filter_or_a_page_size_takes_from_the_larger_bucket(sandbox, aws):
    enforce(sandbox, scale=1)
    refused(aws("ec2").describe_instances, 50)
    assert refused(aws("ec2").describe_instances, 1, MaxResults=5) == []
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    assert refused(aws("ec2").describe_instances, 1, Filters=running) == []
    assert refused(aws("ec2").describe_instances, 1) == [0]


def test_services_without_documented_rates_take_everything(sandbox, aws):
    enforce(sandbox, scale=1)
    for _ in range(60):
        aws("ssm").list_commands()
    assert control(sandbox.url, "throttling")["requests"] == {}


def test_scaled_the_same_buckets_refill_as_much_more_quickly(sandbox, aws):
    enforce(sandbox, scale=20)
    assert refused(aws("ec2").describe_instances, 51) == [50]
    sandbox.advance(0.1)
    assert refused(aws("ec2").describe_instances, 21) == [20]


def test_an_answer_can_be_held_back_as_long_as_aws_needs_for_it(sandbox, aws):
    enforce(sandbox, scale=1, answer_seconds=0.2)
    began = time.monotonic()
    aws("ec2").describe_vpcs()
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    "body", [{}, {"scale": -1}, {"scale": "quick"}, {"scale": "Infinity"}, {"scale": 1, "answer_seconds": 11}]
)
def test_a_scale_that_makes_no_sense_is_refused(sandbox, body):
    assert ask(sandbox.url, "throttling", body).status_code == 400


def test_a_reset_sandbox_throttles_nobody(sandbox, aws):
    enforce(sandbox, scale=1)
    sandbox.reset()
    assert refused(aws("ec2").describe_instances, 60) == []


def test_the_tags_of_a_resource_are_its_own(sandbox, aws, finding):
    one = sandbox.furnish(finding(tags={"Name": "web"}))["instance_id"]
    other = sandbox.furnish(finding("i-0ccccccccccccccc1", address="10.20.1.77", tags={"Name": "db"}))["instance_id"]
    aws("ec2").create_tags(Resources=[one], Tags=[{"Key": "case", "Value": "1"}])
    reservations = aws("ec2").describe_instances(InstanceIds=[one, other])["Reservations"]
    tags = {row["InstanceId"]: row["Tags"] for each in reservations for row in each["Instances"]}
    assert {key: {tag["Key"]: tag["Value"] for tag in each} for key, each in tags.items()} == {
        one: {"Name": "web", "case": "1"},
        other: {"Name": "db"},
    }
