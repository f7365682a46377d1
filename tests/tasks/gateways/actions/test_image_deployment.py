"""A service's deployment by ECS itself: begun once, followed to its end, and what became of it found whoever looks."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Refused
from runbooks.steps import DeployService
from runbooks.steps.base import Role
from tasks.gateways.actions import Look
from tasks.gateways.actions.image_deployment import _progress
from tests.tasks.gateways.aws_world import AwsWorld, a_target, statuses
from tests.tasks.gateways.running_images import (
    LONG_ENOUGH,
    a_deployment,
    a_revision,
    a_shop,
    another_revision,
    configuration_of,
    raise_alarm,
    revisions_of,
    running,
    shown,
)


def ready(aws: AwsWorld, **options: Any) -> tuple[dict[str, Any], DeployService]:
    """A revision is made, and its deployment may begin."""
    shop, image = a_shop(aws, **options)
    revision, deployment = a_revision(shop, image), a_deployment(aws, shop)
    aws.look(revision)
    aws.act(revision)
    return shop, deployment


def begun(aws: AwsWorld, **options: Any) -> tuple[dict[str, Any], DeployService, dict[str, Any]]:
    shop, deployment = ready(aws, **options)
    assert statuses(aws.look(deployment)) == ["as-expected"]
    return shop, deployment, aws.act(deployment)


def the_look(aws: AwsWorld, step: DeployService) -> Look:
    (look,) = aws.look(step)
    return look


def update(aws: AwsWorld, **change: Any) -> None:
    """Somebody else changes the service."""
    aws.client("ecs", Role.PATCH).update_service(cluster="shop", service="checkout", **change)


def test_a_canary_is_followed_to_its_end(aws: AwsWorld):
    shop, step, sent = begun(aws)
    assert sent["task_definition"].endswith("checkout:2")
    (asked,) = aws.parameters("UpdateService")
    assert asked == {
        "cluster": "shop",
        "service": "checkout",
        "taskDefinition": sent["task_definition"],
        "deploymentConfiguration": step.configuration,
    }
    told: list[str] = []
    while (look := the_look(aws, step)).status == "in-progress":
        assert look.result.items() >= sent.items()
        told.append(look.detail)
        aws.sandbox.advance(45)
    assert (look.status, look.result) == ("as-left", sent)
    assert list(dict.fromkeys(told)) == [
        "0 of 4 tasks run, with 0 % of the traffic, pre scale up",
        "4 of 4 tasks run, with 25 % of the traffic, production traffic shift",
        "4 of 4 tasks run, with 100 % of the traffic, production traffic shift",
        "4 of 4 tasks run, with 100 % of the traffic, baking for 5 minutes",
    ]
    assert running(aws) == {"checkout:2": 4}
    assert look.found["configuration"] == step.replaces
    assert shop["task_definition_arn"].endswith("checkout:1")


def test_a_rolling_update_is_followed_to_its_end(aws: AwsWorld):
    _, step, _ = begun(aws, strategy="ROLLING")
    aws.sandbox.advance(3)
    assert the_look(aws, step).detail == "0 of 4 tasks run, scale up"
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(step)) == ["as-left"]
    assert running(aws) == {"checkout:2": 4}


def test_one_minute_is_told_as_one() -> None:
    baking = {"lifecycleStage": "BAKE_TIME", "deploymentConfiguration": {"bakeTimeInMinutes": 1}}
    assert _progress(baking) == "0 of 0 tasks run, baking for 1 minute"


def test_an_alarm_in_mid_canary_takes_the_service_back_and_the_deployment_has_failed(aws: AwsWorld):
    shop, step, sent = begun(aws)
    aws.sandbox.advance(60)
    assert running(aws) == {"checkout:1": 4, "checkout:2": 4}
    raise_alarm(aws)
    aws.sandbox.advance(60)
    aws.forget_everything()
    look = the_look(aws, step)
    assert look.status == "failed"
    assert look.detail == "ECS took service checkout back to checkout:1: alarm checkout-5xx was raised"
    assert look.result == sent | {"went_back_to": shop["task_definition_arn"], "alarms": ["checkout-5xx"]}
    assert look.found["task_definition"] == shop["task_definition_arn"]
    assert running(aws) == {"checkout:1": 4}
    with pytest.raises(Refused) as refused:
        aws.act(step)
    assert refused.value.code == "failed"
    assert statuses(aws.look(_undo(step, sent))) == ["as-left"]


def test_while_it_goes_back_it_is_waited_for_until_what_it_went_back_to_is_there(aws: AwsWorld):
    _, step, sent = begun(aws, strategy="ROLLING", tasks=20)
    aws.sandbox.advance(10)
    raise_alarm(aws)
    aws.sandbox.advance(2)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("in-progress", "it is going back: alarm checkout-5xx was raised")
    assert look.result == sent
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(step)) == ["failed"]
    assert running(aws) == {"checkout:1": 20}


def test_a_deployment_that_went_back_stays_failed_whatever_is_deployed_after_it(aws: AwsWorld):
    shop, step, _ = begun(aws)
    raise_alarm(aws)
    aws.sandbox.advance(60)
    raise_alarm(aws, state="OK")
    update(aws, taskDefinition=shop["task_definition_arn"], forceNewDeployment=True)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert look.status == "failed"
    assert "alarm checkout-5xx was raised" in look.detail


def test_tasks_that_cannot_start_take_a_rolling_update_back(aws: AwsWorld):
    shop, image = a_shop(aws, strategy="ROLLING")
    revision, step = a_revision(shop, f"{image[:-4]}0000"), a_deployment(aws, shop)
    aws.look(revision)
    aws.act(revision)
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert look.status == "failed"
    assert look.detail.startswith("ECS took service checkout back to checkout:1: ")
    assert look.detail.endswith("tasks failed to start (circuit breaker)")


def test_without_rollback_a_failed_deployment_leaves_the_service_with_the_new_revision_and_says_so(aws: AwsWorld):
    shop, image = a_shop(aws)
    update(aws, deploymentConfiguration={"alarms": {"alarmNames": ["checkout-5xx"], "enable": True, "rollback": False}})
    revision, step = a_revision(shop, image), a_deployment(aws, shop)
    aws.look(revision)
    aws.act(revision)
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(60)
    raise_alarm(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert look.status == "failed"
    assert look.detail == (
        "the deployment of service checkout was stopped, and it is left with checkout:2: alarm checkout-5xx was raised"
    )


def test_a_deployment_whose_answer_was_lost_is_seen_under_way(aws: AwsWorld):
    _, step = ready(aws)
    aws.look(step)
    aws.fault("ecs:UpdateService", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    assert len(aws.parameters("UpdateService")) == 1


def test_an_alarm_that_is_raised_before_anything_has_begun_is_drift(aws: AwsWorld):
    shop, step = ready(aws)
    raise_alarm(aws)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "alarm checkout-5xx is raised before anything has begun")
    watched = {"alarms": {"alarmNames": ["checkout-gone"], "enable": True, "rollback": True}}
    look = the_look(aws, a_deployment(aws, shop, configuration=step.configuration | watched))
    assert (look.status, look.detail) == ("drifted", "alarm checkout-gone does not exist, so that nothing watches")
    unwatched = {"alarms": {"alarmNames": ["checkout-5xx"], "enable": False, "rollback": True}}
    assert statuses(aws.look(a_deployment(aws, shop, configuration=step.configuration | unwatched))) == ["as-expected"]
    assert running(aws) == {"checkout:1": 4}


def test_alarms_that_are_made_of_others_are_asked_for_too(aws: AwsWorld):
    _, step = ready(aws)
    aws.look(step)
    asked = aws.parameters("DescribeAlarms")
    assert asked
    assert all(one["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"] for one in asked)


def test_somebody_elses_deployment_under_way_is_drift(aws: AwsWorld):
    _, step = ready(aws)
    update(aws, forceNewDeployment=True)
    look = the_look(aws, step)
    assert look.status == "drifted"
    assert look.detail.startswith("another deployment of service checkout is under way, of checkout:1: ")


def test_a_newer_release_of_the_same_task_definition_is_not_overwritten(aws: AwsWorld):
    shop, step = ready(aws)
    update(aws, forceNewDeployment=True)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "service checkout was deployed again since the plan was made")
    assert look.found["task_definition"] == step.expects
    assert look.found["revisions"] == revisions_of(aws) != list(step.revisions)
    with pytest.raises(Refused) as refused:
        aws.act(step)
    assert refused.value.code == "drifted"
    assert statuses(aws.look(a_deployment(aws, shop))) == ["as-expected"]


def test_a_plan_that_was_made_in_the_middle_of_somebody_elses_rollout_deploys_nothing_after_it(aws: AwsWorld):
    shop, _ = ready(aws, strategy="ROLLING")
    update(aws, forceNewDeployment=True)
    aws.sandbox.advance(3)
    step = a_deployment(aws, shop)
    assert len(step.revisions) == 2
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(step)) == ["drifted"]


def test_somebody_elses_deployment_that_went_back_leaves_the_service_as_the_plan_found_it(aws: AwsWorld):
    _, step = ready(aws)
    update(aws, forceNewDeployment=True)
    aws.sandbox.advance(60)
    raise_alarm(aws)
    aws.sandbox.advance(60)
    raise_alarm(aws, state="OK")
    assert statuses(aws.look(step)) == ["as-expected"]


def test_a_service_of_which_ecs_tells_no_revision_is_known_by_its_deployment(aws: AwsWorld):
    _, step = ready(aws)

    def tells_none(parsed: dict[str, Any], **_: Any) -> None:
        for one in parsed["services"]:
            one.pop("currentServiceRevisions")

    aws.client("ecs").meta.events.register("after-call.ecs.DescribeServices", tells_none)
    (deployment,) = shown(aws)["deployments"]
    step = step.model_copy(update={"revisions": (deployment["id"],)})
    assert statuses(aws.look(step)) == ["as-expected"]
    update(aws, forceNewDeployment=True)
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(step)) == ["drifted"]


def test_a_service_that_has_another_revision_by_now_is_drift(aws: AwsWorld):
    _, step = ready(aws)
    update(aws, taskDefinition=another_revision(aws))
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "service checkout has checkout:3, and the plan found checkout:1")


def test_another_way_of_deploying_than_the_plan_found_is_drift(aws: AwsWorld):
    _, step = ready(aws)
    update(aws, deploymentConfiguration={"bakeTimeInMinutes": 1})
    look = the_look(aws, step)
    assert look.status == "drifted"
    assert look.detail == "how service checkout is deployed has been changed since the plan was made"


def test_a_service_of_codedeploy_and_one_that_is_gone_are_drift(aws: AwsWorld):
    shop, step = ready(aws, controller="CODE_DEPLOY")
    look = the_look(aws, step)
    assert (look.status, look.detail) == (
        "drifted",
        "service checkout is deployed by CodeDeploy, and not by ECS itself",
    )
    for gone in ({"service": "billing"}, {"cluster": "nowhere"}):
        look = the_look(aws, a_deployment(aws, shop).model_copy(update=gone))
        assert look.status == "drifted"
        assert look.detail.endswith("does not exist any more")


def test_a_plan_whose_revision_was_not_made_deploys_nothing(aws: AwsWorld):
    shop, _ = a_shop(aws)
    look = the_look(aws, a_deployment(aws, shop))
    assert look.status == "drifted"
    assert look.detail == "checkout has no revision that this plan has made for service checkout"


def test_the_former_revision_is_deployed_again_with_the_former_way_of_deploying(aws: AwsWorld):
    shop, image = a_shop(aws)
    before = configuration_of(aws)
    chosen = {**before, "bakeTimeInMinutes": 1}
    revision, step = a_revision(shop, image), a_deployment(aws, shop, configuration=chosen)
    aws.look(revision)
    aws.act(revision)
    aws.look(step)
    sent = aws.act(step)
    aws.sandbox.advance(LONG_ENOUGH)
    assert configuration_of(aws) == chosen
    raise_alarm(aws)
    undo = _undo(step, sent)
    aws.operations.clear()
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["in-progress"]
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert running(aws) == {"checkout:1": 4}
    assert configuration_of(aws) == before


def test_an_undo_that_does_not_know_the_revision_takes_back_only_what_we_have_made(aws: AwsWorld):
    shop, step, _ = begun(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    undo = step.undo
    assert isinstance(undo, DeployService)
    aws.operations.clear()
    assert statuses(aws.look(undo)) == ["as-expected"]
    update(aws, taskDefinition=another_revision(aws))
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(undo)) == ["drifted"]
    assert shop["task_definition_arn"] == undo.leaves


def test_an_undo_does_not_wait_for_the_deployment_that_it_undoes_but_for_anybody_elses(aws: AwsWorld):
    _, step, sent = begun(aws)
    aws.sandbox.advance(60)
    undo = _undo(step, sent)
    assert statuses(aws.look(undo)) == ["as-expected"]
    update(aws, taskDefinition=another_revision(aws))
    assert statuses(aws.look(undo)) == ["in-progress"]


@pytest.mark.parametrize("which", ["revision", "deployment"])
def test_it_reads_and_calls_no_more_than_the_step_says(aws: AwsWorld, which: str):
    shop, image = a_shop(aws)
    revision, deployment = a_revision(shop, image), a_deployment(aws, shop)
    aws.look(revision)
    aws.act(revision)
    another_revision(aws)
    step = revision.model_copy(update={"undoes": True}) if which == "revision" else deployment
    aws.sandbox.cloud.record.clear()
    aws.guarded.clear()
    aws.look(step)
    if which == "deployment":
        aws.act(step)
        aws.sandbox.advance(60)
        aws.look(step)
        assert aws.calls(mutating=True) == list(step.calls)
        assert aws.guarded == ["UpdateService"]
    assert set(aws.calls()) <= set(step.permissions)
    roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert roles <= {"read", step.acting_role.value}
    unused = {
        "revision": {"ecs:RegisterTaskDefinition", "ecs:TagResource", "iam:PassRole"},
        "deployment": {"iam:PassRole"},
    }
    assert set(step.permissions) - set(aws.calls()) == unused[which]


def _undo(step: DeployService, sent: dict[str, Any]) -> DeployService:
    """With the revision that the outcome tells, as a plan that puts back has it."""
    undo = step.model_copy(update={"leaves": sent["task_definition"]}).undo
    assert isinstance(undo, DeployService)
    return undo


def test_targets_are_part_of_the_keys(aws: AwsWorld):
    shop, image = a_shop(aws)
    for step in (a_revision(shop, image), a_deployment(aws, shop)):
        assert step.target == a_target(step.target.id, step.target.type)
        assert step.key.endswith(step.target.id)
