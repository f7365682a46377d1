"""ECS services that CodeDeploy owns: its canary, its alarm, its way back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from tests.deployments.sandbox.conftest import ACCOUNT, REGION
from tests.deployments.sandbox.test_aws_ecs import NEW, OLD, images, raise_alarm, register, service


@pytest.fixture(autouse=True)
def shop(sandbox: Any) -> dict[str, Any]:
    stated = {"account": ACCOUNT, "region": REGION, "image": OLD, "controller": "CODE_DEPLOY"}
    return furnish_service(sandbox.cloud, ServiceOptions.model_validate(stated))


def deploy(aws: Any, **more: Any) -> str:
    target = {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": register(aws, NEW)}}
    content = json.dumps({"version": 0.0, "Resources": [{"TargetService": target}]})
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": content}}
    return aws("codedeploy").create_deployment(
        applicationName="checkout", deploymentGroupName="checkout", revision=revision, **more
    )["deploymentId"]


def info(aws: Any, deployment: str) -> dict[str, Any]:
    return aws("codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]


def test_a_canary_goes_through_its_wait_and_ends_the_old_tasks(sandbox, aws):
    deployment = deploy(aws)
    assert info(aws, deployment)["status"] == "Created"
    sandbox.advance(200)
    assert info(aws, deployment)["status"] == "InProgress"
    assert images(aws) == {OLD: 4, NEW: 4}
    assert [one["status"] for one in service(aws)["taskSets"]] == ["ACTIVE", "PRIMARY"]
    with pytest.raises(ClientError, match="DeploymentLimitExceededException"):
        deploy(aws)
    sandbox.advance(600)
    assert (info(aws, deployment)["status"], images(aws)) == ("Succeeded", {NEW: 4})
    assert [one["status"] for one in service(aws)["taskSets"]] == ["PRIMARY"]


def test_an_alarm_stops_the_deployment_and_another_one_brings_the_old_tasks_back(sandbox, aws):
    group = aws("codedeploy").get_deployment_group(applicationName="checkout", deploymentGroupName="checkout")
    alarms = group["deploymentGroupInfo"]["alarmConfiguration"]
    assert alarms == {"enabled": True, "alarms": [{"name": "checkout-5xx"}]}
    deployment = deploy(aws)
    sandbox.advance(200)
    raise_alarm(aws)
    sandbox.advance(20)
    stopped = info(aws, deployment)
    assert (stopped["status"], stopped["errorInformation"]["code"]) == ("Stopped", "ALARM_ACTIVE")
    back = info(aws, stopped["rollbackInfo"]["rollbackDeploymentId"])
    assert (back["status"], back["creator"]) == ("Succeeded", "codeDeployRollback")
    assert back["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment
    assert images(aws) == {OLD: 4}


def test_a_person_stops_a_deployment_with_and_without_the_way_back(sandbox, aws):
    deployment = deploy(aws)
    sandbox.advance(200)
    aws("codedeploy").stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    sandbox.advance(20)
    assert (info(aws, deployment)["status"], images(aws)) == ("Stopped", {OLD: 4})
    second = deploy(aws)
    sandbox.advance(200)
    aws("codedeploy").stop_deployment(deploymentId=second, autoRollbackEnabled=False)
    sandbox.advance(20)
    assert (info(aws, second)["status"], images(aws)) == ("Stopped", {OLD: 4, NEW: 4})
    assert "rollbackInfo" not in info(aws, second) or not info(aws, second)["rollbackInfo"]
    with pytest.raises(ClientError, match="DeploymentAlreadyCompletedException"):
        aws("codedeploy").stop_deployment(deploymentId=second)


def test_an_appspec_that_names_no_task_definition_is_refused(aws):
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": "version: 0.0"}}
    with pytest.raises(ClientError, match="InvalidRevisionException"):
        aws("codedeploy").create_deployment(
            applicationName="checkout", deploymentGroupName="checkout", revision=revision
        )
    with pytest.raises(ClientError, match="DeploymentGroupDoesNotExistException"):
        aws("codedeploy").create_deployment(applicationName="checkout", deploymentGroupName="x", revision=revision)
    assert images(aws) == {OLD: 4}
