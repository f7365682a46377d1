"""Bringing a patched image to ECS: a revision of the task definition, and a deployment that may go back by itself.

ECS judges a deployment by the alarms that it watches and by its circuit breaker, and goes back to the revision that was
completed last (developer guide, "Amazon ECS deployment failure detection"). It says so in the service deployment, and
nowhere else: the service itself looks afterwards as if nothing had been tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.counting import counted
from runbooks.steps.containment import OPERATION_TAG
from runbooks.steps.image_deployment import DeployService, RegisterTaskDefinition
from tasks.gateways import ecs
from tasks.gateways.actions.base import CASE_TAG, AwsAction, Look, Place, gone
from tasks.gateways.actions.deployed_services import (
    BY_THE_PLAN,
    DeployedService,
    named,
    read_deployed,
    short,
    unless_raised,
    untouched,
)

Members = Mapping[str, Any]

_UNDER_WAY = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
_GOES_BACK = ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


class RegisterTaskDefinitionAction(AwsAction[RegisterTaskDefinition]):
    """Makes a revision that says in its tags which operation made it.

    What a task definition holds stays out of every look: its environment may have secrets in it.
    """

    def _look(
        self, place: Place, steps: Sequence[RegisterTaskDefinition], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client = place.reading("ecs")
        return {step.key: _look_at_revision(client, step, operations[step.key]) for step in steps}

    def _act(self, place: Place, step: RegisterTaskDefinition, operation: str, look: Look) -> dict[str, Any]:
        reading, client = place.reading("ecs"), place.acting("ecs", step)
        taken = client.meta.service_model.operation_model("RegisterTaskDefinition").input_shape.members
        source = ecs.read_definition(reading, step.source) or {}
        kept = {name: value for name, value in source.items() if name in taken and name != "tags"}
        containers = [
            {**one, "image": step.image} if one["name"] in step.containers else one
            for one in source.get("containerDefinitions") or ()
        ]
        tags = {**ecs.named_tags(source.get("tags")), OPERATION_TAG: operation, CASE_TAG: " ".join(step.cases)[:256]}
        marked = [{"key": key, "value": value} for key, value in tags.items() if not key.startswith("aws:")]
        answer = client.register_task_definition(**kept | {"containerDefinitions": containers, "tags": marked})
        return {"task_definition": answer["taskDefinition"]["taskDefinitionArn"]}


class DeployServiceAction(AwsAction[DeployService]):
    """Starts a deployment. A service has one at a time, and it names its task definition: by that it is found again."""

    def _look(self, place: Place, steps: Sequence[DeployService], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("ecs")
        read = read_deployed(place, steps, operations, "ECS")
        looks = {key: each if isinstance(each, Look) else _look_at(client, each) for key, each in read.items()}
        return unless_raised(place, steps, looks, {step.key: _alarms_of(step) for step in steps})

    def _act(self, place: Place, step: DeployService, operation: str, look: Look) -> dict[str, Any]:
        configured = {"deploymentConfiguration": step.configuration} if step.configuration else {}
        wanted = look.result["task_definition"]
        answer = place.acting("ecs", step).update_service(
            cluster=step.cluster, service=step.service, taskDefinition=wanted, **configured
        )
        return {"task_definition": wanted, "deployment": answer["service"].get("currentServiceDeployment")}


def _look_at_revision(client: Any, step: RegisterTaskDefinition, operation: str) -> Look:
    ours = ecs.find_revision(client, step.family, step.source, operation)
    if ours is not None:
        arn = ours["taskDefinitionArn"]
        images = {one["name"]: one["image"] for one in ours["containerDefinitions"]}
        if all(images.get(name) == step.image for name in step.containers):
            return Look(status="as-left", found={"revision": arn}, result={"task_definition": arn})
        return Look(status="drifted", found={"revision": arn}, detail=f"{short(arn)} does not have {step.image}")
    source = ecs.read_definition(client, step.source)
    if source is None:
        return gone(short(step.source))
    missing = set(step.containers) - {one["name"] for one in source["containerDefinitions"]}
    if missing:
        detail = f"{short(step.source)} has no container {', '.join(sorted(missing))}"
        return Look(status="drifted", found={"revision": None}, detail=detail)
    return Look(status="as-expected", found={"revision": None})


def _look_at(client: Any, service: DeployedService[DeployService]) -> Look:
    step = service.step
    history = ecs.read_history(client, service.raw["clusterArn"], step.service)
    if history and history[0].status in _UNDER_WAY:
        return _under_way(client, service, history[0])
    # Of a revision that this plan has made every deployment is this plan's; of any other only the newest may be.
    candidates = history if step.leaves == BY_THE_PLAN else history[:1]
    ours = next((one for one in candidates if one.task_definition == service.wanted), None)
    if ours is not None:
        return _ended(client, service, ours)
    return _not_deployed(client, service)


def _under_way(client: Any, service: DeployedService[DeployService], newest: ecs.Brief) -> Look:
    step = service.step
    raw = ecs.read_deployment(client, newest.arn)
    if newest.task_definition == service.wanted:
        words = _back_words(raw) if newest.status in _GOES_BACK else _progress(raw)
        return service.look("in-progress", words, deployment=newest.arn, stage=raw.get("lifecycleStage"))
    detail = f"another deployment of {named(step)} is under way, of {short(newest.task_definition)}: {_progress(raw)}"
    if not step.undoes:
        return service.look("drifted", detail)
    if newest.task_definition == service.expected and newest.status not in _GOES_BACK:
        # What is to be undone is not waited for: a new deployment takes its place.
        return service.look("as-expected")
    return service.look("in-progress", detail)


def _ended(client: Any, service: DeployedService[DeployService], ours: ecs.Brief) -> Look:
    """What became of the deployment that the step has started."""
    name, live = named(service.step), short(service.live)
    if ours.status == "SUCCESSFUL":
        if service.live == service.wanted:
            return service.look("as-left", deployment=ours.arn)
        return service.look("drifted", f"{name} has {live} since its deployment was complete", deployment=ours.arn)
    raw = ecs.read_deployment(client, ours.arn)
    raised, why = _raised_in(raw), _why(raw)
    words = {
        "ROLLBACK_SUCCESSFUL": f"ECS took {name} back to {live}: {why}",
        "ROLLBACK_FAILED": f"ECS could not take {name} back, and it is left with {live}: {why}",
    }.get(ours.status, f"the deployment of {name} was stopped, and it is left with {live}: {why}")
    return service.look("failed", words, deployment=ours.arn, went_back_to=service.live, alarms=raised)


def _not_deployed(client: Any, service: DeployedService[DeployService]) -> Look:
    """The look at a service of which ECS tells no deployment of what is wanted, or tells none any more."""
    rollout = ecs.primary(service.raw)
    if service.live == service.wanted and (state := rollout.get("rolloutState", "COMPLETED")) != "COMPLETED":
        status = "failed" if state == "FAILED" else "in-progress"
        return service.look(status, str(rollout.get("rolloutStateReason", state)))
    look, step = untouched(client, service), service.step
    changed = bool(step.replaces) and service.found["configuration"] != step.replaces
    if look.status == "as-expected" and changed and not step.undoes:
        return service.look("drifted", f"how {named(step)} is deployed has been changed since the plan was made")
    return look


def _alarms_of(step: DeployService) -> tuple[str, ...]:
    alarms = step.configuration.get("alarms") or {}
    return tuple(alarms.get("alarmNames") or ()) if alarms.get("enable") else ()


def _progress(raw: Members) -> str:
    """How far a deployment is, in words."""
    target, configuration = raw.get("targetServiceRevision") or {}, raw.get("deploymentConfiguration") or {}
    words = [f"{target.get('runningTaskCount', 0)} of {target.get('requestedTaskCount', 0)} tasks run"]
    if configuration.get("strategy", "ROLLING") != "ROLLING":
        words.append(f"with {target.get('requestedProductionTrafficWeight', 0):g} % of the traffic")
    stage = str(raw.get("lifecycleStage", raw.get("status", "PENDING")))
    if stage == "BAKE_TIME":
        words.append(f"baking for {counted(configuration.get('bakeTimeInMinutes', 0), 'minute')}")
    else:
        words.append(stage.lower().replace("_", " "))
    return ", ".join(words)


def _back_words(raw: Members) -> str:
    return f"it is going back: {_why(raw)}"


def _why(raw: Members) -> str:
    """Why a deployment ended, in words."""
    if raised := _raised_in(raw):
        return f"alarm {', '.join(raised)} was raised"
    breaker = raw.get("deploymentCircuitBreaker") or {}
    if breaker.get("status") == "TRIGGERED":
        return f"{breaker.get('failureCount', 0)} tasks failed to start (circuit breaker)"
    return str(raw.get("statusReason") or (raw.get("rollback") or {}).get("reason") or "ECS gives no reason")


def _raised_in(raw: Members) -> list[str]:
    return sorted((raw.get("alarms") or {}).get("triggeredAlarmNames") or ())
