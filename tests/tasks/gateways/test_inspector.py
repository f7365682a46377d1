from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import Throttled
from runbooks.steps.base import Role
from tasks.gateways.inspector import InspectorGateway
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld, an_event

CVE = "CVE-2026-10001"
ABSENT = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{'f' * 32}"


def a_fleet(aws: AwsWorld, count: int, after: int = 0, **options: Any) -> list[str]:
    """The ARNs of findings of one vulnerability, on so many instances."""
    numbers = range(after + 1, after + count + 1)
    events = [an_event(f"i-{number:017x}", number % 200 + 1) for number in numbers]
    for number, event in zip(numbers, events, strict=True):
        event["detail"]["findingArn"] = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}"
    return [aws.furnish(event, interfaces=1, volumes=1, **options)["finding_arn"] for event in events]


def asked_by(parameters: dict[str, Any]) -> tuple[str, int]:
    """The key that a list was filtered by, and how many of its values."""
    ((key, values),) = parameters["filterCriteria"].items()
    return key, len(values)


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


def test_many_findings_of_one_vulnerability_are_listed_by_the_hundred(aws: AwsWorld):
    arns = a_fleet(aws, 25)
    hints = dict.fromkeys(arns, CVE)
    found = InspectorGateway(aws.sessions).findings(ACCOUNT, REGION, arns, hints)
    assert [finding.arn for finding in found.values() if finding] == arns
    assert [*map(asked_by, aws.parameters("ListFindings"))] == [("vulnerabilityId", 1)]


def test_what_a_wrong_hint_does_not_bring_is_asked_for_by_its_arn_before_it_is_called_absent(aws: AwsWorld):
    arns = [*a_fleet(aws, 12), ABSENT]
    hints = {arn: CVE if number else "CVE-1999-0001" for number, arn in enumerate(arns)}
    del hints[arns[1]]
    gateway = InspectorGateway(aws.sessions)
    assert gateway.findings(ACCOUNT, REGION, arns, hints) == gateway.findings(ACCOUNT, REGION, arns)
    wrong = dict.fromkeys(arns, "CVE-1999-0001")
    aws.sandbox.cloud.record.clear()
    found = gateway.findings(ACCOUNT, REGION, arns, wrong)
    assert [arn for arn, finding in found.items() if finding is None] == [ABSENT]
    assert [*map(asked_by, aws.parameters("ListFindings"))] == [
        ("vulnerabilityId", 1),
        ("findingArn", 10),
        ("findingArn", 3),
    ]


def test_a_page_that_brings_little_is_the_last_one(aws: AwsWorld):
    a_fleet(aws, 110)
    arns = a_fleet(aws, 11, after=110)
    found = InspectorGateway(aws.sessions).findings(ACCOUNT, REGION, arns, dict.fromkeys(arns, CVE))
    assert [finding.arn for finding in found.values() if finding] == arns
    keys = [key for key, _ in map(asked_by, aws.parameters("ListFindings"))]
    assert keys == ["vulnerabilityId", "findingArn", "findingArn"]


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


def test_one_finding_of_each_vulnerability_is_asked_for_details(aws: AwsWorld):
    arns = a_fleet(aws, 12, known_exploited=True)
    found = InspectorGateway(aws.sessions).exploitation(ACCOUNT, REGION, arns, dict.fromkeys(arns, CVE))
    assert [*found] == arns
    assert all(each is not None and each.known_exploited_since for each in found.values())
    assert [len(asked["findingArns"]) for asked in aws.parameters("BatchGetFindingDetails")] == [1]


def test_where_the_one_that_was_asked_about_is_not_known_the_others_are_asked_about(aws: AwsWorld):
    arns = a_fleet(aws, 2)
    hints = dict.fromkeys([ABSENT, *arns], CVE)
    found = InspectorGateway(aws.sessions).exploitation(ACCOUNT, REGION, [*hints], hints)
    assert found[ABSENT] is None
    assert [found[arn] is not None for arn in arns] == [True, True]


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


def test_the_coverage_of_many_is_read_in_pages_of_the_account(aws: AwsWorld):
    a_fleet(aws, 12)
    ids = [f"i-{number:017x}" for number in range(1, 13)]
    gateway = InspectorGateway(aws.sessions)
    found = gateway.coverage(ACCOUNT, REGION, [*ids, "i-0ffffffffffffffff"])
    assert {one for one, coverage in found.items() if coverage is not None} == set(ids)
    assert found[ids[0]] == gateway.coverage(ACCOUNT, REGION, ids[:1])[ids[0]]
    criteria = [sorted(asked["filterCriteria"]) for asked in aws.parameters("ListCoverage")]
    assert criteria == [["accountId", "scanType"], ["resourceId", "scanType"]]


def test_coverage_is_asked_for_by_id_where_the_pages_would_be_more(aws: AwsWorld):
    a_fleet(aws, 201)
    ids = [f"i-{number:017x}" for number in range(190, 202)]
    found = InspectorGateway(aws.sessions).coverage(ACCOUNT, REGION, ids)
    assert all(coverage is not None for coverage in found.values())
    criteria = [min(asked["filterCriteria"]) for asked in aws.parameters("ListCoverage")]
    assert criteria == ["accountId", "resourceId", "resourceId"]
