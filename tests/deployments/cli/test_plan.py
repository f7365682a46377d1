"""The dry run: read in the sandbox, decided, shown, and nothing changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runbooks.plan import Plan
from runbooks.steps.base import Role
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS
from tests.tasks.gateways.aws_world import AwsWorld, an_event

EC2 = EVENTS / "ec2_package_event.json"
ARN = "arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000001"


def test_the_plans_are_shown_with_their_digests_and_nothing_is_changed(run: Run, aws: AwsWorld, home: Path) -> None:
    aws.furnish(an_event())

    ran = run("plan", EC2)
    given = run("plan", EC2, "--json")

    assert (ran.code, given.code) == (0, 0)
    (case,) = given.json["cases"]
    assert (case["triage"]["decision"], case["triage"]["contain"]) == ("respond", True)
    assert [plan["phase"] for plan in case["plans"]] == ["contain", "remediate"]
    for plan in case["plans"]:
        digest = plan.pop("digest")
        assert Plan.model_validate(plan).digest == digest
        assert f"Plan digest: `{digest}`" in ran.out
    assert "**P1: Contain it, then" in ran.out
    assert ran.err.startswith("Nothing was changed. ")
    assert aws.calls(mutating=True) == []
    assert not home.exists()


def test_a_finding_named_by_its_arn_gives_the_same_plans(run: Run, aws: AwsWorld) -> None:
    aws.furnish(an_event())

    assert run("plan", ARN, "--json").json == run("plan", EC2, "--json").json


def test_only_the_read_role_is_assumed(run: Run, aws: AwsWorld) -> None:
    aws.furnish(an_event())

    run("plan", EC2)

    roles = {parameters["RoleArn"] for parameters in aws.parameters("AssumeRole")}
    assert roles == {"arn:aws:iam::210987654321:role/remediation-runbooks-read"}


def test_an_instance_that_is_gone_leaves_nothing_to_do(run: Run, aws: AwsWorld) -> None:
    aws.furnish(an_event())
    instance = an_event()["detail"]["resources"][0]["id"]
    aws.client("ec2", Role.PATCH).terminate_instances(InstanceIds=[instance])

    ran = run("plan", EC2)

    assert ran.code == 1
    assert ran.err.startswith(f"instance-gone: {instance} (210987654321, eu-west-1): the instance is gone")


def test_a_finding_that_no_runbook_covers_is_not_planned(run: Run) -> None:
    ran = run("plan", EVENTS / "ecr_package_event.json", "--json")

    assert (ran.code, ran.json["cases"]) == (1, [])
    assert ran.err.startswith("no-runbook: no runbook covers CVE-2026-10002")


def test_what_only_people_act_upon_is_triaged_by_inspector_alone(run: Run, aws: AwsWorld) -> None:
    ran = run("plan", EVENTS / "lambda_code_event.json")

    assert ran.code == 1
    assert ran.err.startswith("finding-gone: receipts (210987654321, eu-west-1)")
    assert set(aws.calls()) == {"inspector2:ListFindings"}


def test_a_playbook_whose_plans_only_a_response_can_make_says_so(run: Run, aws: AwsWorld) -> None:
    ran = run("plan", EVENTS / "lambda_package_event.json")

    assert (ran.code, ran.err.split(": ")[0], aws.calls()) == (1, "not-shown", [])


def test_a_finding_that_inspector_does_not_have_is_bad_input(run: Run, aws: AwsWorld) -> None:
    unknown = run("plan", ARN)
    malformed = run("plan", "arn:aws:inspector2:eu-west-1")

    assert (unknown.code, unknown.err.split(": ")[1]) == (2, "no-such-finding")
    assert (malformed.code, malformed.err.split(": ")[1]) == (2, "not-a-finding-arn")


def test_what_is_no_finding_is_bad_input(run: Run) -> None:
    assert run("plan", EVENTS / "scan_event.json").err.startswith("error: not-a-finding: ")
    assert run("plan", "-", stdin=json.dumps([]).encode()).code == 2


def test_aws_out_of_reach_is_a_failure_outside(run: Run, aws: AwsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    ran = run("plan", EC2)

    assert (ran.code, ran.out, ran.err.split(": ")[1]) == (3, "", "unreachable")
    assert ran.err.count("\n") == 1
