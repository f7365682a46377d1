from __future__ import annotations

from typing import get_args

import pytest
from botocore.session import get_session

from runbooks import request_rates
from runbooks.request_rates import RequestRate, request_rate, seconds_for
from runbooks.steps import AnyStep, Step

EC2 = set(get_session().get_service_model("ec2").operation_names)


@pytest.mark.parametrize(
    ("operation", "capacity", "per_second"),
    [
        ("CreateSnapshots", 100, 5.0),
        ("ModifyNetworkInterfaceAttribute", 100, 5.0),
        ("CreateTags", 100, 10.0),
        ("StartInstances", 5, 2.0),
        ("RunInstances", 5, 2.0),
        ("ModifyInstanceAttribute", 50, 5.0),
        ("StopInstances", 50, 5.0),
        ("AuthorizeSecurityGroupIngress", 50, 5.0),
        ("DescribeInstanceAttribute", 100, 20.0),
        ("DescribeInstances", 100, 20.0),
        ("GetConsoleOutput", 100, 20.0),
    ],
)
def test_the_rates_are_those_that_ec2_documents(operation: str, capacity: int, per_second: float) -> None:
    assert request_rate("ec2", operation) == RequestRate(operation, capacity, per_second)


def test_asking_for_everything_at_once_takes_from_a_smaller_bucket() -> None:
    assert request_rate("ec2", "DescribeInstances", narrowed=False) == ("DescribeInstances, unfiltered", 50, 10.0)
    assert request_rate("ec2", "DescribeVpcs", narrowed=False) == ("DescribeVpcs", 100, 20.0)


def test_what_no_other_service_documents_is_not_made_up() -> None:
    assert [request_rate(service, "SendCommand") for service in ("ssm", "autoscaling", "inspector2")] == [None] * 3


def test_every_operation_that_has_a_rate_of_its_own_is_one_of_ec2() -> None:
    named = request_rates._OWN_SIZE.keys() | request_rates._WIDE
    assert named - EC2 == set()


def test_every_step_that_calls_ec2_has_documented_rates_for_operations_that_there_are() -> None:
    calls = {tuple(call.split(":")) for step in _steps() for call in step.calls}
    of_ec2 = {operation for service, operation in calls if service == "ec2"}
    assert {"CreateSnapshots", "ModifyNetworkInterfaceAttribute", "ModifyInstanceAttribute"} < of_ec2
    assert of_ec2 - EC2 == set()
    assert [operation for operation in of_ec2 if request_rate("ec2", operation) is None] == []


@pytest.mark.parametrize(("requests", "seconds"), [(0, 0.0), (100, 0.0), (101, 0.2), (1_000, 180.0)])
def test_the_least_time_begins_with_a_full_bucket(requests: int, seconds: float) -> None:
    assert seconds_for(requests, RequestRate("CreateSnapshots", 100, 5.0)) == seconds


def _steps() -> list[type[Step]]:
    union, *_ = get_args(AnyStep)
    return list(get_args(union))
