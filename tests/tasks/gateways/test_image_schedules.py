"""Who starts an image later: rules and schedules of EventBridge that have ECS run a task, and jobs of AWS Batch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runbooks.container_image import OtherUse
from runbooks.image_users import named_users
from runbooks.steps.base import Role
from tasks.gateways.image_use import ImageUse, who_runs
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.running_images import (
    a_definition,
    a_job,
    a_rule,
    a_schedule,
    a_schedule_of,
    a_service,
    an_image,
    push,
)

OTHER = "public.example/other:1"
RUN_TASK = "arn:aws:scheduler:::aws-sdk:ecs:runTask"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule"
SCHEDULE = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default"


@pytest.fixture
def built(aws: AwsWorld) -> dict[str, Any]:
    """An image that nobody runs, and a cluster in which something else runs."""
    built = an_image(aws)
    return built | {"cluster": a_service(aws, OTHER)["cluster_arn"]}


def use_of(aws: AwsWorld, image: str) -> ImageUse:
    return who_runs(aws.sessions, ACCOUNT, REGION, [image])[image]


def others(aws: AwsWorld, built: dict[str, Any]) -> tuple[OtherUse, ...]:
    return use_of(aws, built["image_arn"]).others


def test_a_rule_that_runs_a_task_of_the_image_uses_it_though_nothing_runs_now(aws: AwsWorld, built: dict[str, Any]):
    a_rule(aws, "nightly", built["cluster"], a_definition(aws, built["image"]))
    a_rule(aws, "hourly", built["cluster"], a_definition(aws, OTHER, "other"))
    use = use_of(aws, built["image_arn"])
    assert use.others == (OtherUse(kind="event-rule", arn=f"{RULE}/nightly"),)
    assert use.running
    assert list(named_users(use)) == ["EventBridge rule nightly (starts it later)"]


def test_a_rule_of_another_bus_and_one_that_is_switched_off_count_too(aws: AwsWorld, built: dict[str, Any]):
    client, definition = aws.client("events", Role.PATCH), a_definition(aws, built["image"])
    client.create_event_bus(Name="shop")
    a_rule(aws, "orders", built["cluster"], definition, bus="shop")
    a_rule(aws, "nightly", built["cluster"], definition)
    client.disable_rule(Name="nightly")
    assert {each.arn for each in others(aws, built)} == {f"{RULE}/nightly", f"{RULE}/shop/orders"}


def test_a_rule_with_several_targets_is_told_once(aws: AwsWorld, built: dict[str, Any]):
    a_rule(aws, "nightly", built["cluster"], a_definition(aws, OTHER, "other"))
    a_rule(aws, "nightly", built["cluster"], a_definition(aws, built["image"]), Id="second")
    a_rule(aws, "nightly", built["cluster"], a_definition(aws, built["image"], "again"), Id="third")
    assert others(aws, built) == (OtherUse(kind="event-rule", arn=f"{RULE}/nightly"),)


def test_a_rule_without_a_revision_starts_the_newest_one(aws: AwsWorld, built: dict[str, Any]):
    family = a_definition(aws, built["image"]).rpartition(":")[0]
    a_rule(aws, "nightly", built["cluster"], family)
    assert len(others(aws, built)) == 1
    a_definition(aws, f"{built['repository_uri']}@{push(aws, built, '1.4.3')}")
    assert others(aws, built) == ()


def test_a_tag_counts_for_the_image_that_has_it_now(aws: AwsWorld, built: dict[str, Any]):
    a_rule(aws, "nightly", built["cluster"], a_definition(aws, f"{built['repository_uri']}:1.4.2"))
    assert len(others(aws, built)) == 1
    push(aws, built, "1.4.2")
    assert others(aws, built) == ()


def test_a_schedule_that_runs_a_task_uses_the_image(aws: AwsWorld, built: dict[str, Any]):
    a_schedule(aws, "weekly", built["cluster"], a_definition(aws, built["image"]))
    a_schedule(aws, "daily", built["cluster"], a_definition(aws, OTHER, "other"))
    assert others(aws, built) == (OtherUse(kind="schedule", arn=f"{SCHEDULE}/weekly"),)


@pytest.mark.parametrize("sent", ['{"TaskDefinition": "report", "Cluster": "shop"}', "no JSON", "[]", None])
def test_a_schedule_that_sends_the_request_itself_is_read_by_it(aws: AwsWorld, built: dict[str, Any], sent: str | None):
    a_definition(aws, built["image"])
    a_schedule_of(aws, "weekly", {"Arn": RUN_TASK} | ({"Input": sent} if sent else {}))
    told = [OtherUse(kind="schedule", arn=f"{SCHEDULE}/weekly")] if sent and "report" in sent else []
    assert list(others(aws, built)) == told


def test_schedules_of_anything_else_are_not_read_one_by_one(aws: AwsWorld, built: dict[str, Any]):
    a_schedule_of(aws, "orders", {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"})
    aws.sandbox.cloud.record.clear()
    assert others(aws, built) == ()
    assert "scheduler:GetSchedule" not in aws.calls()


def test_active_job_definitions_use_the_image_by_their_name_with_how_many_revisions(
    aws: AwsWorld, built: dict[str, Any]
):
    gone, first, second = (a_job(aws, built["image"]) for _ in range(3))
    a_job(aws, OTHER, "other")
    aws.client("batch", Role.PATCH).deregister_job_definition(jobDefinition=gone)
    use = use_of(aws, built["image_arn"])
    assert use.others == (OtherUse(kind="job-definition", arn=second, count=2),)
    assert first != second
    assert list(named_users(use)) == ["Batch job definition report:3 and 1 other revision (starts it later)"]


def test_a_job_that_runs_in_kubernetes_has_its_image_deeper_down(aws: AwsWorld, built: dict[str, Any]):
    pod = {"containers": [{"name": "report", "image": built["image"]}]}
    made = aws.client("batch", Role.PATCH).register_job_definition(
        jobDefinitionName="pods", type="container", eksProperties={"podProperties": pod}
    )
    assert [each.arn for each in others(aws, built)] == [made["jobDefinitionArn"]]


def test_all_images_are_asked_about_at_once(aws: AwsWorld, built: dict[str, Any]):
    patched = push(aws, built, "1.4.3")
    arn = built["image_arn"].replace(built["digest"], patched)
    definition = a_definition(aws, built["image"])
    a_rule(aws, "nightly", built["cluster"], definition)
    a_schedule(aws, "weekly", built["cluster"], definition)
    aws.sandbox.cloud.record.clear()
    who_runs(aws.sessions, ACCOUNT, REGION, [built["image_arn"], arn])
    reads = [call for call in aws.calls() if call.split(":")[0] in ("events", "scheduler", "batch")]
    assert sorted(reads) == [
        "batch:DescribeJobDefinitions",
        "events:ListEventBuses",
        "events:ListRuleNamesByTarget",
        "events:ListTargetsByRule",
        "scheduler:GetSchedule",
        "scheduler:ListSchedules",
    ]
    assert [json.dumps(each) for each in aws.parameters("DescribeTaskDefinition")].count(
        json.dumps({"taskDefinition": definition, "include": ["TAGS"]})
    ) == 1
