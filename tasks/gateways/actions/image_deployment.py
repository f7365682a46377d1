"""Bringing a patched image to ECS: a revision of the task definition, and a deployment that may go back by itself.

ECS judges a deployment by the alarms that it watches and by its circuit breaker, and goes back to the revision that was
completed last (developer guide, "Amazon ECS deployment failure detection"). It says so in the service deployment, and
nowhere else: the service itself looks afterwards as if nothing had been tried.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from runbooks.steps.containment import OPERATION_TAG
from runbooks.steps.image_deployment import DeployService, RegisterTaskDefinition
from tasks.gateways import ecs
from tasks.gateways.actions.base import CASE_TAG, AwsAction, Look, Place, gone
from tasks.gateways.bulk import HUNDRED, portions

Members = Mapping[str, Any]

_BY_THE_PLAN = "@operation"
_MAKES_A_REVISION = "register-task-definition"
_UNDER_WAY = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
_GOES_BACK = ("STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
_ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")
"""DescribeAlarms gives metric alarms alone to whom does not say."""


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
        looks: dict[str, Look] = {}
        for cluster, here in groupby(sorted(steps, key=_cluster_of), key=_cluster_of):
            alike = list(here)
            services = ecs.read_services(client, cluster, [step.service for step in alike])
            for step in alike:
                service = services.get(step.service)
                looks[step.key] = _look_at(place, step, service, operations) if service else gone(_name(step))
        return _unless_raised(place, steps, looks)

    def _act(self, place: Place, step: DeployService, operation: str, look: Look) -> dict[str, Any]:
        configured = {"deploymentConfiguration": step.configuration} if step.configuration else {}
        wanted = look.result["task_definition"]
        answer = place.acting("ecs", step).update_service(
            cluster=step.cluster, service=step.service, taskDefinition=wanted, **configured
        )
        return {"task_definition": wanted, "deployment": answer["service"].get("currentServiceDeployment")}


class _Service(NamedTuple):
    """A service as it was found, with what the step wants of it."""

    step: DeployService
    raw: Members
    live: str
    """The task definition that it wants to run."""
    wanted: str
    """The one that the step brings."""
    found: dict[str, Any]

    def look(self, status: Any, detail: str = "", **result: Any) -> Look:
        made = {"task_definition": self.wanted} | {name: value for name, value in result.items() if value}
        return Look(status=status, found=self.found, detail=detail, result=made)


def _look_at_revision(client: Any, step: RegisterTaskDefinition, operation: str) -> Look:
    ours = ecs.find_revision(client, step.family, step.source, operation)
    if ours is not None:
        arn = ours["taskDefinitionArn"]
        images = {one["name"]: one["image"] for one in ours["containerDefinitions"]}
        if all(images.get(name) == step.image for name in step.containers):
            return Look(status="as-left", found={"revision": arn}, result={"task_definition": arn})
        return Look(status="drifted", found={"revision": arn}, detail=f"{_short(arn)} does not have {step.image}")
    source = ecs.read_definition(client, step.source)
    if source is None:
        return gone(_short(step.source))
    missing = set(step.containers) - {one["name"] for one in source["containerDefinitions"]}
    if missing:
        detail = f"{_short(step.source)} has no container {', '.join(sorted(missing))}"
        return Look(status="drifted", found={"revision": None}, detail=detail)
    return Look(status="as-expected", found={"revision": None})


def _look_at(place: Place, step: DeployService, raw: Members, operations: Mapping[str, str]) -> Look:
    client, live = place.reading("ecs"), ecs.live_definition(raw)
    found = {
        "task_definition": live,
        "configuration": dict(raw.get("deploymentConfiguration") or {}),
        "desired": raw.get("desiredCount"),
        "running": raw.get("runningCount"),
    }
    controller = ecs.controller_of(raw)
    if controller != "ECS":
        who = "CodeDeploy" if controller == "CODE_DEPLOY" else "an external controller"
        return Look(status="drifted", found=found, detail=f"{_name(step)} is deployed by {who}, and not by ECS itself")
    wanted = _revision(client, step, step.leaves, operations)
    if wanted is None:
        detail = f"{step.family} has no revision that this plan has made for {_name(step)}"
        return Look(status="drifted", found=found, detail=detail)
    service = _Service(step, raw, live, wanted, found)
    history = ecs.read_history(client, raw["clusterArn"], step.service)
    expected = _revision(client, step, step.expects, operations)
    if history and history[0].status in _UNDER_WAY:
        return _under_way(client, service, history[0], expected)
    # Of a revision that this plan has made every deployment is this plan's; of any other only the newest may be.
    ours = next((one for one in _candidates(step, history) if one.task_definition == wanted), None)
    if ours is not None:
        return _ended(client, service, ours)
    return _untouched(client, service, expected)


def _candidates(step: DeployService, history: Sequence[ecs.Brief]) -> Sequence[ecs.Brief]:
    return history if step.leaves == _BY_THE_PLAN else history[:1]


def _under_way(client: Any, service: _Service, newest: ecs.Brief, expected: str | None) -> Look:
    step = service.step
    raw = ecs.read_deployment(client, newest.arn)
    if newest.task_definition == service.wanted:
        words = _back_words(raw) if newest.status in _GOES_BACK else _progress(raw)
        return service.look("in-progress", words, deployment=newest.arn, stage=raw.get("lifecycleStage"))
    detail = f"another deployment of {_name(step)} is under way, of {_short(newest.task_definition)}: {_progress(raw)}"
    if not step.undoes:
        return service.look("drifted", detail)
    if newest.task_definition == expected and newest.status not in _GOES_BACK:
        # What is to be undone is not waited for: a new deployment takes its place.
        return service.look("as-expected")
    return service.look("in-progress", detail)


def _ended(client: Any, service: _Service, ours: ecs.Brief) -> Look:
    """What became of the deployment that the step has started."""
    name, live = _name(service.step), _short(service.live)
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


def _untouched(client: Any, service: _Service, expected: str | None) -> Look:
    """The look at a service of which ECS tells no deployment of what is wanted, or tells none any more."""
    step, rollout = service.step, ecs.primary(service.raw)
    if service.live == service.wanted:
        state = rollout.get("rolloutState", "COMPLETED")
        status = {"COMPLETED": "as-left", "FAILED": "failed"}.get(state, "in-progress")
        return service.look(status, "" if status == "as-left" else str(rollout.get("rolloutStateReason", state)))
    if service.live != expected and not (step.undoes and expected is None and _is_ours(client, service.live)):
        detail = f"{_name(step)} has {_short(service.live)}, and the plan found {_short(step.expects)}"
        return service.look("drifted", detail)
    if not step.undoes and step.replaces and service.found["configuration"] != step.replaces:
        detail = f"how {_name(step)} is deployed has been changed since the plan was made"
        return service.look("drifted", detail)
    return service.look("as-expected")


def _unless_raised(place: Place, steps: Sequence[DeployService], looks: Mapping[str, Look]) -> dict[str, Look]:
    """Without what cannot begin: ECS watches no alarm that is raised already, and then nothing would lead back.

    What puts back is not kept from it: a raised alarm may be the very reason.
    """
    watched = {
        step.key: _alarms_of(step) for step in steps if not step.undoes and looks[step.key].status == "as-expected"
    }
    states = _states(place, {name for names in watched.values() for name in names})
    found = dict(looks)
    for key, names in watched.items():
        raised = sorted(name for name in names if states.get(name) == "ALARM")
        missing = sorted(name for name in names if name not in states)
        words = [f"alarm {name} is raised before anything has begun" for name in raised]
        words += [f"alarm {name} does not exist, so that nothing watches" for name in missing]
        if words:
            found[key] = looks[key].model_copy(update={"status": "drifted", "detail": "; ".join(words)})
    return found


def _states(place: Place, names: Collection[str]) -> dict[str, str]:
    """Alarm -> OK, ALARM or INSUFFICIENT_DATA; what does not exist is absent. A call for a hundred."""
    found: dict[str, str] = {}
    for portion in portions(sorted(names), HUNDRED):
        listed = place.reading("cloudwatch").get_paginator("describe_alarms")
        for page in listed.paginate(AlarmNames=list(portion), AlarmTypes=list(_ALARM_TYPES)):
            raws = [*(page.get("MetricAlarms") or ()), *(page.get("CompositeAlarms") or ())]
            found |= {raw["AlarmName"]: raw["StateValue"] for raw in raws}
    return found


def _alarms_of(step: DeployService) -> tuple[str, ...]:
    alarms = step.configuration.get("alarms") or {}
    return tuple(alarms.get("alarmNames") or ()) if alarms.get("enable") else ()


def _revision(client: Any, step: DeployService, named: str, operations: Mapping[str, str]) -> str | None:
    """The ARN of a task definition: the one of the plan's own step is found by the operation in its tags."""
    if named != _BY_THE_PLAN:
        return named
    source = step.expects if named == step.leaves else step.leaves
    operation = operations.get(f"{_MAKES_A_REVISION}:{step.target.account}/{step.target.region}/{source}")
    found = ecs.find_revision(client, step.family, source, operation) if operation else None
    return None if found is None else str(found["taskDefinitionArn"])


def _is_ours(client: Any, arn: str) -> bool:
    """Whether an operation of this system made the revision, whatever its plan."""
    found = ecs.read_definition(client, arn)
    return found is not None and OPERATION_TAG in ecs.named_tags(found["tags"])


def _progress(raw: Members) -> str:
    """How far a deployment is, in words."""
    target, configuration = raw.get("targetServiceRevision") or {}, raw.get("deploymentConfiguration") or {}
    words = [f"{target.get('runningTaskCount', 0)} of {target.get('requestedTaskCount', 0)} tasks run"]
    if configuration.get("strategy", "ROLLING") != "ROLLING":
        words.append(f"with {target.get('requestedProductionTrafficWeight', 0):g} % of the traffic")
    stage = str(raw.get("lifecycleStage", raw.get("status", "PENDING")))
    if stage == "BAKE_TIME":
        words.append(f"baking for {configuration.get('bakeTimeInMinutes', 0)} minutes")
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


def _cluster_of(step: DeployService) -> str:
    return step.cluster


def _name(step: DeployService) -> str:
    return f"service {step.service}"


def _short(arn: str | None) -> str:
    """Family and revision, which is how people call it."""
    return "a task definition that ECS does not tell" if arn is None else arn.rpartition("/")[2]
