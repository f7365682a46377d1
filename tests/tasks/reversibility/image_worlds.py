"""Images and their repositories as their owners left them: generated, built, meddled with, and described."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from runbooks.case import CaseKey
from runbooks.event import read_payload
from runbooks.plan import Phase
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.harness import House
from tests.tasks.reversibility.descriptions import Crash
from tests.tasks.shaky import Blow

REPOSITORY, PIPELINE = "shop/checkout", "checkout"
STAGES = ("Build", "Staging", "Production")
THEIRS = "the owner of the pipeline is on holiday"
Description = dict[tuple[str, ...], Any]
Change = Literal["policy", "stage", "lifecycle policy", "mutability", "tag", "storage"]
Moment = Literal["before the block", "before the release", "before the end", "before the undo"]


@dataclass(frozen=True)
class Owned:
    """One image, and the repository and the pipeline around it."""

    tags: tuple[str, ...]
    mutability: Literal["MUTABLE", "IMMUTABLE"]
    policy: str | None
    lifecycle: str | None
    closed: tuple[str, ...]
    """Stages that somebody had closed before."""
    services: int
    """How many services run it: then it is not retired."""
    stages: tuple[str, ...]
    """Those that the runbook closes."""
    deny_pulls: bool
    deprecate: Mapping[str, Any]
    crashes: Mapping[Phase, Crash]
    """Of the block, the release, the end of the image (DEPRECATE), and putting that back (VERIFY stands for it)."""
    meddling: tuple[tuple[Moment, Change], ...]


def worlds(number: int, seed: int = 5) -> list[Owned]:
    """So many, the same each time."""
    random = Random(seed)
    return [_world(random) for _ in range(number)]


def build(house: House, owned: Owned) -> dict[str, Any]:
    """Have it in the sandbox, its finding taken in; what was built, by name."""
    place = {"account": ACCOUNT, "region": REGION}
    built = furnish_image(
        house.sandbox.cloud,
        ImageOptions.model_validate({**place, "repository": REPOSITORY, "tags": owned.tags, "known_exploited": True}),
    )
    for number in range(owned.services):
        service = {"image": built["image"], "name": f"checkout-{number}", "tasks": 1}
        furnish_service(house.sandbox.cloud, ServiceOptions.model_validate({**place, **service}))
    ecr, pipeline = house.client("ecr"), house.client("codepipeline")
    if owned.policy is not None:
        ecr.set_repository_policy(repositoryName=REPOSITORY, policyText=owned.policy)
    if owned.lifecycle is not None:
        ecr.put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=owned.lifecycle)
    ecr.put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability=owned.mutability)
    for stage in owned.closed:
        _close(pipeline, stage)
    (finding,) = read_payload(json.dumps(built["event"], default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    return built


def describe(house: House) -> Description:
    """All that the playbook changes of them, as AWS tells it to anyone who asks."""
    ecr, ecs = house.client("ecr"), house.client("ecs")
    images = ecr.describe_images(repositoryName=REPOSITORY, filter={"imageStatus": "ANY"})["imageDetails"]
    (repository,) = ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    stages = house.client("codepipeline").get_pipeline_state(name=PIPELINE)["stageStates"]
    found: Description = {
        ("policy",): _text(ecr, "get_repository_policy", "policyText"),
        ("lifecycle policy",): _text(ecr, "get_lifecycle_policy", "lifecyclePolicyText"),
        ("mutability",): repository["imageTagMutability"],
        ("repository tags",): ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"],
    }
    for raw in images:
        found["image", raw["imageDigest"], "status"] = raw["imageStatus"]
        found["image", raw["imageDigest"], "tags"] = sorted(raw.get("imageTags", ()))
    for state in stages:
        way = state.get("inboundTransitionState", {"enabled": True})
        found["stage", state["stageName"]] = (way["enabled"], way.get("disabledReason"))
    for cluster in ecs.list_clusters()["clusterArns"]:
        for name in ecs.list_services(cluster=cluster)["serviceArns"]:
            (service,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
            found["service", name] = (service["taskDefinition"], service["desiredCount"], service["runningCount"])
    return found


def meddle(house: House, owned: Owned, digest: str, change: Change) -> None:
    """Somebody else makes this something else than it is."""
    _CHANGES[change](house, owned, digest)


def _world(random: Random) -> Owned:
    return Owned(
        tags=("1.4.2", *random.sample(("production", "latest", "v1", "stable"), random.randint(0, 3))),
        mutability=random.choice(("MUTABLE", "MUTABLE", "IMMUTABLE")),
        policy=random.choice(_POLICIES),
        lifecycle=random.choice(_LIFECYCLES),
        closed=tuple(stage for stage in STAGES if random.random() < 0.15),
        services=random.choice((0, 0, 0, 1, 2)),
        stages=tuple(random.sample(STAGES, random.randint(0, 3))),
        deny_pulls=random.random() < 0.6,
        deprecate={
            "remove_tags": random.random() < 0.8,
            "archive": random.random() < 0.8,
            "immutable_tags": random.random() < 0.5,
            "lifecycle_policy": random.choice((None, _NEW_LIFECYCLE)),
        },
        crashes={
            phase: Crash(blow=random.choice(get_args(Blow)), depth=random.randrange(1000))
            for phase in (Phase.CONTAIN, Phase.RELEASE, Phase.DEPRECATE, Phase.VERIFY)
            if random.random() < 0.3
        },
        meddling=tuple(
            (moment, random.choice(get_args(Change))) for moment in get_args(Moment) if random.random() < 0.25
        ),
    )


def _close(pipeline: Any, stage: str) -> None:
    pipeline.disable_stage_transition(pipelineName=PIPELINE, stageName=stage, transitionType="Inbound", reason=THEIRS)


def _policy(house: House, owned: Owned, digest: str) -> None:
    house.client("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=_A_STATEMENT.replace("Pull", "New"))


def _stage(house: House, owned: Owned, digest: str) -> None:
    _close(house.client("codepipeline"), (owned.stages or STAGES)[0])


def _lifecycle(house: House, owned: Owned, digest: str) -> None:
    text = _NEW_LIFECYCLE.replace("14", "21")
    house.client("ecr").put_lifecycle_policy(repositoryName=REPOSITORY, lifecyclePolicyText=text)


def _mutability(house: House, owned: Owned, digest: str) -> None:
    ecr = house.client("ecr")
    (repository,) = ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    other = "IMMUTABLE" if repository["imageTagMutability"] == "MUTABLE" else "MUTABLE"
    ecr.put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability=other)


def _tag(house: House, owned: Owned, digest: str) -> None:
    """Take the last of its tags off, where it has another."""
    ecr = house.client("ecr")
    raw = _image(ecr, digest)
    if len(tags := sorted(raw.get("imageTags", ()))) > 1:
        ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": tags[-1]}])


def _storage(house: House, owned: Owned, digest: str) -> None:
    ecr = house.client("ecr")
    raw = _image(ecr, digest)
    target = "STANDARD" if raw["imageStatus"] == "ARCHIVED" else "ARCHIVE"
    ecr.update_image_storage_class(
        repositoryName=REPOSITORY, imageId={"imageDigest": digest}, targetStorageClass=target
    )
    house.sandbox.advance(10)


def _image(ecr: Any, digest: str) -> dict[str, Any]:
    wanted = {"imageIds": [{"imageDigest": digest}], "filter": {"imageStatus": "ANY"}}
    return ecr.describe_images(repositoryName=REPOSITORY, **wanted)["imageDetails"][0]


def _text(client: Any, operation: str, member: str) -> str | None:
    try:
        return getattr(client, operation)(repositoryName=REPOSITORY)[member]
    except client.exceptions.ClientError as error:
        assert error.response["Error"]["Code"].endswith("PolicyNotFoundException")
        return None


_A_STATEMENT = (
    '{"Statement": {"Sid": "Pull", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},'
    ' "Action": ["ecr:BatchGetImage"]}, "Version": "2012-10-17"}'
)
_POLICIES = (
    None,
    None,
    _A_STATEMENT,
    json.dumps({"Version": "2008-10-17", "Statement": [json.loads(_A_STATEMENT)["Statement"]] * 2}, indent=4),
    '{ "Version" : "2012-10-17",\n\t"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage","Sid":"é"}]}',
)
_NEW_LIFECYCLE = (
    '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed",'
    '"countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}'
)
_LIFECYCLES = (None, json.dumps(json.loads(_NEW_LIFECYCLE.replace("14", "90")), indent=2))
_CHANGES: Mapping[Change, Callable[[House, Owned, str], None]] = {
    "policy": _policy,
    "stage": _stage,
    "lifecycle policy": _lifecycle,
    "mutability": _mutability,
    "tag": _tag,
    "storage": _storage,
}
