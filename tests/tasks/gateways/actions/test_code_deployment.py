"""Services that CodeDeploy owns: deployed once, followed to the end, and what became of it found whoever looks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.sandbox.codedeploy import backend
from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Outside, Refused
from runbooks.steps import DeployByCodeDeploy, RegisterTaskDefinition
from runbooks.steps.base import Role, operation_id
from tasks.gateways.actions import Look
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld, operation, statuses
from tests.tasks.gateways.running_images import (
    LONG_ENOUGH,
    a_code_deployment,
    a_definition,
    a_revision,
    a_service,
    an_image,
    another_revision,
    push,
    raise_alarm,
    running,
)

LATER = "d2" * 32
HOOKS = ({"AfterAllowTestTraffic": "check-the-checkout"},)


def a_shop(aws: AwsWorld, **options: Any) -> tuple[dict[str, Any], RegisterTaskDefinition, DeployByCodeDeploy]:
    """A service that CodeDeploy owns and that runs a vulnerable image; a revision with the patched one is made."""
    built = an_image(aws)
    shop = a_service(aws, built["image"], controller="CODE_DEPLOY", **options)
    revision = a_revision(shop, f"{built['repository_uri']}@{push(aws, built, '1.4.3')}")
    aws.look(revision)
    aws.act(revision)
    return shop, revision, a_code_deployment(aws, shop)


def begun(aws: AwsWorld, **options: Any) -> tuple[DeployByCodeDeploy, dict[str, Any]]:
    _, _, step = a_shop(aws, **options)
    assert statuses(aws.look(step)) == ["as-expected"]
    return step, aws.act(step)


def the_look(aws: AwsWorld, step: DeployByCodeDeploy) -> Look:
    (look,) = aws.look(step)
    return look


def deploy_somebody_elses(aws: AwsWorld, definition: str | None = None) -> str:
    properties = {"TaskDefinition": definition or another_revision(aws)}
    target = {"Type": "AWS::ECS::Service", "Properties": properties}
    content = json.dumps({"version": 0.0, "Resources": [{"TargetService": target}]})
    return aws.client("codedeploy", Role.PATCH).create_deployment(
        applicationName="checkout",
        deploymentGroupName="checkout",
        description="a release",
        revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
    )["deploymentId"]


def look_back(aws: AwsWorld, undo: DeployByCodeDeploy) -> Look:
    """What puts back is of another plan, and so another operation."""
    return aws.actions[undo.kind].look([undo], {undo.key: operation_id(LATER, undo.key)})[undo.key]


def act_back(aws: AwsWorld, undo: DeployByCodeDeploy) -> dict[str, Any]:
    return aws.actions[undo.kind].act(undo, operation_id(LATER, undo.key))


def undo_of(step: DeployByCodeDeploy, sent: dict[str, Any]) -> DeployByCodeDeploy:
    """With the revision that the outcome tells, as a plan that puts back has it."""
    undo = step.model_copy(update={"leaves": sent["task_definition"]}).undo
    assert isinstance(undo, DeployByCodeDeploy)
    return undo


def test_a_canary_of_codedeploy_is_followed_to_its_end(aws: AwsWorld):
    step, sent = begun(aws)
    told: list[str] = []
    while (look := the_look(aws, step)).status == "in-progress":
        assert look.result.items() >= sent.items()
        told.append(look.detail)
        aws.sandbox.advance(45)
    assert (look.status, look.result) == ("as-left", sent)
    assert list(dict.fromkeys(told)) == [
        "it has not begun yet",
        "4 of 4 tasks run, with 10 % of the traffic, AllowTraffic",
        "4 of 4 tasks run, with 100 % of the traffic, AllowTraffic",
        "4 of 4 tasks run, with 100 % of the traffic, waiting before the old tasks end",
    ]
    assert running(aws) == {"checkout:2": 4}
    assert look.found["task_definition"].endswith("checkout:2")


def test_the_call_says_whose_it_is_which_alarms_watch_it_and_that_it_leads_back(aws: AwsWorld):
    _, revision, step = a_shop(aws)
    step = step.model_copy(update={"hooks": HOOKS, "alarms": ("checkout-5xx",)})
    aws.look(step)
    sent = aws.act(step)
    (asked,) = aws.parameters("CreateDeployment")
    content = json.loads(asked["revision"]["appSpecContent"].pop("content"))
    assert content == {
        "version": 0.0,
        "Resources": [
            {
                "TargetService": {
                    "Type": "AWS::ECS::Service",
                    "Properties": {
                        "TaskDefinition": aws.look(revision)[0].result["task_definition"],
                        "LoadBalancerInfo": {"ContainerName": "checkout", "ContainerPort": 8080},
                    },
                }
            }
        ],
        "Hooks": list(HOOKS),
    }
    assert asked == {
        "applicationName": "checkout",
        "deploymentGroupName": "checkout",
        "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes",
        "description": f"{operation(step)} by remediation-runbooks",
        "revision": {"revisionType": "AppSpecContent", "appSpecContent": {}},
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
        "overrideAlarmConfiguration": {"enabled": True, "alarms": [{"name": "checkout-5xx"}]},
    }
    assert sent["task_definition"].endswith("checkout:2")


def test_an_alarm_in_mid_canary_leads_back_and_the_deployment_has_failed(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(60)
    assert running(aws) == {"checkout:1": 4, "checkout:2": 4}
    raise_alarm(aws)
    aws.sandbox.advance(60)
    aws.forget_everything()
    look = the_look(aws, step)
    words = "CodeDeploy took service checkout back, and it has checkout:1: CloudWatch alarm in ALARM: checkout-5xx."
    assert (look.status, look.detail) == ("failed", words)
    assert look.result == sent | {"went_back_to": step.expects}
    assert running(aws) == {"checkout:1": 4}
    with pytest.raises(Refused) as refused:
        aws.act(step)
    assert refused.value.code == "failed"
    assert look_back(aws, undo_of(step, sent)).status == "as-left"


def test_while_it_goes_back_it_is_waited_for(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(60)
    stop_a_task_of(aws, step.expects)
    raise_alarm(aws)
    aws.sandbox.advance(2.5)
    look = the_look(aws, step)
    words = "it is going back: CloudWatch alarm in ALARM: checkout-5xx."
    assert (look.status, look.detail, look.result) == ("in-progress", words, sent)
    aws.sandbox.advance(20)
    assert statuses(aws.look(step)) == ["failed"]
    assert running(aws) == {"checkout:1": 4}


def stop_a_task_of(aws: AwsWorld, definition: str) -> None:
    client = aws.client("ecs", Role.PATCH)
    arns = client.list_tasks(cluster="shop", serviceName="checkout")["taskArns"]
    tasks = client.describe_tasks(cluster="shop", tasks=arns)["tasks"]
    old = next(task["taskArn"] for task in tasks if task["taskDefinitionArn"] == definition)
    client.stop_task(cluster="shop", task=old)


def test_a_deployment_that_went_back_stays_failed_whatever_is_deployed_after_it(aws: AwsWorld):
    step, _ = begun(aws)
    raise_alarm(aws)
    aws.sandbox.advance(60)
    raise_alarm(aws, state="OK")
    deploy_somebody_elses(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    assert statuses(aws.look(step)) == ["failed"]


def test_what_somebody_stops_without_a_way_back_is_left_as_it_is_and_said_so(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(60)
    aws.client("codedeploy", Role.PATCH).stop_deployment(deploymentId=sent["deployment"], autoRollbackEnabled=False)
    aws.sandbox.advance(20)
    look = the_look(aws, step)
    assert (look.status, look.detail) == (
        "failed",
        "the deployment of service checkout has stopped, and it has checkout:1: Stopped by user.",
    )


def test_tasks_that_cannot_start_lead_back_too(aws: AwsWorld):
    shop, revision, step = a_shop(aws)
    bad = revision.model_copy(update={"image": f"{revision.image[:-4]}0000"})
    aws.forget_everything()
    step = step.model_copy(update={"leaves": a_definition(aws, bad.image, "checkout")})
    aws.look(step)
    aws.act(step)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert look.status == "failed"
    assert look.detail.startswith("CodeDeploy took service checkout back, and it has checkout:1: ")
    assert look.result["went_back_to"] == shop["task_definition_arn"]


def test_a_deployment_whose_answer_was_lost_is_found_by_its_description_and_is_not_made_twice(aws: AwsWorld):
    _, _, step = a_shop(aws)
    aws.look(step)
    aws.fault("codedeploy:CreateDeployment", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    with pytest.raises(Refused):
        aws.act(step)
    assert len(aws.parameters("CreateDeployment")) == 1


def test_two_runs_that_both_look_before_either_acts_begin_one_deployment(aws: AwsWorld):
    _, _, step = a_shop(aws)
    assert statuses(aws.look(step)) == ["as-expected"]
    late = aws.actions
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["as-expected"]
    sent = aws.act(step)
    with pytest.raises(Outside) as refused:
        late[step.kind].act(step, operation(step))
    assert refused.value.code == "DeploymentLimitExceededException"
    aws.sandbox.advance(LONG_ENOUGH)
    assert the_look(aws, step).result == sent


def test_a_deployment_that_is_listed_and_not_shown_yet_may_be_ours(aws: AwsWorld):
    step, _ = begun(aws)

    def does_not_show(parsed: dict[str, Any], **_: Any) -> None:
        parsed["deploymentsInfo"] = []

    events = aws.client("codedeploy").meta.events
    events.register("after-call.codedeploy.BatchGetDeployments", does_not_show)
    with pytest.raises(AnswerLost, match="and does not show it yet"):
        aws.look(step)
    events.unregister("after-call.codedeploy.BatchGetDeployments", does_not_show)
    assert statuses(aws.look(step)) == ["in-progress"]


def test_an_alarm_that_is_raised_or_missing_before_anything_has_begun_is_drift(aws: AwsWorld):
    _, _, step = a_shop(aws)
    missing = step.model_copy(update={"alarms": ("checkout-gone",)})
    assert the_look(aws, missing).detail == "alarm checkout-gone does not exist, so that nothing watches"
    raise_alarm(aws)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "alarm checkout-5xx is raised before anything has begun")
    assert statuses(aws.look(step.model_copy(update={"alarms": ()}))) == ["as-expected"]
    assert running(aws) == {"checkout:1": 4}


def test_somebody_elses_deployment_under_way_is_drift_and_so_is_what_it_leaves(aws: AwsWorld):
    _, _, step = a_shop(aws)
    other = deploy_somebody_elses(aws)
    look = the_look(aws, step)
    assert look.status == "drifted"
    assert look.detail.startswith(f"another deployment of service checkout is under way ({other}): ")
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "service checkout has checkout:3, and the plan found checkout:1")


def test_a_newer_release_of_the_same_task_definition_is_not_overwritten(aws: AwsWorld):
    shop, _, step = a_shop(aws)
    deploy_somebody_elses(aws, step.expects)
    aws.sandbox.advance(LONG_ENOUGH)
    look = the_look(aws, step)
    assert (look.status, look.detail) == ("drifted", "service checkout was deployed again since the plan was made")
    assert statuses(aws.look(a_code_deployment(aws, shop))) == ["as-expected"]


def test_somebody_elses_deployment_that_went_back_leaves_the_service_as_the_plan_found_it(aws: AwsWorld):
    _, _, step = a_shop(aws)
    other = deploy_somebody_elses(aws)
    aws.sandbox.advance(60)
    aws.client("codedeploy", Role.PATCH).stop_deployment(deploymentId=other, autoRollbackEnabled=True)
    aws.sandbox.advance(60)
    assert statuses(aws.look(step)) == ["as-expected"]
    assert running(aws) == {"checkout:1": 4}


def test_one_that_began_before_our_revision_was_made_is_seen_as_long_as_it_goes_on(aws: AwsWorld):
    built = an_image(aws)
    shop = a_service(aws, built["image"], controller="CODE_DEPLOY", bake_minutes=60)
    deploy_somebody_elses(aws)
    aws.sandbox.advance(900)
    revision = a_revision(shop, f"{built['repository_uri']}@{push(aws, built, '1.4.3')}")
    aws.look(revision)
    aws.act(revision)
    look = the_look(aws, a_code_deployment(aws, shop))
    assert look.status == "drifted"
    assert "waiting before the old tasks end" in look.detail


def test_what_has_the_revision_already_is_done_by_whomever(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    again = step.model_copy(update={"leaves": sent["task_definition"]})
    assert look_back(aws, again).status == "as-left"


def test_a_service_of_ecs_a_service_that_is_gone_and_a_group_that_has_it_no_more_are_drift(aws: AwsWorld):
    shop, _, step = a_shop(aws)
    for gone in ({"service": "billing"}, {"cluster": "nowhere"}):
        look = the_look(aws, step.model_copy(update=gone))
        assert (look.status, look.detail.endswith("does not exist any more")) == ("drifted", True)
    no_more = "deployment group checkout does not deploy service checkout any more"
    groups = backend(aws.sandbox.cloud.world(ACCOUNT, REGION)).deployment_groups["checkout"]
    with aws.sandbox.cloud.lock:
        groups["checkout"].ecs_services = [{"clusterName": "shop", "serviceName": "basket"}]
    assert the_look(aws, step).detail == no_more
    with aws.sandbox.cloud.lock:
        del groups["checkout"]
    assert the_look(aws, step).detail == no_more
    ecs_own = a_service(aws, shop["image"], name="basket")
    look = the_look(aws, a_code_deployment(aws, ecs_own | {"application": "checkout", "deployment_group": "checkout"}))
    assert look.detail == "service basket is deployed by ECS itself, and not by CodeDeploy"


def test_a_plan_whose_revision_was_not_made_deploys_nothing(aws: AwsWorld):
    shop = a_service(aws, an_image(aws)["image"], controller="CODE_DEPLOY")
    look = the_look(aws, a_code_deployment(aws, shop))
    assert (look.status, look.detail) == (
        "drifted",
        "checkout has no revision that this plan has made for service checkout",
    )


def test_the_former_revision_is_deployed_again_though_its_alarm_is_raised(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    raise_alarm(aws)
    undo = undo_of(step, sent)
    assert look_back(aws, undo).status == "as-expected"
    act_back(aws, undo)
    assert aws.parameters("CreateDeployment")[-1]["overrideAlarmConfiguration"] == {"enabled": False, "alarms": []}
    assert look_back(aws, undo).status == "in-progress"
    aws.sandbox.advance(LONG_ENOUGH)
    assert look_back(aws, undo).status == "as-left"
    assert running(aws) == {"checkout:1": 4}


def test_an_undo_stops_the_deployment_that_it_undoes_and_waits_for_anybody_elses(aws: AwsWorld):
    step, sent = begun(aws)
    aws.sandbox.advance(60)
    undo = undo_of(step, sent)
    assert look_back(aws, undo).status == "as-expected"
    assert act_back(aws, undo)["stopped"] == sent["deployment"]
    assert aws.parameters("StopDeployment") == [{"deploymentId": sent["deployment"], "autoRollbackEnabled": True}]
    aws.sandbox.advance(60)
    assert look_back(aws, undo).status == "as-left"
    assert running(aws) == {"checkout:1": 4}
    assert len(aws.parameters("CreateDeployment")) == 1
    deploy_somebody_elses(aws)
    assert look_back(aws, undo).status == "in-progress"


def test_an_undo_that_does_not_know_the_revision_takes_back_only_what_we_have_made(aws: AwsWorld):
    step, _ = begun(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    undo = step.undo
    assert isinstance(undo, DeployByCodeDeploy)
    assert look_back(aws, undo).status == "as-expected"
    deploy_somebody_elses(aws)
    aws.sandbox.advance(LONG_ENOUGH)
    assert look_back(aws, undo).status == "drifted"


def test_it_reads_and_calls_no_more_than_the_step_says(aws: AwsWorld):
    _, _, step = a_shop(aws)
    aws.sandbox.cloud.record.clear()
    aws.guarded.clear()
    aws.look(step)
    sent = aws.act(step)
    aws.sandbox.advance(60)
    aws.look(step)
    undo = undo_of(step, sent)
    look_back(aws, undo)
    act_back(aws, undo)
    assert aws.calls(mutating=True) == list(step.calls)
    assert aws.guarded == ["CreateDeployment", "StopDeployment"]
    assert set(aws.calls()) <= set(step.permissions)
    assert set(step.permissions) - set(aws.calls()) == {
        "codedeploy:GetDeploymentConfig",
        "codedeploy:RegisterApplicationRevision",
        "codedeploy:UpdateDeploymentGroup",
    }
    roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
    assert roles <= {"read", "patch", "restore"}
