"""A task definition's revision with the patched image: all else is kept, and none is made twice."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.steps import RegisterTaskDefinition
from runbooks.steps.base import Role
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.actions import Look
from tasks.gateways.actions.base import CASE_TAG
from tasks.gateways.ecs import find_revision
from tests.tasks.gateways.aws_world import CASE, AwsWorld, operation, statuses
from tests.tasks.gateways.running_images import (
    a_revision,
    a_shop,
    another_revision,
)

SECRET = "hunter2-in-the-environment"


def the_look(aws: AwsWorld, step: RegisterTaskDefinition) -> Look:
    (look,) = aws.look(step)
    return look


def test_a_revision_keeps_everything_but_the_image_and_says_who_made_it(aws: AwsWorld):
    _, image = a_shop(aws)
    family = {
        "family": "billing",
        "cpu": "256",
        "memory": "512",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::210987654321:role/execution",
        "volumes": [{"name": "scratch"}],
        "containerDefinitions": [
            {"name": "billing", "image": "public.example/old:1", "environment": [{"name": "KEY", "value": SECRET}]},
            {"name": "sidecar", "image": "public.example/sidecar:1", "essential": False},
        ],
        "tags": [{"key": "owner", "value": "payments"}, {"key": OPERATION_TAG, "value": "rb-of-another-time"}],
    }
    source = aws.client("ecs", Role.PATCH).register_task_definition(**family)["taskDefinition"]
    arn = source["taskDefinitionArn"]
    step = a_revision({"task_definition_arn": arn}, image, family="billing", containers=("billing",))
    look = the_look(aws, step)
    assert (look.status, look.found) == ("as-expected", {"revision": None})
    made = aws.act(step)
    after = the_look(aws, step)
    assert (after.status, after.result) == ("as-left", made)
    assert SECRET not in (look.model_dump_json() + after.model_dump_json() + str(made))
    described = aws.client("ecs").describe_task_definition(taskDefinition=made["task_definition"], include=["TAGS"])
    new = described["taskDefinition"]
    old_containers, new_containers = source["containerDefinitions"], new["containerDefinitions"]
    assert new_containers == [{**old_containers[0], "image": image}, old_containers[1]]
    changes = {"taskDefinitionArn", "revision", "containerDefinitions", "registeredAt"}
    assert {name: value for name, value in new.items() if name not in changes} == {
        name: value for name, value in source.items() if name not in changes
    }
    assert {tag["key"]: tag["value"] for tag in described["tags"]} == {
        "owner": "payments",
        OPERATION_TAG: operation(step),
        CASE_TAG: CASE,
    }


def test_a_revision_that_is_listed_and_not_shown_yet_is_no_reason_to_make_another(aws: AwsWorld):
    shop, image = a_shop(aws)
    step = a_revision(shop, image)
    aws.look(step)
    made = aws.act(step)["task_definition"]
    client = aws.client("ecs")

    def does_not_show(model: Any, params: dict[str, Any], **_: Any) -> None:
        if made in str(params["body"]):
            raise ClientError({"Error": {"Code": "ClientException"}}, model.name)

    client.meta.events.register("before-call.ecs.DescribeTaskDefinition", does_not_show)
    with pytest.raises(AnswerLost, match="and does not show it yet"):
        find_revision(client, step.family, step.source, operation(step))
    client.meta.events.unregister("before-call.ecs.DescribeTaskDefinition", does_not_show)
    found = find_revision(client, step.family, step.source, operation(step))
    assert found is not None
    assert found["taskDefinitionArn"] == made


def test_a_revision_whose_answer_was_lost_is_not_made_twice(aws: AwsWorld):
    shop, image = a_shop(aws)
    step = a_revision(shop, image)
    aws.look(step)
    aws.fault("ecs:RegisterTaskDefinition", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    another_revision(aws)
    aws.forget_everything()
    look = the_look(aws, step)
    assert look.status == "as-left"
    assert look.result["task_definition"].endswith("checkout:2")
    assert aws.act(step) == look.result


def test_a_revision_of_another_plan_is_not_taken_for_this_ones(aws: AwsWorld):
    shop, image = a_shop(aws)
    other = aws.client("ecs", Role.PATCH).register_task_definition(
        family="checkout",
        containerDefinitions=[{"name": "checkout", "image": image, "memory": 512}],
        tags=[{"key": OPERATION_TAG, "value": "rb-of-another-plan"}],
    )
    step = a_revision(shop, image)
    assert statuses(aws.look(step)) == ["as-expected"]
    assert aws.act(step)["task_definition"] != other["taskDefinition"]["taskDefinitionArn"]


def test_a_revision_that_somebody_made_with_our_tag_and_another_image_is_drift(aws: AwsWorld):
    shop, image = a_shop(aws)
    step = a_revision(shop, image)
    aws.look(step)
    aws.act(step)
    other = a_revision(shop, f"{image[:-4]}0000")
    assert statuses(aws.look(other)) == ["drifted"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"source": "arn:aws:ecs:eu-west-1:210987654321:task-definition/checkout:9"},
            "checkout:9 does not exist any more",
        ),
        ({"containers": ("checkout", "sidecar")}, "checkout:1 has no container sidecar"),
    ],
)
def test_a_source_that_is_not_as_it_was_is_drift(aws: AwsWorld, change: dict[str, Any], words: str):
    shop, image = a_shop(aws)
    look = the_look(aws, a_revision(shop, image, **change))
    assert (look.status, look.detail) == ("drifted", words)
