"""Deployments of ECS services by AWS CodeDeploy. Applications and deployment groups are moto's.

AWS CodeDeploy user guide, "Deployments on an Amazon ECS compute platform": a replacement task set is started, traffic
is shifted as the deployment configuration says, and the original tasks go after a wait. An alarm of the deployment, or
else of its group, stops it; with automatic rollback another deployment takes the traffic back.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
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

CANARY = re.compile(r"ECSCanary(\d+)Percent(\d+)Minutes$")
LINEAR = re.compile(r"ECSLinear(\d+)PercentEvery(\d+)Minutes$")


def new_id() -> str:
    """An id as CodeDeploy gives its deployments."""
    return f"d-{uuid.uuid4().hex[:9].upper()}"


@dataclass
class EcsDeployment:
    """A CodeDeploy deployment of an ECS service, with the id of the deployment that is its way back, should it come.

    Attributes:
        configuration: the name of its deployment configuration.
        content: its AppSpec.
    """

    id: str
    service: Service
    deployment: Deployment
    group: DeploymentGroup
    configuration: str
    content: str
    description: str = ""
    way_back: str = field(default_factory=new_id)

    @property
    def sha256(self) -> str:
        """By which its revision is known."""
        return hashlib.sha256(self.content.encode()).hexdigest()


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
    content = _content(params.get("revision") or {})
    definition = ecs_tasks.task_definition(world, _definition(content))
    named = str(params.get("deploymentConfigName") or group.deployment_config_name)
    configuration = _configuration(group, named, params)
    identity = call.moto()["deploymentId"]
    revision = ecs_tasks.new_revision(world, service.cluster, service.name, definition.arn)
    deployment = ecs_deployments.begin(world, service, revision, configuration)
    alarms = configuration["alarms"]
    # An alarm that is raised already stops it, where ECS itself would watch none.
    deployment.watched = list(alarms["alarmNames"]) if alarms["enable"] else []
    world.code_deployments[identity] = EcsDeployment(
        identity, service, deployment, group, named, content, params.get("description") or ""
    )
    return {"deploymentId": identity}


@operation("codedeploy", "StopDeployment")
def stop_deployment(call: Call) -> dict[str, Any]:
    """Stop a deployment that is under way, and have the traffic go back when that is wished or configured."""
    known = call.world.code_deployments.get(call.params["deploymentId"])
    if known is None:
        raise AwsError("DeploymentDoesNotExistException", "The deployment does not exist.")
    if not known.deployment.under_way:
        raise AwsError("DeploymentAlreadyCompletedException", "The deployment is already completed.")
    automatic = call.params.get("autoRollbackEnabled")
    if automatic or (automatic is None and _rolls_back(_stated_rollback(known.group), "DEPLOYMENT_STOP_ON_REQUEST")):
        if not known.deployment.goes_back:
            ecs_deployments.request_rollback(call.world, known.service, known.deployment)
    else:
        ecs_deployments.abandon(call.world, known.service, known.deployment, "Stopped by user.")
    return {"status": "Pending", "statusMessage": "The deployment is being stopped."}


def backend(world: World) -> CodeDeployBackend:
    """What moto keeps of CodeDeploy."""
    return codedeploy_backends[world.account][world.region]


def alarm_configuration(group: DeploymentGroup) -> dict[str, Any]:
    """The group's alarms."""
    stated: Any = group.alarm_configuration
    return stated if isinstance(stated, dict) else {}


def _stated_rollback(group: DeploymentGroup) -> dict[str, Any]:
    return group.auto_rollback_configuration


def _service(world: World, group: DeploymentGroup) -> Service:
    if not group.ecs_services:
        raise AwsError("InvalidECSServiceException", "The deployment group names no ECS service.")
    named = group.ecs_services[0]
    service = find_service(world, named["clusterName"], named["serviceName"])
    if service.controller != "CODE_DEPLOY":
        raise AwsError("InvalidECSServiceException", "The ECS service is not controlled by CODE_DEPLOY.")
    return service


def _content(revision: Mapping[str, Any]) -> str:
    content = (revision.get("appSpecContent") or revision.get("string") or {}).get("content")
    if not content:
        raise AwsError("InvalidRevisionException", "The sandbox takes an AppSpec as appSpecContent only.")
    return str(content)


def _definition(content: str) -> str:
    """The task definition an AppSpec, in YAML or JSON, names."""
    try:
        (resource,) = yaml.safe_load(content)["Resources"]
        return str(resource["TargetService"]["Properties"]["TaskDefinition"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise AwsError("InvalidRevisionException", f"The AppSpec cannot be read: {error!r}") from error


def _configuration(group: DeploymentGroup, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """How ECS is to carry out what a deployment, its configuration and its group say."""
    stated = group.blue_green_deployment_configuration.get("terminateBlueInstancesOnDeploymentSuccess") or {}
    alarms = params.get("overrideAlarmConfiguration") or alarm_configuration(group)
    rollback = params.get("autoRollbackConfiguration") or _stated_rollback(group)
    configuration: dict[str, Any] = {
        "strategy": "BLUE_GREEN",
        "bakeTimeInMinutes": int(stated.get("terminationWaitTimeInMinutes") or 0),
        "alarms": {
            "alarmNames": [one["name"] for one in alarms.get("alarms") or []],
            "enable": bool(alarms.get("enabled")),
            "rollback": _rolls_back(rollback, "DEPLOYMENT_STOP_ON_ALARM"),
        },
        "deploymentCircuitBreaker": {"enable": True, "rollback": _rolls_back(rollback, "DEPLOYMENT_FAILURE")},
    }
    canary, linear = CANARY.search(name), LINEAR.search(name)
    if canary:
        shape = {"canaryPercent": float(canary[1]), "canaryBakeTimeInMinutes": int(canary[2])}
        configuration |= {"strategy": "CANARY", "canaryConfiguration": shape}
    if linear:
        shape = {"stepPercent": float(linear[1]), "stepBakeTimeInMinutes": int(linear[2])}
        configuration |= {"strategy": "LINEAR", "linearConfiguration": shape}
    return configuration


def _rolls_back(stated: Mapping[str, Any], event: str) -> bool:
    return bool(stated.get("enabled")) and event in (stated.get("events") or [])
