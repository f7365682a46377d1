"""Deployments of ECS services by AWS CodeDeploy. Applications and deployment groups are moto's.

AWS CodeDeploy user guide, "Deployments on an Amazon ECS compute platform": a replacement task set is started, traffic
is shifted as the deployment configuration says, and the original tasks go after a wait. An alarm of the group stops
the deployment; with automatic rollback another one takes the traffic back.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import yaml
from moto.codedeploy.models import CodeDeployBackend, DeploymentGroup, codedeploy_backends

from deployments.sandbox import ecs_deployments, ecs_tasks
from deployments.sandbox.ecs_services import find_service
from deployments.sandbox.ecs_state import Deployment, Service
from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import Answer, AwsError
from deployments.sandbox.world import World

_CANARY = re.compile(r"ECSCanary(\d+)Percent(\d+)Minutes$")
_LINEAR = re.compile(r"ECSLinear(\d+)PercentEvery(\d+)Minutes$")
_STATUS = {
    "PENDING": "Created",
    "IN_PROGRESS": "InProgress",
    "SUCCESSFUL": "Succeeded",
    "ROLLBACK_REQUESTED": "InProgress",
}
_STATUS_OF_WAY_BACK = {
    "ROLLBACK_IN_PROGRESS": "InProgress",
    "ROLLBACK_SUCCESSFUL": "Succeeded",
    "ROLLBACK_FAILED": "Failed",
}


def _new_id() -> str:
    return f"d-{uuid.uuid4().hex[:9].upper()}"


@dataclass
class EcsDeployment:
    """A CodeDeploy deployment of an ECS service, with the id of the deployment that is its way back, should it come."""

    id: str
    service: Service
    deployment: Deployment
    group: DeploymentGroup
    way_back: str = field(default_factory=_new_id)


@operation("codedeploy", "CreateDeployment")
def create_deployment(call: Call) -> dict[str, Any] | Answer:
    """Deploy the task definition an AppSpec names; on other platforms than ECS nothing happens, as in moto."""
    world, params = call.world, call.params
    application = backend(world).applications.get(params["applicationName"])
    if application is None or application.compute_platform != "ECS":
        return call.forward()
    group = backend(world).get_deployment_group(params["applicationName"], params["deploymentGroupName"])
    under_way = [one for one in world.code_deployments.values() if one.group is group and one.deployment.under_way]
    if under_way:
        raise AwsError(
            "DeploymentLimitExceededException",
            f"The Deployment Group '{group.deployment_group_name}' already has an active Deployment "
            f"'{under_way[0].id}'",
        )
    service = _service(world, group)
    definition = ecs_tasks.task_definition(world, _definition(params.get("revision") or {}))
    configuration = _configuration(group, params.get("deploymentConfigName") or group.deployment_config_name)
    identity = call.moto()["deploymentId"]
    revision = ecs_tasks.new_revision(world, service.cluster, service.name, definition.arn)
    deployment = ecs_deployments.begin(world, service, revision, configuration)
    world.code_deployments[identity] = EcsDeployment(identity, service, deployment, group)
    return {"deploymentId": identity}


@operation("codedeploy", "GetDeployment")
def get_deployment(call: Call) -> dict[str, Any]:
    """One deployment, or the one that is the way back of another."""
    identity = call.params["deploymentId"]
    for one in call.world.code_deployments.values():
        if one.way_back == identity and one.deployment.back_since:
            return {"deploymentInfo": _way_back(one)}
    answer = call.moto()
    known = call.world.code_deployments.get(identity)
    if known:
        answer["deploymentInfo"] |= _progress(known)
    return answer


@operation("codedeploy", "StopDeployment")
def stop_deployment(call: Call) -> dict[str, Any]:
    """Stop a deployment that is under way, and have the traffic go back when that is wished or configured."""
    known = call.world.code_deployments.get(call.params["deploymentId"])
    if known is None:
        raise AwsError("DeploymentDoesNotExistException", "The deployment does not exist.")
    if not known.deployment.under_way:
        raise AwsError("DeploymentAlreadyCompletedException", "The deployment is already completed.")
    automatic = call.params.get("autoRollbackEnabled")
    if automatic or (automatic is None and _rolls_back(known.group, "DEPLOYMENT_STOP_ON_REQUEST")):
        if not known.deployment.goes_back:
            ecs_deployments.request_rollback(call.world, known.service, known.deployment)
    else:
        ecs_deployments.abandon(call.world, known.service, known.deployment, "Stopped by user.")
    return {"status": "Pending", "statusMessage": "The deployment is being stopped."}


@operation("codedeploy", "GetDeploymentGroup")
def get_deployment_group(call: Call) -> dict[str, Any]:
    """A deployment group, with its alarms, which moto leaves out."""
    answer = call.moto()
    group = backend(call.world).get_deployment_group(call.params["applicationName"], call.params["deploymentGroupName"])
    answer["deploymentGroupInfo"]["alarmConfiguration"] = _alarm_configuration(group)
    return answer


def backend(world: World) -> CodeDeployBackend:
    """What moto keeps of CodeDeploy."""
    return codedeploy_backends[world.account][world.region]


def _service(world: World, group: DeploymentGroup) -> Service:
    if not group.ecs_services:
        raise AwsError("InvalidECSServiceException", "The deployment group names no ECS service.")
    named = group.ecs_services[0]
    service = find_service(world, named["clusterName"], named["serviceName"])
    if service.controller != "CODE_DEPLOY":
        raise AwsError("InvalidECSServiceException", "The ECS service is not controlled by CODE_DEPLOY.")
    return service


def _definition(revision: dict[str, Any]) -> str:
    """The task definition an AppSpec, in YAML or JSON, names."""
    content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content")
    if not content:
        raise AwsError("InvalidRevisionException", "The sandbox takes an AppSpec as appSpecContent only.")
    try:
        (resource,) = yaml.safe_load(content)["Resources"]
        return str(resource["TargetService"]["Properties"]["TaskDefinition"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise AwsError("InvalidRevisionException", f"The AppSpec cannot be read: {error!r}") from error


def _configuration(group: DeploymentGroup, name: str | None) -> dict[str, Any]:
    """How ECS is to carry out what a deployment configuration and its group say."""
    stated = group.blue_green_deployment_configuration.get("terminateBlueInstancesOnDeploymentSuccess") or {}
    alarms = _alarm_configuration(group)
    configuration: dict[str, Any] = {
        "strategy": "BLUE_GREEN",
        "bakeTimeInMinutes": int(stated.get("terminationWaitTimeInMinutes") or 0),
        "alarms": {
            "alarmNames": [one["name"] for one in alarms.get("alarms") or []],
            "enable": bool(alarms.get("enabled")),
            "rollback": _rolls_back(group, "DEPLOYMENT_STOP_ON_ALARM"),
        },
        "deploymentCircuitBreaker": {"enable": True, "rollback": _rolls_back(group, "DEPLOYMENT_FAILURE")},
    }
    canary, linear = _CANARY.search(str(name)), _LINEAR.search(str(name))
    if canary:
        shape = {"canaryPercent": float(canary[1]), "canaryBakeTimeInMinutes": int(canary[2])}
        configuration |= {"strategy": "CANARY", "canaryConfiguration": shape}
    if linear:
        shape = {"stepPercent": float(linear[1]), "stepBakeTimeInMinutes": int(linear[2])}
        configuration |= {"strategy": "LINEAR", "linearConfiguration": shape}
    return configuration


def _alarm_configuration(group: DeploymentGroup) -> dict[str, Any]:
    stated: Any = group.alarm_configuration
    return stated if isinstance(stated, dict) else {}


def _rolls_back(group: DeploymentGroup, event: str) -> bool:
    stated = group.auto_rollback_configuration
    return bool(stated.get("enabled")) and event in (stated.get("events") or [])


def _progress(known: EcsDeployment) -> dict[str, Any]:
    deployment = known.deployment
    ended_badly = "Failed" if deployment.breaker_tripped else "Stopped"
    info: dict[str, Any] = {
        "status": _STATUS.get(deployment.status, ended_badly),
        "createTime": deployment.created_at,
        "startTime": deployment.created_at,
    }
    ended = deployment.back_since or deployment.finished_at
    if ended:
        info["completeTime"] = ended
    if deployment.back_because or deployment.status == "STOPPED":
        code = "ALARM_ACTIVE" if deployment.triggered else "ECS_UPDATE_ERROR" if deployment.breaker_tripped else ""
        reason = deployment.back_because or deployment.reason
        info["errorInformation"] = {"code": code or "MANUAL_STOP", "message": reason}
    if deployment.back_since:
        info["rollbackInfo"] = {
            "rollbackDeploymentId": known.way_back,
            "rollbackMessage": f"Deployment {known.id} is rolled back by {known.way_back}.",
        }
    return info


def _way_back(known: EcsDeployment) -> dict[str, Any]:
    deployment = known.deployment
    info: dict[str, Any] = {
        "applicationName": known.group.application.application_name,
        "deploymentGroupName": known.group.deployment_group_name,
        "deploymentId": known.way_back,
        "status": _STATUS_OF_WAY_BACK[deployment.status],
        "createTime": deployment.back_since,
        "startTime": deployment.back_since,
        "creator": "codeDeployRollback",
        "computePlatform": "ECS",
        "rollbackInfo": {"rollbackTriggeringDeploymentId": known.id},
    }
    return info | ({"completeTime": deployment.finished_at} if deployment.finished_at else {})
