"""What is known of a container image when decisions are made about it: facts read from AWS, in our words."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field

from runbooks.model import Model

_ARN = re.compile(r"arn:[\w-]+:ecr:[\w-]+:\d{12}:repository/(?P<repository>.+)/(?P<digest>sha256:[0-9a-f]+)", re.ASCII)


class ImageId(NamedTuple):
    """What Inspector's name of an image says besides where it is."""

    repository: str
    digest: str

    @classmethod
    def of(cls, resource_id: str) -> ImageId | None:
        """None where the resource is no image in ECR."""
        found = _ARN.fullmatch(resource_id)
        return cls(found["repository"], found["digest"]) if found else None


def short_digest(digest: str) -> str:
    """The algorithm and twelve characters, as container tools show it."""
    algorithm, colon, value = digest.partition(":")
    return f"{algorithm}{colon}{value[:12]}"


class ContainerImage(Model):
    """One image of a private ECR repository, by its digest."""

    account: str
    region: str
    repository: str
    digest: str
    """sha256:... of its manifest; the same for ever."""
    tags: tuple[str, ...] = ()
    index_tags: tuple[str, ...] = ()
    """Of the indexes that list it: whoever pulls by one gets this image on its platform. Often only these have tags."""
    pushed_at: datetime | None = None
    archived: bool = False
    media_type: str | None = None
    """Of the manifest; an index (of several platforms) is scanned image by image."""
    base: BaseImage | None = None

    @property
    def arn(self) -> str:
        """As Inspector names the image."""
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.repository}/{self.digest}"

    @property
    def reachable_by(self) -> tuple[str, ...]:
        """Every tag by which it is pulled."""
        return (*self.tags, *self.index_tags)

    @property
    def name(self) -> str:
        """For people: repository, a tag where it has one, and the beginning of its digest."""
        tag = f":{self.tags[0]}" if self.tags else ""
        return f"{self.repository}{tag}@{short_digest(self.digest)}"


class BaseImage(Model):
    """The image that this one was built from, as its manifest's annotations name it (OCI image specification)."""

    name: str
    """org.opencontainers.image.base.name: registry, repository and tag."""
    digest: str | None = None
    """org.opencontainers.image.base.digest."""
    newest: str | None = None
    """What the name stands for now; None where that could not be read."""
    layers: tuple[str, ...] = ()
    """Digests of its layers: a package in one of them came with the base."""

    @property
    def patched(self) -> str | None:
        """The newest image of its name, by digest; None where there is none that is newer."""
        return f"{self.name}@{self.newest}" if self.is_outdated else None

    @property
    def is_outdated(self) -> bool:
        return self.newest is not None and self.newest != self.digest


class Repository(Model):
    """An ECR repository, and who may pull from it."""

    name: str
    uri: str
    tag_mutability: str = "MUTABLE"
    policy: str | None = None
    """The repository policy as JSON text, exactly as ECR keeps it; None where there is none."""
    lifecycle_policy: str | None = None
    reader: str | None = None
    """ARN of the role with which this system reads its images, and may not lock itself out; None where it has none."""
    tags: dict[str, str] = Field(default_factory=dict)


class DeploymentGroup(Model):
    """What CodeDeploy knows of the deployments of an ECS service that it owns."""

    application: str
    name: str
    configuration: str
    """Name of its deployment configuration: how the traffic is shifted."""
    minutes: int = 0
    """How long its deployments wait, by themselves: between the shifts, and before the old tasks end."""
    alarms: tuple[str, ...] = ()
    """CloudWatch alarms that its deployments watch."""
    properties: dict[str, Any] | None = None
    """What the AppSpec of its last successful deployment says of the service besides the task definition; before the
    first one what the service has. None where that cannot be read."""
    hooks: tuple[dict[str, Any], ...] = ()
    """The functions that this AppSpec has CodeDeploy call on the way."""


class EcsService(Model):
    """An ECS service with tasks that run the image."""

    account: str
    region: str
    cluster: str
    """Cluster ARN."""
    name: str
    arn: str
    controller: str = "ECS"
    """ECS, CODE_DEPLOY or EXTERNAL: who may change its task definition."""
    strategy: str = "ROLLING"
    """How ECS replaces its tasks: ROLLING, BLUE_GREEN, LINEAR or CANARY."""
    task_definition: str
    """ARN of the revision its primary deployment has."""
    revisions: tuple[str, ...] = ()
    """What tells this deployment of the task definition from another one: the ARNs of its current service revisions; of
    CodeDeploy's the id of the task set that has the traffic."""
    containers: tuple[str, ...] = ()
    """Names of the task definition's containers that are made from the image."""
    desired: int = 0
    running: int = 0
    """Tasks that run this very digest."""
    alarms: tuple[str, ...] = ()
    """CloudWatch alarms that its deployments watch."""
    rolls_back: bool = False
    """Whether a deployment goes back by itself, on an alarm or by the circuit breaker."""
    configuration: dict[str, Any] = Field(default_factory=dict)
    """Its whole deploymentConfiguration, as DescribeServices gives it: what is deployed another way is put back."""
    group: DeploymentGroup | None = None
    """Of CodeDeploy, where that owns it; None where no group names it, or none may be read."""
    execution_role: str | None = None
    """ARN of the role that its tasks' images are pulled with, by its task definition; None where that names none."""
    tags: dict[str, str] = Field(default_factory=dict)


class ImageFunction(Model):
    """A Lambda function whose code is the image."""

    account: str
    region: str
    name: str
    arn: str
    alias: str | None = None
    version: str | None = None
    """The version that the alias serves."""
    dormant: bool = False
    """Whether it is a published version that nobody is seen to call: whoever knows its number can."""


class OtherUse(Model):
    """Who else runs the image, or starts it later, and whom only a person can bring to another."""

    kind: Literal["eks-cluster", "ecs-task", "event-rule", "schedule", "job-definition", "other"]
    """A task is of no service; rule and schedule of EventBridge have ECS run one, a job definition is of AWS Batch."""
    arn: str
    count: int = 0


class StageTransition(Model):
    """The way into a stage of a pipeline."""

    pipeline: str
    stage: str
    enabled: bool
    reason: str | None = None


class ImageFacts(Model):
    """Everything triage and planning read of one image."""

    kind: Literal["image"] = "image"
    image: ContainerImage | None
    """None when the image is gone."""
    repository: Repository | None = None
    services: tuple[EcsService, ...] = ()
    functions: tuple[ImageFunction, ...] = ()
    dormant: tuple[ImageFunction, ...] = ()
    """Published versions that nobody is seen to call: they do not run it, and fail when it is gone."""
    others: tuple[OtherUse, ...] = ()
    may_be_used_in: tuple[str, ...] = ()
    """Accounts and organizations that may pull it, and where this system cannot look."""
    stages: tuple[StageTransition, ...] = ()
    """Of the pipelines that the runbook names."""
    in_use_count: int = 0
    """Inspector's inUseCount: tasks and pods that run the image, seen in all accounts."""
    last_in_use_at: datetime | None = None
    project: str | None = None
    """The build project that the runbook names, where there is such a project."""
    cannot_build: str | None = None
    """Why what else the runbook has it made by, a workflow or copa, cannot do so now."""

    @property
    def versions(self) -> tuple[ImageFunction, ...]:
        """The published versions of functions that are made from it, each once, whoever calls them."""
        every = {each.arn: each for each in (*self.functions, *self.dormant)}
        return tuple(each for each in every.values() if each.version is not None and each.version.isdigit())

    @property
    def running(self) -> bool:
        """Whether anybody runs it, as far as was seen."""
        return bool(self.services or self.functions or self.others or self.in_use_count)
