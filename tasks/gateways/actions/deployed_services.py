"""What every deployment of a service begins with: the service as it is, and what the step wants of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from runbooks.steps.containment import OPERATION_TAG
from runbooks.steps.image_deployment import DeployByCodeDeploy, DeployService
from tasks.gateways import ecs
from tasks.gateways.actions.base import Look, Place, gone
from tasks.gateways.bulk import HUNDRED, portions

Members = Mapping[str, Any]
Deployment = DeployService | DeployByCodeDeploy
DeploymentT = TypeVar("DeploymentT", DeployService, DeployByCodeDeploy)

BY_THE_PLAN = "@operation"
_MAKES_A_REVISION = "register-task-definition"
_CONTROLLERS = {"ECS": "ECS itself", "CODE_DEPLOY": "CodeDeploy"}
_ALARM_TYPES = ("MetricAlarm", "CompositeAlarm")
"""DescribeAlarms gives metric alarms alone to whom does not say."""


@dataclass(frozen=True)
class DeployedService(Generic[DeploymentT]):
    """A service as it was found, with what a step wants of it."""

    step: DeploymentT
    raw: Members
    live: str
    """The task definition that it wants to run."""
    wanted: str
    """The one that the step brings."""
    expected: str | None
    """The one that the step takes the place of; None where that is not known."""
    found: dict[str, Any]

    def look(self, status: Any, detail: str = "", **result: Any) -> Look:
        made = {"task_definition": self.wanted} | {name: value for name, value in result.items() if value}
        return Look(status=status, found=self.found, detail=detail, result=made)


def read_deployed(
    place: Place, steps: Sequence[DeploymentT], operations: Mapping[str, str], controller: str
) -> dict[str, DeployedService[DeploymentT] | Look]:
    """Step key -> its service, or the look where there is nothing that this controller could deploy."""
    client = place.reading("ecs")
    found: dict[str, DeployedService[DeploymentT] | Look] = {}
    for cluster, here in groupby(sorted(steps, key=_cluster_of), key=_cluster_of):
        alike = list(here)
        services = ecs.read_services(client, cluster, [step.service for step in alike])
        for step in alike:
            raw = services.get(step.service)
            found[step.key] = gone(named(step)) if raw is None else _read(client, step, raw, operations, controller)
    return found


def untouched(client: Any, service: DeployedService[Any]) -> Look:
    """The look at a service to which nothing is being deployed, nor was by the step."""
    step = service.step
    if service.live == service.wanted:
        return service.look("as-left")
    if service.live != service.expected and not (
        step.undoes and service.expected is None and _is_ours(client, service.live)
    ):
        detail = f"{named(step)} has {short(service.live)}, and the plan found {short(step.expects)}"
        return service.look("drifted", detail)
    if not step.undoes and ecs.live_revisions(service.raw) != step.revisions:
        # A forced deployment brings a newer image under the same tag, and so the same task definition.
        return service.look("drifted", f"{named(step)} was deployed again since the plan was made")
    return service.look("as-expected")


def unless_raised(
    place: Place, steps: Sequence[Deployment], looks: Mapping[str, Look], alarms: Mapping[str, Sequence[str]]
) -> dict[str, Look]:
    """Without what cannot begin: no alarm that is raised already leads back.

    What puts back is not kept from it: a raised alarm may be the very reason.

    Args:
        alarms: step key -> those that are to watch.
    """
    beginning = [step.key for step in steps if not step.undoes and looks[step.key].status == "as-expected"]
    states = _states(place, {name for key in beginning for name in alarms[key]})
    found = dict(looks)
    for key in beginning:
        raised = sorted(name for name in alarms[key] if states.get(name) == "ALARM")
        missing = sorted(name for name in alarms[key] if name not in states)
        words = [f"alarm {name} is raised before anything has begun" for name in raised]
        words += [f"alarm {name} does not exist, so that nothing watches" for name in missing]
        if words:
            found[key] = looks[key].model_copy(update={"status": "drifted", "detail": "; ".join(words)})
    return found


def named(step: Deployment) -> str:
    """The step's service, in words."""
    return f"service {step.service}"


def short(arn: str | None) -> str:
    """Family and revision, which is how people call it."""
    return "a task definition that ECS does not tell" if arn is None else arn.rpartition("/")[2]


def _read(
    client: Any, step: DeploymentT, raw: Members, operations: Mapping[str, str], controller: str
) -> DeployedService[DeploymentT] | Look:
    live = ecs.live_definition(raw)
    found = {
        "task_definition": live,
        "revisions": list(ecs.live_revisions(raw)),
        "configuration": dict(raw.get("deploymentConfiguration") or {}),
        "desired": raw.get("desiredCount"),
        "running": raw.get("runningCount"),
    }
    if (other := ecs.controller_of(raw)) != controller:
        who = _CONTROLLERS.get(other, "an external controller")
        detail = f"{named(step)} is deployed by {who}, and not by {_CONTROLLERS[controller]}"
        return Look(status="drifted", found=found, detail=detail)
    wanted = _revision(client, step, step.leaves, operations)
    if wanted is None:
        detail = f"{step.family} has no revision that this plan has made for {named(step)}"
        return Look(status="drifted", found=found, detail=detail)
    return DeployedService(step, raw, live, wanted, _revision(client, step, step.expects, operations), found)


def _revision(client: Any, step: Deployment, called: str, operations: Mapping[str, str]) -> str | None:
    """The ARN of a task definition: the one of the plan's own step is found by the operation in its tags."""
    if called != BY_THE_PLAN:
        return called
    source = step.expects if called == step.leaves else step.leaves
    operation = operations.get(f"{_MAKES_A_REVISION}:{step.target.account}/{step.target.region}/{source}")
    found = ecs.find_revision(client, step.family, source, operation) if operation else None
    return None if found is None else str(found["taskDefinitionArn"])


def _is_ours(client: Any, arn: str) -> bool:
    """Whether an operation of this system made the revision, whatever its plan."""
    found = ecs.read_definition(client, arn)
    return found is not None and OPERATION_TAG in ecs.named_tags(found["tags"])


def _states(place: Place, names: Collection[str]) -> dict[str, str]:
    """Alarm -> OK, ALARM or INSUFFICIENT_DATA; what does not exist is absent. A call for a hundred."""
    found: dict[str, str] = {}
    for portion in portions(sorted(names), HUNDRED):
        listed = place.reading("cloudwatch").get_paginator("describe_alarms")
        for page in listed.paginate(AlarmNames=list(portion), AlarmTypes=list(_ALARM_TYPES)):
            raws = [*(page.get("MetricAlarms") or ()), *(page.get("CompositeAlarms") or ())]
            found |= {raw["AlarmName"]: raw["StateValue"] for raw in raws}
    return found


def _cluster_of(step: Deployment) -> str:
    return step.cluster
