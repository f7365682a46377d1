"""Tasks of Amazon ECS as its API lists, shows, runs and stops them."""

from __future__ import annotations

from typing import Any

from deployments.sandbox import ecs_deployments, ecs_tasks
from deployments.sandbox.ecs_services import cluster_name
from deployments.sandbox.ecs_state import Task
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_MOST_TASKS = 100
_MOST_AT_ONCE = 10


@operation("ecs", "ListTasks")
def list_tasks(call: Call) -> dict[str, Any]:
    """The ARNs of a cluster's tasks that match every given filter; only those meant to run unless asked otherwise."""
    params = call.params
    cluster = cluster_name(call.world, params.get("cluster"))
    wanted = {
        "desired": params.get("desiredStatus") or "RUNNING",
        "group": f"service:{params['serviceName'].rpartition('/')[2]}" if params.get("serviceName") else None,
        "started_by": params.get("startedBy"),
        "launch_type": params.get("launchType"),
    }
    family = params.get("family")
    arns = [
        task.arn
        for task in call.world.ecs.tasks.values()
        if task.cluster == cluster
        and all(value in (None, getattr(task, name)) for name, value in wanted.items())
        and (family is None or task.task_definition.rpartition("/")[2].partition(":")[0] == family)
    ]
    return page(call, arns, result="taskArns", token="nextToken", limit="maxResults", most=_MOST_TASKS)


@operation("ecs", "DescribeTasks")
def describe_tasks(call: Call) -> dict[str, Any]:
    """Tasks by id or ARN; those that are not there are failures."""
    world = call.world
    cluster = cluster_name(world, call.params.get("cluster"))
    if not 1 <= len(call.params["tasks"]) <= _MOST_TASKS:
        raise AwsError("InvalidParameterException", "Tasks cannot be empty, nor more than 100.")
    tasks, failures = [], []
    for wanted in call.params["tasks"]:
        arn = ecs_tasks.arn(world, "task", cluster, wanted.rpartition("/")[2])
        if arn in world.ecs.tasks:
            tasks.append(_describe(world, world.ecs.tasks[arn]))
        else:
            failures.append({"arn": wanted if wanted.startswith("arn:") else arn, "reason": "MISSING"})
    return {"tasks": tasks, "failures": failures}


@operation("ecs", "RunTask")
def run_task(call: Call) -> dict[str, Any]:
    """Start tasks that belong to no service."""
    params, world = call.params, call.world
    cluster = cluster_name(world, params.get("cluster"))
    definition = ecs_tasks.task_definition(world, params["taskDefinition"])
    count = int(params.get("count") or 1)
    if not 1 <= count <= _MOST_AT_ONCE:
        raise AwsError("InvalidParameterException", "count must be between 1 and 10.")
    group = params.get("group") or f"family:{definition.family}"
    tasks = []
    for _ in range(count):
        revision = ecs_tasks.new_revision(world, cluster, group, definition.arn)
        task = ecs_tasks.start_task(world, cluster, group, revision)
        task.started_by, task.launch_type = params.get("startedBy") or "", params.get("launchType") or "FARGATE"
        tasks.append(_describe(world, task))
    return {"tasks": tasks, "failures": []}


@operation("ecs", "StopTask")
def stop_task(call: Call) -> dict[str, Any]:
    """Stop a task; its service starts another."""
    world = call.world
    cluster = cluster_name(world, call.params.get("cluster"))
    task = world.ecs.tasks.get(ecs_tasks.arn(world, "task", cluster, call.params["task"].rpartition("/")[2]))
    if task is None:
        raise AwsError("InvalidParameterException", "The referenced task was not found.")
    if task.is_active:
        ecs_tasks.stop_task(world, task, "UserInitiated", call.params.get("reason") or "Task stopped by user")
    service = world.ecs.services.get((cluster, task.group.removeprefix("service:")))
    if service and task.group == service.group:
        ecs_deployments.tend(world, service)
    return {"task": _describe(world, task)}


def _describe(world: World, task: Task) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "taskArn": task.arn,
        "clusterArn": ecs_tasks.arn(world, "cluster", task.cluster),
        "taskDefinitionArn": task.task_definition,
        "group": task.group,
        "startedBy": task.started_by,
        "launchType": task.launch_type,
        "lastStatus": task.status,
        "desiredStatus": task.desired,
        "healthStatus": "UNKNOWN",
        "createdAt": task.created_at,
        "containers": [_container(task, number) for number in range(len(task.containers))],
        "version": 1,
    }
    times = {"startedAt": task.started_at, "stoppedAt": task.stopped_at, "stopCode": task.stop_code}
    entry |= {name: value for name, value in times.items() if value}
    if task.stopped_reason:
        entry["stoppedReason"] = task.stopped_reason
    return entry


def _container(task: Task, number: int) -> dict[str, Any]:
    container = task.containers[number]
    entry = {
        "containerArn": f"{task.arn.replace(':task/', ':container/')}/{number}",
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "lastStatus": "PENDING" if task.status == "PROVISIONING" else task.status,
        "healthStatus": "UNKNOWN",
    }
    if container.digest:
        entry["imageDigest"] = container.digest
    if task.stopped_reason:
        entry["reason"] = task.stopped_reason
    return entry
