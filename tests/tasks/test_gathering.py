"""Gathering the evidence of many cases: in bulk, and no more than is judged by yet."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey
from runbooks.event import read_payload
from runbooks.triage import PackageState
from runbooks.verdict import NotYet, Verdict, judge
from tasks.evidence import Subject, gather
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld, an_event

INSTANCES = [f"i-{number:017x}" for number in range(1, 14)]


@pytest.fixture
def aws(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    for name, value in (("ENDPOINT_URL", executor_aws.url), ("ACCESS_KEY_ID", "testing"), ("SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(f"AWS_{name}", value)
    executor_aws.reset()
    return AwsWorld(executor_aws)


@pytest.fixture
def subjects(aws: AwsWorld) -> list[Subject]:
    found: list[Subject] = []
    for number, instance in enumerate(INSTANCES, 1):
        event = an_event(instance, number)
        aws.furnish(event, interfaces=1)
        (finding,) = read_payload(json.dumps(event)).findings
        key = CaseKey(
            runbook="r", account=ACCOUNT, region=REGION, resource_type="AWS_EC2_INSTANCE", resource_id=instance
        )
        packages = tuple(
            PackageState(
                name=each.name,
                architecture=None,
                manager="OS",
                installed=None,
                fixed_in=each.fixed_in,
                state="vulnerable",
            )
            for each in finding.packages
        )
        found.append(Subject(f"case-{number}", key, (instance,), (finding,), packages))
    aws.sandbox.advance(60)
    return found


def scanned_at(aws: AwsWorld, instance: str) -> datetime:
    at = aws.sandbox.cloud.world(ACCOUNT, REGION).nodes[instance].scanned_at
    assert at is not None
    return at


def test_what_inspector_has_not_scanned_since_is_asked_about_no_further(aws: AwsWorld, subjects: list[Subject]):
    latest = max(scanned_at(aws, instance) for instance in INSTANCES)
    world = aws.sandbox.cloud.world(ACCOUNT, REGION)
    world.nodes[INSTANCES[0]].scanned_at = latest + timedelta(seconds=2)
    since = latest + timedelta(seconds=1)
    found = gather(aws.sessions, subjects, since)
    assert {case: bool(each.findings) for case, (each,) in found.items()} == {
        subject.case: subject.resources == (INSTANCES[0],) for subject in subjects
    }
    assert [asked["InstanceId"] for asked in aws.parameters("ListInventoryEntries")] == INSTANCES[:1]
    everything = gather(aws.sessions, subjects)
    for subject in subjects[1:]:
        by_both = [
            judge(subject.case, each[subject.case], subject.fixed_in, since, final=False)
            for each in (found, everything)
        ]
        assert by_both[0] == by_both[1]
        assert isinstance(by_both[0], NotYet)


def test_the_evidence_of_many_is_read_together(aws: AwsWorld, subjects: list[Subject]):
    since = min(scanned_at(aws, instance) for instance in INSTANCES) - timedelta(days=2)
    found = gather(aws.sessions, subjects, since)
    assert found == gather(aws.sessions, subjects)
    first = [call for call in aws.calls() if call != "ssm:ListInventoryEntries"][:3]
    assert first == ["inspector2:ListCoverage", "ec2:DescribeInstances", "inspector2:ListFindings"]
    assert len(aws.parameters("ListInventoryEntries")) == 2 * len(INSTANCES)
    verdicts = [judge(each.case, found[each.case], each.fixed_in, since, final=False) for each in subjects]
    assert {verdict.kind for verdict in verdicts if isinstance(verdict, Verdict)} == {"not fixed"}
