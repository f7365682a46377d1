"""Service deployments and service revisions of Amazon ECS, and StopServiceDeployment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deployments.sandbox import ecs_deployments, ecs_scheduler, ecs_tasks
from deployments.sandbox.ecs_services import find_service
from deployments.sandbox.ecs_state import Deployment, Revision, Service
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World


@operation("ecs", "ListServiceDeployments")
def list_service_deployments(call: Call) -> dict[str, Any]:
    """A service's deployments in brief, newest first."""
    service = find_service(call.world, call.params.get("cluster"), call.params["service"])
    wanted, created = call.params.get("status") or [], call.params.get("createdAt") or {}
    briefs = [
        _brief(call.world, service, one)
        for one in reversed(service.deployments)
        if (not wanted or one.status in wanted) and _is_between(one.created_at, created)
    ]
    return page(call, briefs, result="serviceDeployments", token="nextToken", limit="maxResults", most=20)


@operation("ecs", "DescribeServiceDeployments")
def describe_service_deployments(call: Call) -> dict[str, Any]:
    """Deployments by ARN; those that are not there are failures."""
    known = {one.arn: (service, one) for service in _services(call.world) for one in service.deployments}
    arns = call.params["serviceDeploymentArns"]
    return {
        "serviceDeployments": [_describe(call.world, *known[arn]) for arn in arns if arn in known],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in known],
    }


@operation("ecs", "StopServiceDeployment")
def stop_service_deployment(call: Call) -> dict[str, Any]:
    """Have a deployment that is under way roll back."""
    arn = call.params["serviceDeploymentArn"]
    for service in _services(call.world):
        for deployment in service.deployments:
            if deployment.arn == arn:
                _stop(call, service, deployment)
                return {"serviceDeploymentArn": arn}
    raise AwsError("ServiceDeploymentNotFoundException", f"The service deployment {arn} was not found.")


@operation("ecs", "DescribeServiceRevisions")
def describe_service_revisions(call: Call) -> dict[str, Any]:
    """Revisions by ARN, with the digests their containers have."""
    known = {revision.arn: (service, revision) for service in _services(call.world) for revision in _revisions(service)}
    arns = call.params["serviceRevisionArns"]
    return {
        "serviceRevisions": [_revision(call.world, *known[arn]) for arn in arns if arn in known],
        "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in known],
    }


def _stop(call: Call, service: Service, deployment: Deployment) -> None:
    if (call.params.get("stopType") or "ROLLBACK") != "ROLLBACK":
        raise AwsError("InvalidParameterException", "stopType must be ROLLBACK.")
    if not deployment.under_way:
        raise AwsError("ConflictException", f"The service deployment is {deployment.status} already.")
    if deployment.source is None:
        raise AwsError("ConflictException", "There is no completed service revision to roll back to.")
    if not deployment.goes_back:
        ecs_deployments.request_rollback(call.world, service, deployment)


def _services(world: World) -> list[Service]:
    return list(world.ecs.services.values())


def _revisions(service: Service) -> list[Revision]:
    brought = [revision for one in service.deployments for revision in (one.source, one.target) if revision]
    return [*brought, *(one.revision for one in service.rollouts)]


def _is_between(moment: datetime, limits: dict[str, datetime]) -> bool:
    after, before = (_aware(limits.get(name)) for name in ("after", "before"))
    return (after is None or moment >= after) and (before is None or moment <= before)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _brief(world: World, service: Service, deployment: Deployment) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": service.arn,
        "clusterArn": ecs_tasks.arn(world, "cluster", service.cluster),
        "createdAt": deployment.created_at,
        "startedAt": deployment.created_at,
        "targetServiceRevisionArn": deployment.target.arn,
        "status": deployment.status,
    }
    if deployment.reason:
        entry["statusReason"] = deployment.reason
    if deployment.finished_at:
        entry["finishedAt"] = deployment.finished_at
    return entry


def _describe(world: World, service: Service, deployment: Deployment) -> dict[str, Any]:
    entry = _brief(world, service, deployment)
    entry |= {
        "updatedAt": deployment.updated_at or deployment.created_at,
        "deploymentConfiguration": deployment.configuration,
        "sourceServiceRevisions": [_side(world, service, deployment.source, 100.0 - deployment.traffic)]
        if deployment.source
        else [],
        "targetServiceRevision": _side(world, service, deployment.target, deployment.traffic),
        "alarms": _alarms(deployment),
        "deploymentCircuitBreaker": _breaker(service, deployment),
    }
    if deployment.under_way and not deployment.goes_back:
        entry["lifecycleStage"] = deployment.steps[0].stage
    if deployment.back_since and deployment.source:
        entry["rollback"] = {
            "reason": deployment.back_because,
            "startedAt": deployment.back_since,
            "serviceRevisionArn": deployment.source.arn,
        }
    if deployment.stopped_at:
        entry["stoppedAt"] = deployment.stopped_at
    return entry


def _side(world: World, service: Service, revision: Revision, traffic: float) -> dict[str, Any]:
    tasks = [one for one in world.ecs.tasks_of(service) if one.is_active and one.revision is revision]
    running = sum(one.is_running for one in tasks)
    return {
        "arn": revision.arn,
        "requestedTaskCount": service.desired if revision is service.primary.revision else len(tasks),
        "runningTaskCount": running,
        "pendingTaskCount": len(tasks) - running,
        "requestedProductionTrafficWeight": traffic,
    }


def _alarms(deployment: Deployment) -> dict[str, Any]:
    stated = deployment.configuration.get("alarms") or {}
    if deployment.triggered:
        status = "TRIGGERED"
    elif not deployment.watched:
        status = "DISABLED"
    else:
        status = "MONITORING" if deployment.under_way else "MONITORING_COMPLETE"
    return {
        "status": status,
        "alarmNames": list(stated.get("alarmNames") or []),
        "triggeredAlarmNames": deployment.triggered,
    }


def _breaker(service: Service, deployment: Deployment) -> dict[str, Any]:
    if not (deployment.configuration.get("deploymentCircuitBreaker") or {}).get("enable"):
        status = "DISABLED"
    elif deployment.breaker_tripped:
        status = "TRIGGERED"
    else:
        status = "MONITORING" if deployment.under_way else "MONITORING_COMPLETE"
    threshold = ecs_scheduler.failure_threshold(service)
    return {"status": status, "failureCount": deployment.failed_tasks, "threshold": threshold}


def _revision(world: World, service: Service, revision: Revision) -> dict[str, Any]:
    definition = ecs_tasks.task_definition(world, revision.task_definition)
    images = [
        {"containerName": one["name"], "image": one["image"]}
        | ({"imageDigest": revision.digests[one["name"]]} if one["name"] in revision.digests else {})
        for one in definition.container_definitions
    ]
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": service.arn,
        "clusterArn": ecs_tasks.arn(world, "cluster", service.cluster),
        "taskDefinition": revision.task_definition,
        "launchType": service.stated.get("launchType", "EC2"),
        "containerImages": images,
        "createdAt": revision.created_at,
    }
