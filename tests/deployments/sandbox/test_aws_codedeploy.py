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


def test_a_group_has_its_last_successful_deployment_and_the_appspec_is_known_by_its_digest(sandbox, aws):
    first, client = deploy(aws, description="the first"), aws("codedeploy")
    where = {"applicationName": "checkout", "deploymentGroupName": "checkout"}
    assert "lastSuccessfulDeployment" not in group_of(aws) or not group_of(aws)["lastSuccessfulDeployment"]
    sandbox.advance(800)
    assert group_of(aws)["lastSuccessfulDeployment"]["deploymentId"] == first
    (same,) = client.batch_get_deployment_groups(applicationName="checkout", deploymentGroupNames=["checkout", "x"])[
        "deploymentGroupsInfo"
    ]
    assert same == group_of(aws)
    told = info(aws, first)
    assert told["description"] == "the first"
    assert set(told["revision"]["appSpecContent"]) == {"sha256"}
    answer = client.get_application_revision(applicationName="checkout", revision=told["revision"])
    assert json.loads(answer["revision"]["appSpecContent"]["content"])["version"] == 0.0
    told["revision"]["appSpecContent"]["sha256"] = "0" * 64
    with pytest.raises(ClientError, match="RevisionDoesNotExistException"):
        client.get_application_revision(applicationName="checkout", revision=told["revision"])
    assert client.list_deployments(**where)["deployments"] == [first]


def test_deployments_are_listed_newest_first_by_state_and_time_with_those_that_lead_back(sandbox, aws):
    client, where = aws("codedeploy"), {"applicationName": "checkout", "deploymentGroupName": "checkout"}
    first = deploy(aws)
    sandbox.advance(800)
    second = deploy(aws)
    sandbox.advance(200)
    assert client.list_deployments(**where, includeOnlyStatuses=["InProgress"])["deployments"] == [second]
    raise_alarm(aws)
    sandbox.advance(60)
    back = info(aws, second)["rollbackInfo"]["rollbackDeploymentId"]
    assert client.list_deployments(**where)["deployments"] == [back, second, first]
    since = info(aws, second)["createTime"]
    assert client.list_deployments(**where, createTimeRange={"start": since})["deployments"] == [back, second]
    shown = client.batch_get_deployments(deploymentIds=[first, back, "d-NONE"])["deploymentsInfo"]
    assert [(one["deploymentId"], one["status"]) for one in shown] == [(first, "Succeeded"), (back, "Succeeded")]
    with pytest.raises(ClientError, match="BatchLimitExceededException"):
        client.batch_get_deployments(deploymentIds=[f"d-{number}" for number in range(26)])


def test_what_a_deployment_says_of_alarms_and_rollback_goes_before_what_its_group_says(sandbox, aws):
    raise_alarm(aws)
    stopped = deploy(aws)
    sandbox.advance(60)
    assert (info(aws, stopped)["status"], images(aws)) == ("Stopped", {OLD: 4})
    off = {"enabled": False, "alarms": []}
    through = deploy(aws, overrideAlarmConfiguration=off)
    sandbox.advance(800)
    assert (info(aws, through)["status"], images(aws)) == ("Succeeded", {NEW: 4})
    raise_alarm(aws, state="OK")
    stays = deploy(aws, autoRollbackConfiguration={"enabled": False, "events": []})
    sandbox.advance(200)
    raise_alarm(aws)
    sandbox.advance(60)
    assert (info(aws, stays)["status"], images(aws)) == ("Stopped", {NEW: 8})
    assert [one["status"] for one in service(aws)["taskSets"]] == ["ACTIVE", "PRIMARY"]


def test_a_target_tells_the_task_sets_their_traffic_and_the_event_that_goes_on(sandbox, aws):
    deployment = deploy(aws)

    def target() -> dict[str, Any]:
        answer = aws("codedeploy").get_deployment_target(deploymentId=deployment, targetId="shop:checkout")
        return answer["deploymentTarget"]["ecsTarget"]

    with pytest.raises(ClientError, match="DeploymentNotStartedException"):
        target()
    sandbox.advance(200)
    sets = [(one["taskSetLabel"], one["trafficWeight"], one["runningCount"]) for one in target()["taskSetsInfo"]]
    assert sets == [("Green", 10.0, 4), ("Blue", 90.0, 4)]
    going_on = [one["lifecycleEventName"] for one in target()["lifecycleEvents"] if one["status"] == "InProgress"]
    assert going_on == ["AllowTraffic"]
    assert info(aws, deployment)["instanceTerminationWaitTimeStarted"] is False
    sandbox.advance(180)
    assert info(aws, deployment)["instanceTerminationWaitTimeStarted"] is True
    assert [one["status"] for one in service(aws)["taskSets"]] == ["PRIMARY", "ACTIVE"]
    with pytest.raises(ClientError, match="DeploymentTargetDoesNotExistException"):
        aws("codedeploy").get_deployment_target(deploymentId=deployment, targetId="shop:basket")


def test_a_service_that_codedeploy_owns_says_what_has_the_traffic_and_where_that_comes_in(sandbox, aws):
    deploy(aws)
    sandbox.advance(200)
    shown = service(aws)
    assert shown["taskDefinition"].endswith("checkout:1")
    assert [(one["containerName"], one["containerPort"]) for one in shown["loadBalancers"]] == [("checkout", 8080)]
    assert "alarms" not in shown["deploymentConfiguration"]
    sandbox.advance(600)
    assert service(aws)["taskDefinition"].endswith("checkout:2")


def group_of(aws: Any) -> dict[str, Any]:
    answer = aws("codedeploy").get_deployment_group(applicationName="checkout", deploymentGroupName="checkout")
    return answer["deploymentGroupInfo"]
