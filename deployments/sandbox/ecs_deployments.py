"""How a service deployment of Amazon ECS goes: its stages, what it watches, and its way back.

Amazon ECS developer guide, "Amazon ECS service deployment controllers and strategies": a rolling update replaces tasks
in batches; blue/green, linear and canary start all new tasks beside the old ones, shift the traffic, bake, and only
then stop the old. The circuit breaker counts tasks that cannot start; an alarm in ALARM before the bake is over fails
the deployment; both roll back to the revision that was completed last when asked to.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from deployments.sandbox import alarms, ecs_scheduler, ecs_strategy, ecs_tasks
from deployments.sandbox.ecs_state import Deployment, Revision, Service, Step
from deployments.sandbox.world import World


def begin(
    world: World, service: Service, revision: Revision, configuration: dict[str, Any] | None = None
) -> Deployment:
    """Start to bring a revision to a service; a deployment that is under way is given up for it.

    Args:
        configuration: how to deploy, when it is not the service that says so.
    """
    earlier = service.deployment
    source = earlier.source if earlier else (service.primary.revision if service.rollouts else None)
    if earlier:
        _end(world, earlier, "STOPPED", "The service deployment was replaced by a newer one.")
    configuration = configuration or service.configuration
    deployment = Deployment(
        arn=ecs_tasks.arn(world, "service-deployment", service.cluster, service.name, uuid.uuid4().hex[:22]),
        source=source,
        target=revision,
        configuration=configuration,
        created_at=world.now,
        steps=ecs_strategy.steps(world, configuration) if source else [Step("SCALE_UP", 100.0, 0.0)],
        step_since=world.now,
        watched=ecs_strategy.watched(world, configuration),
    )
    service.tried_at = None
    service.deployments.append(deployment)
    ecs_scheduler.set_primary(world, service, revision)
    tend(world, service)
    return deployment


def tend(world: World, service: Service) -> None:
    """Have the service looked after until it is as it should be and nothing is being deployed."""
    if service.is_tended:
        return
    service.is_tended = True

    def look() -> None:
        service.is_tended = False
        if service.status != "ACTIVE":
            return
        deployment = service.deployment
        if deployment:
            _advance(world, service, deployment)
        if deployment or not _is_settled(world, service):
            tend(world, service)
        ecs_scheduler.forget(world, service)

    world.clock.after(_pause(world, service), look)


def request_rollback(world: World, service: Service, deployment: Deployment) -> None:
    """Have a deployment go back because somebody asked for it."""
    deployment.status, deployment.updated_at = "ROLLBACK_REQUESTED", world.now
    deployment.back_because = "Rollback requested by user."
    tend(world, service)


def abandon(world: World, service: Service, deployment: Deployment, reason: str) -> None:
    """End a deployment where it is, with old and new tasks side by side."""
    service.primary.state, service.primary.reason = "FAILED", reason
    _end(world, deployment, "STOPPED", reason)
    _say(world, service, f"(deployment {service.primary.id}) deployment failed: {reason}")


def _is_settled(world: World, service: Service) -> bool:
    """Keep the service at its number of tasks; whether it has them. A failed revision gets no new ones."""
    return service.primary.state == "FAILED" or ecs_scheduler.roll(world, service)


def _pause(world: World, service: Service) -> float:
    """Seconds until the next look; longer while nothing but tasks that cannot start is to be done."""
    idle = service.deployment is None and ecs_scheduler.keeps_failing(service)
    return world.settings.task_backoff if idle else world.settings.deployment_look


def _advance(world: World, service: Service, deployment: Deployment) -> None:
    if deployment.status == "ROLLBACK_REQUESTED":
        _go_back(world, service, deployment)
    elif deployment.goes_back:
        _finish_going_back(world, service, deployment)
    elif not _has_failed(world, service, deployment):
        deployment.status = "IN_PROGRESS"
        deployment.failed_tasks = service.primary.failed_tasks
        _go_on(world, service, deployment)


def _has_failed(world: World, service: Service, deployment: Deployment) -> bool:
    """Whether an alarm or the circuit breaker ended it just now; what follows from that has begun then."""
    breaker = deployment.configuration.get("deploymentCircuitBreaker") or {}
    deployment.failed_tasks = service.primary.failed_tasks
    deployment.triggered = [] if _is_at(deployment, "CLEAN_UP") else alarms.raised(world, deployment.watched)
    if deployment.triggered:
        names = ", ".join(deployment.triggered)
        _fail(world, service, deployment, f"CloudWatch alarm in ALARM: {names}.", deployment.configuration["alarms"])
        return True
    if breaker.get("enable") and deployment.failed_tasks >= ecs_scheduler.failure_threshold(service):
        deployment.breaker_tripped = True
        _fail(world, service, deployment, "ECS deployment circuit breaker: tasks failed to start.", breaker)
        return True
    return False


def _fail(world: World, service: Service, deployment: Deployment, reason: str, monitor: dict[str, Any]) -> None:
    if monitor.get("rollback") and deployment.source:
        deployment.back_because = reason
        _go_back(world, service, deployment)
        return
    abandon(world, service, deployment, reason)


def _go_back(world: World, service: Service, deployment: Deployment) -> None:
    deployment.back_since = world.now
    deployment.status, deployment.reason, deployment.traffic = "ROLLBACK_IN_PROGRESS", deployment.back_because, 0.0
    deployment.updated_at = world.now
    failed = service.primary
    failed.state, failed.reason = "FAILED", deployment.back_because
    if deployment.source is None:
        _end(world, deployment, "ROLLBACK_FAILED", "There is no completed service revision to roll back to.")
        return
    back = ecs_scheduler.set_primary(world, service, deployment.source)
    back.reason = f"{deployment.back_because} Rolling back to {back.id}."
    _say(world, service, f"(deployment {failed.id}) deployment failed: {deployment.back_because}")
    _finish_going_back(world, service, deployment)


def _finish_going_back(world: World, service: Service, deployment: Deployment) -> None:
    if ecs_scheduler.roll(world, service):
        _complete(world, service)
        _end(world, deployment, "ROLLBACK_SUCCESSFUL", deployment.back_because)
    elif ecs_scheduler.keeps_failing(service):
        service.primary.state = "FAILED"
        _end(world, deployment, "ROLLBACK_FAILED", "Tasks of the former service revision failed to start.")


def _go_on(world: World, service: Service, deployment: Deployment) -> None:
    """Do the work of the present stage, and go to the next when it is done and its time is over."""
    step = deployment.steps[0]
    if step.stage == "SCALE_UP" and not _scale_up(world, service, deployment):
        deployment.step_since = world.now
        return
    deployment.traffic = step.traffic
    if world.now - deployment.step_since < timedelta(seconds=step.seconds):
        return
    if len(deployment.steps) > 1:
        deployment.steps.pop(0)
        deployment.step_since = deployment.updated_at = world.now
        deployment.traffic = deployment.steps[0].traffic
    elif ecs_scheduler.roll(world, service):
        _complete(world, service)
        _end(world, deployment, "SUCCESSFUL", "")


def _scale_up(world: World, service: Service, deployment: Deployment) -> bool:
    """Bring up the new tasks: in batches that replace the old ones, or all of them beside those."""
    if deployment.configuration["strategy"] == "ROLLING":
        return ecs_scheduler.roll(world, service)
    return ecs_scheduler.start(world, service, service.desired)


def _complete(world: World, service: Service) -> None:
    primary = service.primary
    primary.state, primary.updated_at = "COMPLETED", world.now
    primary.reason = f"ECS deployment {primary.id} completed."
    _say(world, service, f"(deployment {primary.id}) deployment completed.")
    _say(world, service, "has reached a steady state.")


def _end(world: World, deployment: Deployment, status: str, reason: str) -> None:
    deployment.status, deployment.reason = status, reason
    deployment.finished_at = deployment.updated_at = world.now
    if status == "STOPPED":
        deployment.stopped_at = world.now


def _is_at(deployment: Deployment, stage: str) -> bool:
    return deployment.steps[0].stage == stage


def _say(world: World, service: Service, message: str) -> None:
    event = {"id": str(uuid.uuid4()), "createdAt": world.now, "message": f"(service {service.name}) {message}"}
    service.events.insert(0, event)
