"""CodeDeploy's deployment groups of ECS services, their configurations, and the AppSpecs of their deployments."""

from __future__ import annotations

from typing import Any

from moto.codedeploy.models import DeploymentGroup
from moto.codedeploy.responses import _deployment_group_info

from deployments.sandbox.codedeploy import CANARY, LINEAR, alarm_configuration, backend
from deployments.sandbox.codedeploy_shown import status_of
from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World


@operation("codedeploy", "GetApplicationRevision")
def get_application_revision(call: Call) -> dict[str, Any]:
    """The AppSpec behind its digest."""
    asked = (call.params["revision"].get("appSpecContent") or {}).get("sha256")
    for one in call.world.code_deployments.values():
        if one.sha256 == asked:
            told = {"content": one.content, "sha256": asked}
            revision = {"revisionType": "AppSpecContent", "appSpecContent": told}
            return {"applicationName": call.params["applicationName"], "revision": revision}
    raise AwsError("RevisionDoesNotExistException", "The revision does not exist.")


@operation("codedeploy", "GetDeploymentConfig")
def get_deployment_config(call: Call) -> dict[str, Any]:
    """One of CodeDeploy's own configurations for ECS."""
    name = call.params["deploymentConfigName"]
    canary, linear = CANARY.search(name), LINEAR.search(name)
    routing: dict[str, Any] = {"type": "AllAtOnce"}
    if canary:
        shape = {"canaryPercentage": int(canary[1]), "canaryInterval": int(canary[2])}
        routing = {"type": "TimeBasedCanary", "timeBasedCanary": shape}
    elif linear:
        shape = {"linearPercentage": int(linear[1]), "linearInterval": int(linear[2])}
        routing = {"type": "TimeBasedLinear", "timeBasedLinear": shape}
    elif not name.endswith("ECSAllAtOnce"):
        raise AwsError("DeploymentConfigDoesNotExistException", f"No deployment configuration found for name: {name}")
    told = {"deploymentConfigName": name, "computePlatform": "ECS", "trafficRoutingConfig": routing}
    return {"deploymentConfigInfo": told}


@operation("codedeploy", "GetDeploymentGroup")
def get_deployment_group(call: Call) -> dict[str, Any]:
    """A deployment group, with its alarms and its last successful deployment, which moto leaves out."""
    group = backend(call.world).get_deployment_group(call.params["applicationName"], call.params["deploymentGroupName"])
    return {"deploymentGroupInfo": _shown(call.world, group)}


@operation("codedeploy", "BatchGetDeploymentGroups")
def batch_get_deployment_groups(call: Call) -> dict[str, Any]:
    """Several groups of one application."""
    groups = backend(call.world).deployment_groups.get(call.params["applicationName"], {})
    wanted = [groups[name] for name in call.params["deploymentGroupNames"] if name in groups]
    return {"deploymentGroupsInfo": [_shown(call.world, one) for one in wanted]}


def _shown(world: World, group: DeploymentGroup) -> dict[str, Any]:
    shown = _deployment_group_info(group) | {"alarmConfiguration": alarm_configuration(group)}
    ended = [one for one in world.code_deployments.values() if one.group is group and status_of(one) == "Succeeded"]
    if ended:
        last = max(ended, key=lambda one: one.deployment.created_at)
        shown["lastSuccessfulDeployment"] = {"deploymentId": last.id, "status": "Succeeded"}
    return shown
