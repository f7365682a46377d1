"""A service of Amazon ECS as its API shows it."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import ecs_tasks
from deployments.sandbox.ecs_state import Rollout, Service
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
        entry["taskDefinition"] = _serving(service).revision.task_definition
        entry["taskSets"] = [_task_set(world, service, one) for one in service.rollouts]
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


def _serving(service: Service) -> Rollout:
    """The rollout that has the traffic of a CODE_DEPLOY service: that of the new revision only once it has it all."""
    last = service.deployments[-1] if service.deployments else None
    if last is None or last.traffic == 100.0 or last.target is not service.primary.revision:
        return service.primary
    return next((one for one in service.rollouts if one.revision is last.source), service.primary)


def _task_set(world: World, service: Service, rollout: Rollout) -> dict[str, Any]:
    """A CODE_DEPLOY service's tasks of one revision: the very same set has the traffic again after a way back."""
    number, name = _counts(world, service, rollout), f"ecs-svc/{rollout.revision.arn.rpartition('/')[2]}"
    return {
        "id": name,
        "taskSetArn": ecs_tasks.arn(world, "task-set", service.cluster, service.name, name),
        "serviceArn": service.arn,
        "clusterArn": ecs_tasks.arn(world, "cluster", service.cluster),
        "status": "PRIMARY" if rollout is _serving(service) else "ACTIVE",
        "startedBy": "CODE_DEPLOY",
        "taskDefinition": rollout.revision.task_definition,
        "loadBalancers": service.stated.get("loadBalancers", []),
        "platformVersion": service.stated.get("platformVersion", "LATEST"),
        "computedDesiredCount": number["requestedTaskCount"],
        "pendingCount": number["pendingTaskCount"],
        "runningCount": number["runningTaskCount"],
        "createdAt": rollout.created_at,
        "updatedAt": rollout.updated_at,
        "scale": {"value": 100.0, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if not number["pendingTaskCount"] else "STABILIZING",
    }
