"""AWS CodeDeploy: which deployment group owns a service of ECS, what its AppSpec says, and how its deployments go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from runbooks.container_image import DeploymentGroup, EcsService
from runbooks.errors import AccessDenied, AnswerLost
from runbooks.steps.base import Role
from tasks.gateways import ecs
from tasks.gateways.appspec import read_appspec
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import HUNDRED, pages, portions

Members = Mapping[str, Any]

UNDER_WAY = ("Created", "Queued", "InProgress", "Baking", "Ready")
"""The states of a deployment that has not ended; a group has one at a time."""
_AT_ONCE = 25
"""Deployments that BatchGetDeployments takes in one call."""
_BY_CODEDEPLOY = "CODE_DEPLOY"
_NO_SUCH_GROUP = ("ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException")
_NOT_YET = ("DeploymentNotStartedException", "DeploymentTargetDoesNotExistException")
_NO_SUCH_REVISION = "RevisionDoesNotExistException"


class CodeDeployGateway:
    """Reads CodeDeploy for triage."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    def with_groups(self, services: Sequence[EcsService]) -> tuple[EcsService, ...]:
        """These services; those that CodeDeploy owns with the group that deploys them, and watched by its alarms.

        Where CodeDeploy may not be read, no group is known. Calls in each account and region with such a service: one
        for a hundred applications, two for each that is about ECS, and three for each group that is wanted.

        Raises:
            Outside: AWS did not say.
        """
        found: dict[str, DeploymentGroup] = {}
        owned = [each for each in services if each.controller == _BY_CODEDEPLOY]
        for account, region in sorted({(each.account, each.region) for each in owned}):
            here = [each for each in owned if (each.account, each.region) == (account, region)]
            try:
                found |= self._groups(account, region, here)
            except AccessDenied:
                continue
        return tuple(_completed(each, found.get(each.arn)) for each in services)

    @reads()
    def _groups(self, account: str, region: str, services: Sequence[EcsService]) -> dict[str, DeploymentGroup]:
        client = self._sessions.client("codedeploy", account, region, Role.READ)
        reading = self._sessions.client("ecs", account, region, Role.READ)
        wanted = {(_short(each.cluster), each.name): each for each in services}
        found: dict[str, DeploymentGroup] = {}
        for raw in _groups_of_services(client):
            for place in _services_of(raw):
                if (service := wanted.get(place)) is not None:
                    found[service.arn] = _to_group(client, reading, raw, service)
        return found


def read_group(client: Any, application: str, group: str) -> Members | None:
    """A deployment group; None where there is none."""
    try:
        answer = client.get_deployment_group(applicationName=application, deploymentGroupName=group)
    except ClientError as error:
        if code_of(error) not in _NO_SUCH_GROUP:
            raise
        return None
    return answer["deploymentGroupInfo"]


def deploys(group: Members, cluster: str, service: str) -> bool:
    """Whether the group's deployments are of this service."""
    return (cluster, service) in _services_of(group)


def read_deployments(client: Any, application: str, group: str, since: datetime | None) -> list[Members]:
    """The deployments of a group that were created since then, and the one under way, the newest first.

    Two calls for a page, and one for twenty-five.

    Raises:
        AnswerLost: CodeDeploy lists one that it does not show: it may be the one that is looked for.
    """
    where: dict[str, Any] = {"applicationName": application, "deploymentGroupName": group}
    newer: dict[str, Any] = {"createTimeRange": {"start": since}} if since is not None else {}
    listed = [
        *pages(client, "list_deployments", "deployments", **where, includeOnlyStatuses=[*UNDER_WAY]),
        *pages(client, "list_deployments", "deployments", **where, **newer),
    ]
    names = [*dict.fromkeys(map(str, listed))]
    found: dict[str, Members] = {}
    for portion in portions(names, _AT_ONCE):
        answer = client.batch_get_deployments(deploymentIds=list(portion))
        found |= {raw["deploymentId"]: raw for raw in answer["deploymentsInfo"]}
    if missing := set(names) - set(found):
        raise AnswerLost(f"CodeDeploy lists deployment {min(missing)}, and does not show it yet")
    return sorted(found.values(), key=lambda raw: raw["createTime"], reverse=True)


def read_target(client: Any, deployment: str, cluster: str, service: str) -> Members:
    """How far a deployment is with the service: its task sets and its lifecycle events; empty before it has begun."""
    try:
        answer = client.get_deployment_target(deploymentId=deployment, targetId=f"{cluster}:{service}")
    except ClientError as error:
        if code_of(error) not in _NOT_YET:
            raise
        return {}
    return answer["deploymentTarget"].get("ecsTarget") or {}


def _completed(service: EcsService, group: DeploymentGroup | None) -> EcsService:
    """What watches the deployments of ECS itself watches none of CodeDeploy's."""
    if service.controller != _BY_CODEDEPLOY:
        return service
    return service.model_copy(
        update={"group": group, "alarms": group.alarms if group else (), "rolls_back": group is not None}
    )


def _groups_of_services(client: Any) -> Iterator[Members]:
    """Every deployment group of every application that is about ECS."""
    names = [str(each) for each in pages(client, "list_applications", "applications")]
    for portion in portions(names, HUNDRED):
        for application in client.batch_get_applications(applicationNames=list(portion))["applicationsInfo"]:
            if application.get("computePlatform") == "ECS":
                yield from _groups_of(client, application["applicationName"])


def _groups_of(client: Any, application: str) -> Iterator[Members]:
    names = [
        str(each) for each in pages(client, "list_deployment_groups", "deploymentGroups", applicationName=application)
    ]
    for portion in portions(names, HUNDRED):
        answer = client.batch_get_deployment_groups(applicationName=application, deploymentGroupNames=list(portion))
        yield from answer["deploymentGroupsInfo"]


def _services_of(group: Members) -> list[tuple[str, str]]:
    return [(_short(raw["clusterName"]), _short(raw["serviceName"])) for raw in group.get("ecsServices") or ()]


def _to_group(client: Any, reading: Any, raw: Members, service: EcsService) -> DeploymentGroup:
    alarms = raw.get("alarmConfiguration") or {}
    named = tuple(each["name"] for each in alarms.get("alarms") or ()) if alarms.get("enabled") else ()
    properties, hooks = _appspec_of(client, reading, raw, service)
    return DeploymentGroup(
        application=raw["applicationName"],
        name=raw["deploymentGroupName"],
        configuration=raw["deploymentConfigName"],
        minutes=_minutes(client, raw),
        alarms=named,
        properties=properties,
        hooks=hooks,
    )


def _minutes(client: Any, group: Members) -> int:
    """What its deployments wait: for somebody to say go, between the shifts, and before the old tasks end."""
    choice = group.get("blueGreenDeploymentConfiguration") or {}
    before, after = (
        choice.get("deploymentReadyOption") or {},
        choice.get("terminateBlueInstancesOnDeploymentSuccess") or {},
    )
    told = client.get_deployment_config(deploymentConfigName=group["deploymentConfigName"])["deploymentConfigInfo"]
    routing = told.get("trafficRoutingConfig") or {}
    canary, linear = routing.get("timeBasedCanary") or {}, routing.get("timeBasedLinear") or {}
    shifts = math.ceil(100 / linear["linearPercentage"]) - 1 if linear else 0
    return sum(
        (
            before.get("waitTimeInMinutes") or 0,
            canary.get("canaryInterval") or 0,
            shifts * (linear.get("linearInterval") or 0),
            after.get("terminationWaitTimeInMinutes") or 0,
        )
    )


def _appspec_of(
    client: Any, reading: Any, group: Members, service: EcsService
) -> tuple[dict[str, Any] | None, tuple[dict[str, Any], ...]]:
    """Properties and hooks of the last successful deployment's AppSpec; of the service where there was none yet.

    GetDeployment tells no more of an AppSpec than its digest; one in S3 is not read.
    """
    last = (group.get("lastSuccessfulDeployment") or {}).get("deploymentId")
    if not last:
        return _as_it_is(reading, service), ()
    revision = client.get_deployment(deploymentId=last)["deploymentInfo"].get("revision") or {}
    try:
        answer = client.get_application_revision(applicationName=group["applicationName"], revision=revision)
    except ClientError as error:
        if code_of(error) != _NO_SUCH_REVISION:
            raise
        return None, ()
    told = answer["revision"].get("appSpecContent") or answer["revision"].get("string") or {}
    return read_appspec(told.get("content") or "")


def _as_it_is(reading: Any, service: EcsService) -> dict[str, Any] | None:
    """What nobody has deployed yet was made so by CreateService."""
    raw = ecs.read_services(reading, service.cluster, [service.name]).get(service.name, {})
    entry = next(iter(raw.get("loadBalancers") or ()), None)
    if entry is None:
        return None
    found: dict[str, Any] = {
        "LoadBalancerInfo": {"ContainerName": entry["containerName"], "ContainerPort": entry["containerPort"]}
    }
    # CodeDeploy takes LATEST where the AppSpec names none.
    version = raw.get("platformVersion")
    return found | ({"PlatformVersion": version} if version else {})


def _short(name: str) -> str:
    return name.rpartition("/")[2]
