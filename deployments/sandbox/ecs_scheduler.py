"""The scheduler of Amazon ECS services: it keeps the wanted number of tasks of the wanted revision.

ECS API reference, DeploymentConfiguration: minimumHealthyPercent and maximumPercent limit how many tasks run while
others take their places, the first rounded up, the second down.
"""

from __future__ import annotations

import math
import uuid
from datetime import timedelta

from deployments.sandbox import ecs_tasks
from deployments.sandbox.ecs_state import Revision, Rollout, Service, Task
from deployments.sandbox.world import World

_FEWEST_FAILURES, _MOST_FAILURES = 3, 200


def set_primary(world: World, service: Service, revision: Revision) -> Rollout:
    """Make a revision what the service wants to run; the former ones stay on the list while they have tasks."""
    rollout = Rollout(f"ecs-svc/{str(uuid.uuid4().int)[:19]}", revision, world.now, world.now)
    service.rollouts = [rollout, *(former for former in service.rollouts if former.revision is not revision)]
    for former in service.rollouts[1:]:
        former.status = "ACTIVE"
    return rollout


def roll(world: World, service: Service) -> bool:
    """Replace a batch of tasks by those of the primary revision, within the limits; whether none is left to replace."""
    configuration = service.configuration
    least = math.ceil(service.desired * configuration["minimumHealthyPercent"] / 100)
    most = math.floor(service.desired * configuration["maximumPercent"] / 100)
    own, others = _sides(world, service)
    running = sum(one.is_running for one in own)
    spare = max(running - service.desired, 0)
    replaceable = [one for one in others if one.is_running]
    dispensable = max(running - spare + len(replaceable) - least, 0)
    for task in (*own[:spare], *(one for one in others if not one.is_running), *replaceable[:dispensable]):
        _stop(world, task)
    own, others = _sides(world, service)
    room = most - len(others)
    done = start(world, service, min(service.desired, room))
    return done and not others and len(own) >= service.desired


def start(world: World, service: Service, wanted: int) -> bool:
    """Start what lacks of so many tasks of the primary revision; whether all of them run."""
    own, _ = _sides(world, service)
    missing = wanted - len(own)
    pause = timedelta(seconds=world.settings.task_backoff)
    backing_off = keeps_failing(service) and service.tried_at is not None and world.now - service.tried_at < pause
    if missing > 0 and not backing_off:
        service.tried_at = world.now
        for _ in range(missing):
            ecs_tasks.start_task(world, service.cluster, service.group, service.primary.revision, service.primary)
    return missing <= 0 and sum(one.is_running for one in own) >= wanted


def keeps_failing(service: Service) -> bool:
    """Whether so many of its tasks could not start that ECS waits before it tries again."""
    return bool(service.rollouts) and service.primary.failed_tasks >= failure_threshold(service)


def failure_threshold(service: Service) -> int:
    """How many tasks may fail to start before the circuit breaker trips."""
    stated = (service.configuration.get("deploymentCircuitBreaker") or {}).get("thresholdConfiguration") or {}
    value = int(stated.get("value", 50))
    kind = stated.get("type", "BOUNDED_PERCENT")
    if kind == "COUNT":
        return value
    share = math.ceil(service.desired * value / 100)
    return share if kind == "UNBOUNDED_PERCENT" else min(max(share, _FEWEST_FAILURES), _MOST_FAILURES)


def forget(world: World, service: Service) -> None:
    """Drop the rollouts that have no task any more, and tasks stopped long ago."""
    ecs_tasks.forget_stopped(world, service)
    active = {id(one.revision) for one in world.ecs.tasks_of(service) if one.is_active}
    service.rollouts = [one for one in service.rollouts if one is service.primary or id(one.revision) in active]


def _sides(world: World, service: Service) -> tuple[list[Task], list[Task]]:
    """The active tasks of the primary revision, and those of any other."""
    active = [one for one in world.ecs.tasks_of(service) if one.is_active]
    own = [one for one in active if one.revision is service.primary.revision]
    return own, [one for one in active if one.revision is not service.primary.revision]


def _stop(world: World, task: Task) -> None:
    ecs_tasks.stop_task(world, task, "ServiceSchedulerInitiated", "Scaling activity initiated by deployment")
