"""Deployments of ECS services as CodeDeploy's API lists and shows them, with their task sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.codedeploy import EcsDeployment, backend
from deployments.sandbox.ecs_state import Deployment, Revision
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import Answer, AwsError
from deployments.sandbox.world import World

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
_EVENTS = {
    "PRE_SCALE_UP": "BeforeInstall",
    "SCALE_UP": "Install",
    "POST_SCALE_UP": "AfterInstall",
    "TEST_TRAFFIC_SHIFT": "AllowTestTraffic",
    "POST_TEST_TRAFFIC_SHIFT": "AfterAllowTestTraffic",
    "PRODUCTION_TRAFFIC_SHIFT": "AllowTraffic",
    "POST_PRODUCTION_TRAFFIC_SHIFT": "AfterAllowTraffic",
}
"""The lifecycle event that each stage of a deployment of ECS is; after the last of them the old tasks wait."""


@operation("codedeploy", "GetDeployment")
def get_deployment(call: Call) -> dict[str, Any] | Answer:
    """One deployment, or the one that is the way back of another."""
    known = _infos(call.world).get(call.params["deploymentId"])
    return call.forward() if known is None else {"deploymentInfo": known}


@operation("codedeploy", "BatchGetDeployments")
def batch_get_deployments(call: Call) -> dict[str, Any]:
    """Several of them; what is not there is left out."""
    if len(call.params["deploymentIds"]) > 25:
        raise AwsError("BatchLimitExceededException", "The maximum number of deployment IDs is 25.")
    known = {info["deploymentId"]: info for info in call.moto()["deploymentsInfo"]} | _infos(call.world)
    return {"deploymentsInfo": [known[one] for one in call.params["deploymentIds"] if one in known]}


@operation("codedeploy", "ListDeployments")
def list_deployments(call: Call) -> dict[str, Any] | Answer:
    """The ids of a group's deployments, the newest first."""
    world, params = call.world, call.params
    application = backend(world).applications.get(params.get("applicationName") or "")
    if application is None or application.compute_platform != "ECS":
        return call.forward()
    group = backend(world).get_deployment_group(params["applicationName"], params["deploymentGroupName"])
    wanted, between = params.get("includeOnlyStatuses") or (), params.get("createTimeRange") or {}
    found = [
        info
        for info in _infos(world).values()
        if (info["applicationName"], info["deploymentGroupName"])
        == (application.application_name, group.deployment_group_name)
        and (not wanted or info["status"] in wanted)
        and _is_between(info["createTime"], between)
    ]
    names = [info["deploymentId"] for info in sorted(found, key=lambda info: info["createTime"], reverse=True)]
    return page(call, names, result="deployments", token="nextToken", limit="maxResults", most=100)


@operation("codedeploy", "GetDeploymentTarget")
def get_deployment_target(call: Call) -> dict[str, Any]:
    """The task sets of a deployment, and its lifecycle events."""
    asked = call.params["deploymentId"]
    known = next((one for one in call.world.code_deployments.values() if asked in (one.id, one.way_back)), None)
    if known is None:
        raise AwsError("DeploymentDoesNotExistException", "The deployment does not exist.")
    target = f"{known.service.cluster}:{known.service.name}"
    if call.params["targetId"] != target:
        raise AwsError("DeploymentTargetDoesNotExistException", "The deployment has no such target.")
    if known.deployment.status == "PENDING":
        raise AwsError("DeploymentNotStartedException", "The deployment has not started.")
    both = ((known.deployment.target, "Green", known.deployment.traffic),)
    if known.deployment.source is not None:
        both = (*both, (known.deployment.source, "Blue", 100.0 - known.deployment.traffic))
    shown = {
        "deploymentId": asked,
        "targetId": target,
        "status": status_of(known),
        "taskSetsInfo": [_task_set(call.world, known, *one) for one in both],
        "lifecycleEvents": list(_events(known.deployment)),
    }
    return {"deploymentTarget": {"deploymentTargetType": "ECSTarget", "ecsTarget": shown}}


def _infos(world: World) -> dict[str, dict[str, Any]]:
    """Every deployment of an ECS service by its id, and every way back that has been gone."""
    found: dict[str, dict[str, Any]] = {}
    for one in world.code_deployments.values():
        found[one.id] = _info(one)
        if one.deployment.back_since:
            found[one.way_back] = _way_back(one)
    return found


def _info(known: EcsDeployment) -> dict[str, Any]:
    deployment = known.deployment
    info = _of_either(known) | {
        "deploymentId": known.id,
        "description": known.description,
        "creator": "user",
        "revision": {"revisionType": "AppSpecContent", "appSpecContent": {"sha256": known.sha256}},
        "status": status_of(known),
        "createTime": deployment.created_at,
        "startTime": deployment.created_at,
        "instanceTerminationWaitTimeStarted": _waits(deployment),
    }
    ended = deployment.back_since or deployment.finished_at
    if ended:
        info["completeTime"] = ended
    if deployment.back_because or deployment.status == "STOPPED":
        code = "ALARM_ACTIVE" if deployment.triggered else "ECS_UPDATE_ERROR" if deployment.breaker_tripped else ""
        info["errorInformation"] = {
            "code": code or "MANUAL_STOP",
            "message": deployment.back_because or deployment.reason,
        }
    if deployment.back_since:
        info["rollbackInfo"] = {
            "rollbackDeploymentId": known.way_back,
            "rollbackMessage": f"Deployment {known.id} is rolled back by {known.way_back}.",
        }
    return info


def _way_back(known: EcsDeployment) -> dict[str, Any]:
    deployment = known.deployment
    info = _of_either(known) | {
        "deploymentId": known.way_back,
        "description": known.description,
        "creator": "codeDeployRollback",
        "status": _STATUS_OF_WAY_BACK[deployment.status],
        "createTime": deployment.back_since,
        "startTime": deployment.back_since,
        "rollbackInfo": {"rollbackTriggeringDeploymentId": known.id},
    }
    return info | ({"completeTime": deployment.finished_at} if deployment.finished_at else {})


def _of_either(known: EcsDeployment) -> dict[str, Any]:
    return {
        "applicationName": known.group.application.application_name,
        "deploymentGroupName": known.group.deployment_group_name,
        "deploymentConfigName": known.configuration,
        "computePlatform": "ECS",
    }


def status_of(known: EcsDeployment) -> str:
    """Its state in CodeDeploy's words."""
    return _STATUS.get(known.deployment.status, "Failed" if known.deployment.breaker_tripped else "Stopped")


def _waits(deployment: Deployment) -> bool:
    """Whether the old tasks only wait for their end."""
    return deployment.status == "IN_PROGRESS" and deployment.steps[0].stage not in _EVENTS


def _task_set(world: World, known: EcsDeployment, revision: Revision, label: str, traffic: float) -> dict[str, Any]:
    tasks = [one for one in world.ecs.tasks_of(known.service) if one.is_active and one.revision is revision]
    running = sum(one.is_running for one in tasks)
    return {
        "desiredCount": known.service.desired if label == "Green" else len(tasks),
        "runningCount": running,
        "pendingCount": len(tasks) - running,
        "status": "PRIMARY" if traffic == 100.0 else "ACTIVE",
        "trafficWeight": traffic,
        "taskSetLabel": label,
    }


def _events(deployment: Deployment) -> list[dict[str, Any]]:
    """Each event with its status; a stage that is not there any more is over."""
    names = list(_EVENTS)
    present = deployment.steps[0].stage
    now = names.index(present) if present in names else len(names)
    going_on = "Failed" if deployment.goes_back or not deployment.under_way else "InProgress"
    return [
        {
            "lifecycleEventName": _EVENTS[name],
            "status": "Succeeded" if number < now else going_on if number == now else "Pending",
        }
        for number, name in enumerate(names)
    ]


def _is_between(moment: datetime, limits: Mapping[str, datetime]) -> bool:
    start, end = (_aware(limits.get(name)) for name in ("start", "end"))
    return (start is None or moment >= start) and (end is None or moment <= end)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
