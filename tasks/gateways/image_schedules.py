"""Who starts some images later, in one account and region: what EventBridge has ECS run, and the jobs of AWS Batch.

What else starts a task by its own program (a state machine, a function, a pipeline) cannot be seen from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from runbooks.container_image import OtherUse
from tasks.gateways import ecs
from tasks.gateways.bulk import HUNDRED, each, pages
from tasks.gateways.image_tasks import SoughtImage
from tasks.gateways.inspector import partition_of

Members = Mapping[str, Any]
_PAGE = {"PageSize": HUNDRED}
_RUN_TASK = ":aws-sdk:ecs:runTask"
"""How the target of a schedule ends that calls RunTask itself (EventBridge Scheduler user guide, "Universal targets").
"""


def read_schedules(
    clients: Mapping[str, Any], account: str, region: str, clusters: Sequence[str], sought: Mapping[str, SoughtImage]
) -> dict[str, list[OtherUse]]:
    """Who starts each of the images later. Rules and schedules count whether they are switched on or off.

    EventBridge: a call for each of its buses and each cluster, and one for each rule that has a cluster as its target;
    Scheduler: one for a hundred schedules, and one for each that runs a task; Batch: one for a hundred active job
    definitions; ECS: one for each task definition that any of them names.

    Args:
        clients: of events, scheduler, batch and ecs.
        clusters: ARNs of the account's clusters.
        sought: the images, by whatever name the answer is to have them.

    Raises:
        Outside: something could not be read, so that it cannot be said who starts them.
    """
    started = [*_by_rules(clients["events"], account, region, clusters), *_by_schedules(clients["scheduler"])]
    definitions = each(lambda name: _images_of(clients["ecs"], name), sorted({name for _, name in started}))
    jobs = list(_by_jobs(clients["batch"]))
    return {
        name: [
            # A rule may have several targets.
            *dict.fromkeys(use for use, definition in started if image.is_in(definitions[definition])),
            *_by_their_names(arn for arn, images in jobs if image.is_in(images)),
        ]
        for name, image in sought.items()
    }


def _by_rules(client: Any, account: str, region: str, clusters: Sequence[str]) -> Iterator[tuple[OtherUse, str]]:
    """The rules that have ECS run a task, each with its task definition."""
    place = f"arn:{partition_of(region)}:events:{region}:{account}:rule"
    for bus in _buses(client) if clusters else ():
        for rule in sorted({rule for cluster in clusters for rule in _rules_of(client, bus, cluster)}):
            named = f"{place}/{rule}" if bus == "default" else f"{place}/{bus}/{rule}"
            for target in pages(client, "list_targets_by_rule", "Targets", Rule=rule, EventBusName=bus):
                if definition := (target.get("EcsParameters") or {}).get("TaskDefinitionArn"):
                    yield OtherUse(kind="event-rule", arn=named), definition


def _rules_of(client: Any, bus: str, cluster: str) -> list[str]:
    listed = client.get_paginator("list_rule_names_by_target").paginate(TargetArn=cluster, EventBusName=bus)
    return [name for page in listed for name in page.get("RuleNames") or ()]


def _buses(client: Any) -> list[str]:
    """Names of the event buses: boto3 has no paginator for them."""
    names, request = list[str](), dict[str, Any]()
    while True:
        page = client.list_event_buses(**request)
        names += [bus["Name"] for bus in page.get("EventBuses") or ()]
        if not page.get("NextToken"):
            return names
        request = {"NextToken": page["NextToken"]}


def _by_schedules(client: Any) -> Iterator[tuple[OtherUse, str]]:
    """The schedules that have ECS run a task, each with its task definition."""
    for listed in pages(client, "list_schedules", "Schedules", PaginationConfig=_PAGE):
        arn = (listed.get("Target") or {}).get("Arn", "")
        if not _runs_a_task(arn):
            continue
        target = client.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])["Target"]
        if definition := _definition_of(target):
            yield OtherUse(kind="schedule", arn=listed["Arn"]), definition


def _runs_a_task(arn: str) -> bool:
    return arn.endswith(_RUN_TASK) or (":ecs:" in arn and ":cluster/" in arn)


def _definition_of(target: Members) -> str | None:
    """Of a templated target by its parameters, of a universal one by the request that it sends."""
    named = (target.get("EcsParameters") or {}).get("TaskDefinitionArn")
    if named or not target.get("Arn", "").endswith(_RUN_TASK):
        return named
    try:
        request = json.loads(target.get("Input") or "{}")
    except ValueError:
        return None
    return request.get("TaskDefinition") if isinstance(request, dict) else None


def _images_of(client: Any, definition: str) -> tuple[str, ...]:
    """References of a task definition's containers; without a revision the newest one's. None where it is not there."""
    found = ecs.read_definition(client, definition)
    return tuple(one["image"] for one in found["containerDefinitions"]) if found is not None else ()


def _by_jobs(client: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The active job definitions, each with the references in it, on whatever it runs its containers."""
    for raw in pages(client, "describe_job_definitions", "jobDefinitions", status="ACTIVE", PaginationConfig=_PAGE):
        yield raw["jobDefinitionArn"], tuple(_images_in(raw))


def _images_in(part: Any) -> Iterator[str]:
    """Each container has its image under that name, however deep the properties of the job have it."""
    if isinstance(part, Mapping):
        for name, value in cast("Mapping[str, Any]", part).items():
            yield from (value,) if name == "image" and isinstance(value, str) else _images_in(value)
    elif isinstance(part, list):
        for one in cast("list[Any]", part):
            yield from _images_in(one)


def _by_their_names(jobs: Iterable[str]) -> Iterator[OtherUse]:
    """The newest revision of each job definition, with how many revisions of it are made from the image."""
    by_name: dict[str, list[str]] = {}
    for arn in jobs:
        by_name.setdefault(arn.rpartition(":")[0], []).append(arn)
    for arns in by_name.values():
        newest = max(arns, key=lambda arn: int(arn.rpartition(":")[2]))
        yield OtherUse(kind="job-definition", arn=newest, count=len(arns))
