"""A service of Amazon ECS as its API shows it."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import ecs_tasks
from deployments.sandbox.ecs_state import Deployment, Rollout, Service
from deployments.sandbox.world import World


def describe_service(world: World, service: Service, *, with_tags: bool = False) -> dict[str, Any]:
    """A service as DescribeServices shows it."""
    tasks = [one for one in world.ecs.tasks_of(service) if one.is_active]
    running = sum(one.is_running for one in tasks)
    deployment = service.deployment
    entry: dict[str, Any] = service.stated | {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": ecs_tasks.arn(world, "cluster", service.cluster),
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": running,
        "pendingCount": len(tasks) - running,
        "taskDefinition": service.primary.revision.task_definition,
        "deploymentController": {"type": service.controller},
        "deploymentConfiguration": service.configuration,
        "deployments": [],
        "events": service.events[:100],
        "createdAt": service.created_at,
        "schedulingStrategy": service.stated.get("schedulingStrategy", "REPLICA"),
    }
    if service.controller == "CODE_DEPLOY":
        entry["taskSets"] = [_task_set(world, service, one, deployment) for one in service.rollouts]
    else:
        entry["deployments"] = [_rollout(world, service, one) for one in service.rollouts]
        entry["currentServiceRevisions"] = [
            {"arn": one.revision.arn} | _counts(world, service, one) for one in service.rollouts
        ]
    if deployment and service.controller == "ECS":
        entry["currentServiceDeployment"] = deployment.arn
    if with_tags:
        entry["tags"] = ecs_tasks.backend(world).list_tags_for_resource(service.arn)
    return entry


def _counts(world: World, service: Service, rollout: Rollout) -> dict[str, int]:
    """How many tasks of a rollout were asked for, run and wait."""
    tasks = [one for one in world.ecs.tasks_of(service) if one.is_active and one.revision is rollout.revision]
    running = sum(one.is_running for one in tasks)
    asked = service.desired if rollout is service.primary else len(tasks)
    return {"requestedTaskCount": asked, "runningTaskCount": running, "pendingTaskCount": len(tasks) - running}


def _rollout(world: World, service: Service, rollout: Rollout) -> dict[str, Any]:
    number = _counts(world, service, rollout)
    return {
        "id": rollout.id,
        "status": rollout.status,
        "taskDefinition": rollout.revision.task_definition,
        "desiredCount": number["requestedTaskCount"],
        "pendingCount": number["pendingTaskCount"],
        "runningCount": number["runningTaskCount"],
        "failedTasks": rollout.failed_tasks,
        "createdAt": rollout.created_at,
        "updatedAt": rollout.updated_at,
        "launchType": service.stated.get("launchType", "EC2"),
        "rolloutState": rollout.state,
        "rolloutStateReason": rollout.reason or f"ECS deployment {rollout.id} in progress.",
    }


def _task_set(world: World, service: Service, rollout: Rollout, deployment: Deployment | None) -> dict[str, Any]:
    """A CODE_DEPLOY service's tasks of one revision; the one that is being brought is not primary before its end."""
    number = _counts(world, service, rollout)
    coming = deployment is not None and rollout.revision is deployment.target
    return {
        "id": rollout.id,
        "taskSetArn": ecs_tasks.arn(world, "task-set", service.cluster, service.name, rollout.id),
        "serviceArn": service.arn,
        "clusterArn": ecs_tasks.arn(world, "cluster", service.cluster),
        "status": "ACTIVE" if coming or (not deployment and rollout is not service.primary) else "PRIMARY",
        "startedBy": "CODE_DEPLOY",
        "taskDefinition": rollout.revision.task_definition,
        "computedDesiredCount": number["requestedTaskCount"],
        "pendingCount": number["pendingTaskCount"],
        "runningCount": number["runningTaskCount"],
        "createdAt": rollout.created_at,
        "updatedAt": rollout.updated_at,
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if not number["pendingTaskCount"] else "STABILIZING",
    }
