from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AccessDenied, AnswerLost, LeaseLost, Outside, Throttled
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import acts, reads
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld


def stop(aws: AwsWorld, **options: object) -> None:
    client = aws.new_sessions(**options).client("ec2", ACCOUNT, REGION, Role.CONTAIN)
    with acts():
        client.stop_instances(InstanceIds=[INSTANCE])


def state(aws: AwsWorld) -> str:
    reservations = aws.client("ec2").describe_instances(InstanceIds=[INSTANCE])["Reservations"]
    return reservations[0]["Instances"][0]["State"]["Name"]


def test_a_client_acts_under_the_role_of_its_step_in_the_account_of_the_finding(aws: AwsWorld):
    who = aws.client("sts", Role.CONTAIN).get_caller_identity()
    assert who["Account"] == ACCOUNT
    (assumed,) = aws.parameters("AssumeRole")
    assert assumed == {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/remediation-runbooks-contain",
        "RoleSessionName": "response-0042",
        "DurationSeconds": 900,
    }


def test_the_external_id_of_the_trust_policy_is_sent(aws: AwsWorld):
    client = aws.new_sessions(external_id="agreed").client("sts", ACCOUNT, REGION, Role.READ)
    client.get_caller_identity()
    assert [one["ExternalId"] for one in aws.parameters("AssumeRole")] == ["agreed"]


def test_a_role_is_assumed_once_for_many_calls_of_several_services(aws: AwsWorld):
    for _ in range(3):
        aws.client("ec2").describe_vpcs()
        aws.client("sts").get_caller_identity()
    assert len(aws.parameters("AssumeRole")) == 1
    aws.client("ec2", Role.PATCH).describe_vpcs()
    assert [one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")] == ["read", "patch"]


def test_a_role_is_assumed_once_for_all_regions_of_an_account(aws: AwsWorld):
    for region in (REGION, "us-east-1"):
        aws.sessions.client("ec2", ACCOUNT, region, Role.READ).describe_vpcs()
    assert len(aws.parameters("AssumeRole")) == 1
    aws.sessions.client("ec2", "210987654322", REGION, Role.READ).describe_vpcs()
    assert [one["RoleArn"].split(":")[4] for one in aws.parameters("AssumeRole")] == [ACCOUNT, "210987654322"]


def test_a_session_is_renewed_before_it_expires(aws: AwsWorld):
    client = aws.client("ec2")
    client.describe_vpcs()
    # Nobody waits for fifteen minutes here: what botocore would see then is put where it looks.
    credentials = client._request_signer._credentials
    credentials._expiry_time = datetime.now(UTC) + timedelta(seconds=200)
    client.describe_vpcs()
    client.describe_vpcs()
    assert len(aws.parameters("AssumeRole")) == 2


def test_threads_share_one_client(aws: AwsWorld):
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(aws.client("ec2"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(client) for client in found}) == 1


def test_the_guard_is_asked_before_each_request_that_acts_and_for_no_other(aws: AwsWorld):
    aws.furnish()
    aws.client("ec2").describe_vpcs()
    assert aws.guarded == []
    stop(aws)
    assert aws.guarded == ["StopInstances"]


def test_a_lost_lease_stops_the_call_before_it_leaves(aws: AwsWorld):
    aws.furnish()

    def refuse(operation: str) -> None:
        raise LeaseLost(f"{operation} is not ours to make")

    with pytest.raises(LeaseLost, match="StopInstances"):
        stop(aws, guard=refuse)
    assert aws.calls() == []
    assert state(aws) == "running"


def test_a_reading_client_asks_again_and_an_acting_client_never_does(aws: AwsWorld):
    aws.furnish()
    aws.fault("ec2:DescribeVpcs", FaultKind.THROTTLE, times=2)
    aws.client("ec2").describe_vpcs()
    aws.fault("ec2:StopInstances", FaultKind.THROTTLE)
    with pytest.raises(Throttled):
        stop(aws)
    assert aws.guarded == ["StopInstances"]
    assert state(aws) == "running"


def test_an_act_whose_answer_never_came_is_told_from_one_that_failed(aws: AwsWorld):
    aws.furnish()
    aws.fault("ec2:StopInstances", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        stop(aws)
    assert aws.guarded == ["StopInstances"]
    assert state(aws) in ("stopping", "stopped")


def test_a_server_error_leaves_the_effect_of_an_act_open(aws: AwsWorld):
    aws.furnish()
    aws.fault("ec2:StopInstances", FaultKind.SERVER_ERROR)
    with pytest.raises(AnswerLost, match="InternalError"):
        stop(aws)


def test_the_same_server_error_on_a_read_is_a_plain_failure(aws: AwsWorld):
    aws.fault("ec2:DescribeVpcs", FaultKind.SERVER_ERROR, times=5)
    with pytest.raises(Outside) as raised, reads():
        aws.client("ec2").describe_vpcs()
    assert type(raised.value) is Outside
    assert raised.value.code == "InternalError"


def test_nothing_listens_so_nothing_was_sent(aws: AwsWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    with pytest.raises(Outside) as raised:
        stop(aws)
    assert raised.value.code == "unreachable"


def test_a_refusal_carries_the_code_of_aws(aws: AwsWorld):
    with pytest.raises(Outside) as raised, acts():
        aws.client("ec2", Role.CONTAIN).stop_instances(InstanceIds=["i-00000000000000000"])
    assert raised.value.code == "InvalidInstanceID.NotFound"
    assert "StopInstances" in raised.value.detail


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"])
def test_a_denial_is_known_by_its_code(aws: AwsWorld, code: str):
    from botocore.stub import Stubber

    client = aws.client("ec2", Role.CONTAIN)
    stubber = Stubber(client)
    stubber.add_client_error("stop_instances", code, "no", 403)
    with stubber, pytest.raises(AccessDenied), acts():
        client.stop_instances(InstanceIds=[INSTANCE])


def test_importing_the_session_factory_does_not_import_boto3():
    program = "import sys, tasks.gateways.aws_session; print('boto3' in sys.modules, 'botocore' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
