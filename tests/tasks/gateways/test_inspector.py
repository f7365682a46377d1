from __future__ import annotations

from datetime import UTC

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import Throttled
from runbooks.steps.base import Role
from tasks.gateways.inspector import InspectorGateway
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld, an_event

ABSENT = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{'f' * 32}"


def test_a_finding_is_read_as_it_is_now(aws: AwsWorld):
    built = aws.furnish()
    arn = built["finding_arn"]
    gateway = InspectorGateway(aws.sessions)
    found = gateway.findings(ACCOUNT, REGION, [arn, ABSENT])
    assert found[ABSENT] is None
    finding = found[arn]
    assert finding is not None
    assert (finding.arn, finding.status, finding.resource.id) == (arn, "ACTIVE", INSTANCE)
    assert finding.resource.details["awsEc2Instance"]["platform"] == "UBUNTU_22_04"
    assert finding.updated_at.tzinfo is UTC
    aws.client("ec2", Role.CONTAIN).terminate_instances(InstanceIds=[INSTANCE])
    closed = gateway.findings(ACCOUNT, REGION, [arn])[arn]
    assert closed is not None
    assert closed.status == "CLOSED"


def test_findings_are_asked_for_by_ten(aws: AwsWorld):
    arns = [aws.furnish(an_event(f"i-{number:017x}", number))["finding_arn"] for number in range(1, 13)]
    found = InspectorGateway(aws.sessions).findings(ACCOUNT, REGION, arns)
    assert [finding.arn for finding in found.values() if finding] == arns
    assert aws.calls() == ["inspector2:ListFindings"] * 2


def test_all_findings_of_a_resource_are_found(aws: AwsWorld):
    arn = aws.furnish()["finding_arn"]
    aws.furnish(an_event("i-0b00000000000000b", 2))
    found = InspectorGateway(aws.sessions).findings_of(ACCOUNT, REGION, INSTANCE)
    assert [finding.arn for finding in found] == [arn]


def test_what_is_known_of_exploits_comes_in_utc(aws: AwsWorld):
    arn = aws.furnish(known_exploited=True, exploit_observed=True)["finding_arn"]
    found = InspectorGateway(aws.sessions).exploitation(ACCOUNT, REGION, [arn])[arn]
    assert found is not None
    assert (found.exploit_available, found.epss) == (True, 0.42)
    assert found.known_exploited_since is not None
    assert found.known_exploited_due is not None
    assert found.known_exploited_since.tzinfo is UTC
    assert (found.known_exploited_due - found.known_exploited_since).days == 21


def test_a_look_up_that_fails_is_unknown_and_not_no_exploit(aws: AwsWorld):
    arn = aws.furnish()["finding_arn"]
    gateway = InspectorGateway(aws.sessions)
    assert gateway.exploitation(ACCOUNT, REGION, [arn, ABSENT, "placeholder"]) == {
        arn: gateway.exploitation(ACCOUNT, REGION, [arn])[arn],
        ABSENT: None,
        "placeholder": None,
    }
    aws.fault("inspector2:BatchGetFindingDetails", FaultKind.SERVER_ERROR, times=5)
    assert gateway.exploitation(ACCOUNT, REGION, [arn]) == {arn: None}


def test_a_finding_that_cannot_be_read_is_not_an_absent_one(aws: AwsWorld):
    arn = aws.furnish()["finding_arn"]
    aws.fault("inspector2:ListFindings", FaultKind.THROTTLE, times=5)
    with pytest.raises(Throttled):
        InspectorGateway(aws.sessions).findings(ACCOUNT, REGION, [arn])


def test_coverage_says_when_and_whether_the_resource_was_scanned(aws: AwsWorld):
    aws.furnish()
    gateway = InspectorGateway(aws.sessions)
    found = gateway.coverage(ACCOUNT, REGION, [INSTANCE, "i-0ffffffffffffffff"])
    assert found["i-0ffffffffffffffff"] is None
    coverage = found[INSTANCE]
    assert coverage is not None
    assert (coverage.status, coverage.reason) == ("ACTIVE", "SUCCESSFUL")
    assert coverage.last_scanned_at is not None
    assert coverage.last_scanned_at.tzinfo is UTC
    aws.client("ec2", Role.CONTAIN).create_tags(
        Resources=[INSTANCE], Tags=[{"Key": "InspectorEc2Exclusion", "Value": ""}]
    )
    excluded = gateway.coverage(ACCOUNT, REGION, [INSTANCE])[INSTANCE]
    assert excluded is not None
    assert (excluded.status, excluded.reason) == ("INACTIVE", "EXCLUDED_BY_TAG")
