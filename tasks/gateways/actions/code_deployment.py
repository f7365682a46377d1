"""Bringing a patched image to a service that CodeDeploy owns: a deployment on its group, which may go back by itself.

CreateDeployment has no token, so the deployment says in its description which operation made it, and is found by that
among the deployments of its group. A group has one at a time: another one is refused while it goes on. What failed, or
was stopped by an alarm, CodeDeploy takes back by a deployment of its own, which has the failed one's id (user guide,
"Redeploy and roll back a deployment with CodeDeploy").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from runbooks.steps.image_deployment import DeployByCodeDeploy
from tasks.gateways import codedeploy, ecs
from tasks.gateways.actions.base import AwsAction, Look, Place
from tasks.gateways.actions.deployed_services import (
    DeployedService,
    named,
    read_deployed,
    short,
    unless_raised,
    untouched,
)
from tasks.gateways.appspec import write_appspec

Members = Mapping[str, Any]
Service = DeployedService[DeployByCodeDeploy]

_LEADS_BACK = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM")
_OURS = re.compile(r"(rb-[0-9a-f]{24}) ", re.ASCII)
_CLOCKS = timedelta(minutes=5)
"""By which the clocks of ECS and CodeDeploy may differ."""
_BY_ITSELF = "codeDeployRollback"


class DeployByCodeDeployAction(AwsAction[DeployByCodeDeploy]):
    """Starts a deployment; what puts back stops one that is under way, which CodeDeploy then takes back."""

    def _look(
        self, place: Place, steps: Sequence[DeployByCodeDeploy], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        read = read_deployed(place, steps, operations, "CODE_DEPLOY")
        looks = {
            key: each if isinstance(each, Look) else _look_at(place, each, operations[key])
            for key, each in read.items()
        }
        return unless_raised(place, steps, looks, {step.key: step.alarms for step in steps})

    def _act(self, place: Place, step: DeployByCodeDeploy, operation: str, look: Look) -> dict[str, Any]:
        client, wanted = place.acting("codedeploy", step), look.result["task_definition"]
        if (stopped := look.result.get("stops")) is not None:
            client.stop_deployment(deploymentId=stopped, autoRollbackEnabled=True)
            return {"task_definition": wanted, "stopped": stopped}
        content = write_appspec(wanted, step.properties, step.hooks)
        watched = () if step.undoes else step.alarms
        answer = client.create_deployment(
            applicationName=step.application,
            deploymentGroupName=step.group,
            deploymentConfigName=step.configuration,
            description=f"{operation} by remediation-runbooks",
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}},
            autoRollbackConfiguration={"enabled": True, "events": [*_LEADS_BACK]},
            overrideAlarmConfiguration={"enabled": bool(watched), "alarms": [{"name": name} for name in watched]},
        )
        return {"task_definition": wanted, "deployment": answer["deploymentId"]}


def _look_at(place: Place, service: Service, operation: str) -> Look:
    step, client = service.step, place.reading("codedeploy")
    group = codedeploy.read_group(client, step.application, step.group)
    if group is None or not codedeploy.deploys(group, step.cluster, step.service):
        return service.look("drifted", f"deployment group {step.group} does not deploy {named(step)} any more")
    since = _since(place.reading("ecs"), service)
    deployments = codedeploy.read_deployments(client, step.application, step.group, since)
    ours = next((raw for raw in deployments if _operation_of(raw) == operation), None)
    if ours is not None:
        return _ours(client, service, ours, {raw["deploymentId"]: raw for raw in deployments})
    under_way = next((raw for raw in deployments if raw["status"] in codedeploy.UNDER_WAY), None)
    if under_way is not None:
        return _somebody_elses(client, service, under_way)
    return untouched(place.reading("ecs"), service)


def _since(client: Any, service: Service) -> datetime | None:
    """Before the newer of the two task definitions was there, nothing can have been deployed for the step."""
    newer = service.expected if service.step.undoes else service.wanted
    definition = (ecs.read_definition(client, newer) if newer is not None else None) or {}
    registered = definition.get("registeredAt")
    return registered - _CLOCKS if registered is not None else None


def _ours(client: Any, service: Service, ours: Members, deployments: Mapping[str, Members]) -> Look:
    """The deployment that the step has started, and the one that takes it back."""
    identifier, name, why = ours["deploymentId"], named(service.step), _why(ours)
    if ours["status"] in codedeploy.UNDER_WAY:
        stage, words = _progress(client, service, ours)
        return service.look("in-progress", words, deployment=identifier, stage=stage)
    if (back := (ours.get("rollbackInfo") or {}).get("rollbackDeploymentId")) is not None:
        status = deployments.get(back, {}).get("status", "Created")
        if status in codedeploy.UNDER_WAY:
            return service.look("in-progress", f"it is going back: {why}", deployment=identifier)
        did = "took" if status == "Succeeded" else "could not take"
        words = f"CodeDeploy {did} {name} back, and it has {short(service.live)}: {why}"
    elif ours["status"] != "Succeeded":
        words = f"the deployment of {name} has {ours['status'].lower()}, and it has {short(service.live)}: {why}"
    elif service.live == service.wanted:
        return service.look("as-left", deployment=identifier)
    else:
        words = f"{name} has {short(service.live)} since its deployment was complete"
        return service.look("drifted", words, deployment=identifier)
    return service.look("failed", words, deployment=identifier, went_back_to=service.live)


def _somebody_elses(client: Any, service: Service, raw: Members) -> Look:
    stage, progress = _progress(client, service, raw)
    detail = f"another deployment of {named(service.step)} is under way ({raw['deploymentId']}): {progress}"
    if not service.step.undoes:
        return service.look("drifted", detail)
    if _operation_of(raw) is not None:
        # What is to be undone is not waited for: no other can begin, and stopped it is taken back.
        return service.look("as-expected", stops=raw["deploymentId"])
    return service.look("in-progress", detail, stage=stage)


def _operation_of(raw: Members) -> str | None:
    """The operation of this system that made the deployment; what takes it back is CodeDeploy's."""
    found = _OURS.match(raw.get("description") or "") if raw.get("creator") != _BY_ITSELF else None
    return found[1] if found else None


def _progress(client: Any, service: Service, raw: Members) -> tuple[str, str]:
    """The stage that a deployment is in, and how far it is, in words."""
    step = service.step
    target = codedeploy.read_target(client, raw["deploymentId"], step.cluster, step.service)
    if not target:
        return raw["status"], "it has not begun yet"
    new = next((each for each in target.get("taskSetsInfo") or () if each.get("taskSetLabel") == "Green"), {})
    events = target.get("lifecycleEvents") or ()
    stage = next((each["lifecycleEventName"] for each in events if each.get("status") == "InProgress"), raw["status"])
    if raw["status"] == "Ready":
        stage = "waiting for somebody to send it the traffic"
    elif raw.get("instanceTerminationWaitTimeStarted"):
        stage = "waiting before the old tasks end"
    tasks = f"{new.get('runningCount', 0)} of {new.get('desiredCount', 0)} tasks run"
    return stage, f"{tasks}, with {new.get('trafficWeight', 0):g} % of the traffic, {stage}"


def _why(raw: Members) -> str:
    """Why a deployment ended badly, in CodeDeploy's words."""
    error = raw.get("errorInformation") or {}
    return str(error.get("message") or error.get("code") or "CodeDeploy gives no reason")
