"""Amazon ECS as it is read: what its tasks run, its services, their deployments, and revisions of task definitions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from runbooks.container_image import EcsService
from runbooks.errors import AnswerLost, Outside
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import each, pages, portions

Members = Mapping[str, Any]

_TASKS = 100
"""Tasks that DescribeTasks takes in one call; ARNs of a page of ListTasks, ListServices, ListTaskDefinitions."""
_SERVICES = 10
"""Services that DescribeServices takes in one call."""
_HISTORY = 20
"""Deployments that are looked back upon; revisions that DescribeServiceRevisions takes in one call."""
_PAGE = {"PageSize": _TASKS}
_NO_SUCH_DEFINITION = "ClientException"
_NO_SUCH_CLUSTER = "ClusterNotFoundException"
NO_SUCH_SERVICE = (_NO_SUCH_CLUSTER, "ServiceNotFoundException", "ServiceNotActiveException")
"""Codes of ECS for a service that is not there, or not any more."""
_GONE = "MISSING"
"""Why ECS does not describe what was asked for (developer guide, "Troubleshoot API failure reasons")."""


class Brief(NamedTuple):
    """One deployment of a service, as far as the list of them tells."""

    arn: str
    status: str
    """PENDING, IN_PROGRESS, SUCCESSFUL, STOPPED, ROLLBACK_SUCCESSFUL and others (ECS API, "ServiceDeployment")."""
    task_definition: str | None
    """ARN of what it brings; None where ECS does not tell any more."""


class Container(NamedTuple):
    """One container of a task, or of one to come."""

    name: str
    image: str
    """The reference it is made from."""
    digest: str | None
    """What was pulled; None before that."""


def read_clusters(client: Any) -> list[str]:
    """The ARNs of the account's clusters in the region: a call for a hundred."""
    return _arns(client, "list_clusters", "clusterArns")


def read_tasks(client: Any, cluster: str, service: str | None = None) -> list[Members]:
    """Every task of a cluster, or of one of its services, that runs or is about to: two calls for a hundred.

    Raises:
        Outside: ECS does not describe one of them that is not gone.
    """
    found: list[Members] = []
    of_service = {"serviceName": service} if service else {}
    for portion in portions(_arns(client, "list_tasks", "taskArns", cluster=cluster, **of_service), _TASKS):
        answer = client.describe_tasks(cluster=cluster, tasks=list(portion))
        _refuse_failures(answer)
        found += [task for task in answer["tasks"] if task.get("lastStatus") != "STOPPED"]
    return found


def containers_of(task: Members) -> list[Container]:
    """The containers of a task."""
    return [
        Container(one["name"], one.get("image", ""), one.get("imageDigest")) for one in task.get("containers") or ()
    ]


def list_services(client: Any, cluster: str) -> list[str]:
    """The ARNs of a cluster's services: a call for a hundred."""
    return _arns(client, "list_services", "serviceArns", cluster=cluster)


def read_services(client: Any, cluster: str, services: Sequence[str]) -> dict[str, Members]:
    """Name -> the service with its tags, of those that are active: a call for ten; empty without the cluster.

    Raises:
        Outside: ECS does not describe one of them that is not gone.
    """
    found: dict[str, Members] = {}
    for portion in portions(services, _SERVICES):
        try:
            answer = client.describe_services(cluster=cluster, services=list(portion), include=["TAGS"])
        except ClientError as error:
            if code_of(error) == _NO_SUCH_CLUSTER:
                return {}
            raise
        _refuse_failures(answer)
        found |= {raw["serviceName"]: raw for raw in answer["services"] if raw.get("status") == "ACTIVE"}
    return found


def primary(service: Members) -> Members:
    """The deployment in DescribeServices that the service wants to be in."""
    rollouts = service.get("deployments") or ()
    return next((each for each in rollouts if each.get("status") == "PRIMARY"), {})


def live_definition(service: Members) -> str:
    """ARN of the task definition that the service wants to run; of CodeDeploy's the task set with the traffic says."""
    named = primary(service).get("taskDefinition") or _with_the_traffic(service).get("taskDefinition")
    return str(named or service["taskDefinition"])


def live_revisions(service: Members) -> tuple[str, ...]:
    """What another deployment of the very same task definition changes, as a new image under the old tag needs one.

    ECS makes a service revision for each deployment, and takes the former one when it goes back (developer guide,
    "Service revisions"); of what was deployed before October 2024 it tells none, and the deployments' own ids count. Of
    CodeDeploy's the task set with the traffic says.
    """
    if task_set := _with_the_traffic(service):
        return (str(task_set["id"]),)
    revisions = [one["arn"] for one in service.get("currentServiceRevisions") or ()]
    return tuple(sorted(revisions or [one["id"] for one in service.get("deployments") or ()]))


def controller_of(service: Members) -> str:
    """Who deploys the service: ECS, CODE_DEPLOY or EXTERNAL."""
    return str((service.get("deploymentController") or {}).get("type", "ECS"))


def to_service(account: str, region: str, raw: Members, containers: Sequence[str], running: int) -> EcsService:
    """A service in our words.

    Args:
        containers: those of its containers that are made from the image it is read for.
        running: its tasks that run the image.
    """
    configuration = raw.get("deploymentConfiguration") or {}
    alarms = configuration.get("alarms") or {}
    breaker = configuration.get("deploymentCircuitBreaker") or {}
    watches = bool(alarms.get("enable"))
    return EcsService(
        account=account,
        region=region,
        cluster=raw["clusterArn"],
        name=raw["serviceName"],
        arn=raw["serviceArn"],
        controller=controller_of(raw),
        strategy=configuration.get("strategy", "ROLLING"),
        task_definition=live_definition(raw),
        revisions=live_revisions(raw),
        containers=tuple(sorted(containers)),
        desired=raw.get("desiredCount", 0),
        running=running,
        alarms=tuple(sorted(alarms.get("alarmNames") or ())) if watches else (),
        configuration=dict(configuration),
        rolls_back=bool((watches and alarms.get("rollback")) or (breaker.get("enable") and breaker.get("rollback"))),
        tags=named_tags(raw.get("tags")),
    )


def started_next(client: Any, services: Collection[Members]) -> dict[str, list[Container]]:
    """Service ARN -> the containers that each service starts next.

    The digest that its revision was pulled by counts, wherever the tag has moved since (developer guide, "Container
    image resolution"); where ECS tells of no revision, the task definition counts. A call for twenty services, or one
    for each task definition.

    Raises:
        Outside: a task definition is not there.
    """
    current = {raw["serviceArn"]: [one["arn"] for one in raw.get("currentServiceRevisions") or ()] for raw in services}
    revisions = _read_revisions(client, {arn for arns in current.values() for arn in arns})
    by_revision = {arn: [revisions[one] for one in arns if one in revisions] for arn, arns in current.items()}
    untold = {raw["serviceArn"]: live_definition(raw) for raw in services if not by_revision[raw["serviceArn"]]}
    definitions = each(lambda arn: _containers_of(client, arn), sorted(set(untold.values())))
    return {
        arn: definitions[untold[arn]] if arn in untold else [one for revision in told for one in _images_of(revision)]
        for arn, told in by_revision.items()
    }


def read_definition(client: Any, arn: str) -> Members | None:
    """A revision of a task definition, its tags under `tags`; None where there is none."""
    try:
        answer = client.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    except ClientError as error:
        if code_of(error) == _NO_SUCH_DEFINITION:
            return None
        raise
    return {**answer["taskDefinition"], "tags": answer.get("tags") or []}


def find_revision(client: Any, family: str, after: str, operation: str) -> Members | None:
    """The revision that an operation made, found by its tag among those that are newer than another revision.

    A call for a hundred revisions, as far back as the other one, and one for each that is newer, the newest first.

    Raises:
        AnswerLost: ECS lists one that it does not show: it may be the operation's.
    """
    for arn in _newer(client, family, after):
        found = read_definition(client, arn)
        if found is None:
            raise AnswerLost(f"ECS lists {arn}, and does not show it yet")
        if named_tags(found["tags"]).get(OPERATION_TAG) == operation:
            return found
    return None


def read_history(client: Any, cluster: str, service: str) -> list[Brief]:
    """The newest deployments of a service, the newest first: two calls.

    ECS tells of 90 days, and of nothing before October 2024 (developer guide, "Service deployments").
    """
    answer = client.list_service_deployments(cluster=cluster, service=service, maxResults=_HISTORY)
    # Their order is documented nowhere.
    raws = sorted(answer.get("serviceDeployments") or (), key=lambda raw: raw["createdAt"], reverse=True)
    targets = [raw.get("targetServiceRevisionArn", "") for raw in raws]
    revisions = _read_revisions(client, {target for target in targets if target})
    return [
        Brief(raw["serviceDeploymentArn"], raw["status"], revisions.get(target, {}).get("taskDefinition"))
        for raw, target in zip(raws, targets, strict=True)
    ]


def read_deployment(client: Any, arn: str) -> Members:
    """A service deployment with its alarms, its stage and its tasks; empty where ECS does not tell any more."""
    answer = client.describe_service_deployments(serviceDeploymentArns=[arn])
    return next(iter(answer.get("serviceDeployments") or ()), {})


def named_tags(tags: Sequence[Members] | None) -> dict[str, str]:
    """The tags of something of ECS as a mapping, by key; ECS writes them in small letters."""
    return {tag["key"]: tag.get("value", "") for tag in sorted(tags or (), key=lambda tag: tag["key"])}


def _with_the_traffic(service: Members) -> Members:
    """The task set that serves production traffic; ECS's own services have none."""
    return next((each for each in service.get("taskSets") or () if each.get("status") == "PRIMARY"), {})


def _read_revisions(client: Any, arns: Collection[str]) -> dict[str, Members]:
    """Those service revisions that ECS still tells of."""
    found: dict[str, Members] = {}
    for portion in portions(sorted(arns), _HISTORY):
        answer = client.describe_service_revisions(serviceRevisionArns=list(portion))
        found |= {raw["serviceRevisionArn"]: raw for raw in answer.get("serviceRevisions") or ()}
    return found


def _images_of(revision: Members) -> list[Container]:
    return [
        Container(one["containerName"], one.get("image", ""), one.get("imageDigest"))
        for one in revision.get("containerImages") or ()
    ]


def _containers_of(client: Any, definition: str) -> list[Container]:
    found = read_definition(client, definition)
    if found is None:
        raise Outside(f"what services with {definition} run cannot be read: it is not there")
    return [Container(one["name"], one["image"], None) for one in found["containerDefinitions"]]


def _arns(client: Any, operation: str, result: str, **request: Any) -> list[str]:
    return [str(arn) for arn in pages(client, operation, result, PaginationConfig=_PAGE, **request)]


def _refuse_failures(answer: Members) -> None:
    """What ECS does not describe is gone, or it is not known."""
    for failure in answer.get("failures") or ():
        if failure.get("reason") != _GONE:
            raise Outside(f"ECS does not describe {failure.get('arn')}: {failure.get('reason')}")


def _newer(client: Any, family: str, after: str) -> list[str]:
    """The family's active revisions that are newer than another, the newest first."""
    listed = client.get_paginator("list_task_definitions")
    found: list[str] = []
    for page in listed.paginate(familyPrefix=family, status="ACTIVE", sort="DESC", PaginationConfig=_PAGE):
        arns = [arn for arn in page["taskDefinitionArns"] if _family(arn) == family]
        found += [arn for arn in arns if _number(arn) > _number(after)]
        if any(_number(arn) <= _number(after) for arn in arns):
            break
    return sorted(found, key=_number, reverse=True)


def _family(arn: str) -> str:
    return arn.rpartition("/")[2].partition(":")[0]


def _number(arn: str) -> int:
    return int(arn.rpartition(":")[2])
