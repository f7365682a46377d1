"""Each kind of step about a repository, its images and its pipeline: the calls it makes, and what it may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runbooks.steps import (
    STEP_KINDS,
    DeleteImage,
    DeployByCodeDeploy,
    DeployService,
    PatchImage,
    PutLifecyclePolicy,
    RebuildByWorkflow,
    RebuildImage,
    RegisterTaskDefinition,
    SetImageArchived,
    SetImageTag,
    SetRepositoryPolicy,
    SetStageTransition,
    SetTagMutability,
    Step,
    TestByWorkflow,
    TestImage,
)
from tests.tasks.gateways.actions.test_every_kind import OF_IMAGES
from tests.tasks.gateways.aws_world import AwsWorld
from tests.tasks.gateways.image_world import (
    a_closing,
    a_deletion,
    a_denial,
    a_lifecycle,
    a_mutability,
    a_rebuild,
    a_tag_removal,
    a_test,
    an_archiving,
    another_image,
    furnish,
    run_it,
)

WHERE_SOMEBODY_RUNS_ONE = {
    "ecs:DescribeServiceRevisions",
    "ecr:BatchGetImage",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListServices",
    "ecs:ListTasks",
    "events:ListEventBuses",
    "events:ListRuleNamesByTarget",
    "events:ListTargetsByRule",
    "lambda:GetFunction",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListEventSourceMappings",
    "lambda:ListProvisionedConcurrencyConfigs",
    "scheduler:GetSchedule",
}
"""Reads that depend on what there is: no cluster, no function, no schedule and no index in this world."""


def carry_out(aws: AwsWorld, step: Step) -> None:
    """Look and act until there is nothing more to do."""
    for _ in range(10):
        (look,) = aws.look(step)
        if look.status == "as-left":
            return
        if look.status == "as-expected":
            aws.act(step)
        else:
            assert look.status == "in-progress", look
        aws.sandbox.advance(20)
    raise AssertionError(f"{step.key} does not end")


NOT_BY_AWS = {RebuildByWorkflow, TestByWorkflow, PatchImage}
"""Tried with whoever carries them out: in test_workflow_dispatch.py and test_image_patching.py."""
MAKES: dict[type[Step], Callable[[dict[str, Any]], Step]] = {
    SetStageTransition: lambda built: a_closing(),
    SetRepositoryPolicy: lambda built: a_denial(),
    RebuildImage: lambda built: a_rebuild(),
    TestImage: lambda built: a_test(built["image"]),
    SetImageTag: lambda built: a_tag_removal(built["digest"]),
    SetImageArchived: lambda built: an_archiving(built["digest"]),
    DeleteImage: lambda built: a_deletion(built["digest"]),
    PutLifecyclePolicy: lambda built: a_lifecycle(),
    SetTagMutability: lambda built: a_mutability(),
}


def test_every_kind_about_images_is_tried_here_or_with_the_deployments():
    about_images = {kind for kind in STEP_KINDS if kind.__module__.startswith(OF_IMAGES)} - NOT_BY_AWS
    assert set(MAKES) == about_images - {RegisterTaskDefinition, DeployService, DeployByCodeDeploy}


@pytest.mark.parametrize("kind", MAKES)
def test_each_kind_makes_the_calls_it_says_and_reads_no_more_than_it_may(aws: AwsWorld, kind: type[Step]):
    built = furnish(aws)
    another_image(aws, "1.4.3")
    step = MAKES[kind](built)
    carry_out(aws, step)
    forward = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert forward <= {"read", step.role.value}
    if (undo := step.undo) is not None:
        aws.operations.clear()
        carry_out(aws, undo)
    assert sorted(set(aws.calls(mutating=True))) == sorted(step.calls)
    assert aws.guarded == [call.partition(":")[2] for call in aws.calls(mutating=True)]
    assert set(aws.calls()) <= set(step.permissions)
    assert set(step.permissions) - set(aws.calls()) <= WHERE_SOMEBODY_RUNS_ONE
    roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert roles <= {"read", step.role.value, "restore"}


def test_who_runs_an_image_is_read_with_what_its_retiring_may_read(aws: AwsWorld):
    built = furnish(aws)
    run_it(aws, built["image"])
    step = a_deletion(built["digest"])
    aws.look(step)
    assert set(aws.calls()) <= set(step.permissions)
