"""The steps that bring a patched image to where the old one runs: a new task definition, and a deployment of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from runbooks.steps.base import Role, Step


class RegisterTaskDefinition(Step):
    """Make a revision of a task definition like the one in use, with the new image by its digest."""

    kind: Literal["register-task-definition"] = "register-task-definition"
    calls: ClassVar = ("ecs:RegisterTaskDefinition",)
    permissions: ClassVar = (
        "ecs:ListTaskDefinitions",
        "ecs:DescribeTaskDefinition",
        "ecs:RegisterTaskDefinition",
        "ecs:TagResource",
        "iam:PassRole",
    )
    role: ClassVar = Role.PATCH
    undo_reason: ClassVar = "a revision does nothing until a service names it"

    family: str
    source: str
    """ARN of the revision it is made from."""
    containers: tuple[str, ...]
    """Names of the containers that get the new image; the others keep theirs."""
    image: str
    """repository URI, an at sign, and the digest."""

    @property
    def key(self) -> str:
        return self.key_of(self.source)

    def describe(self) -> str:
        return (
            f"Make a revision of task definition {self.family} from {self.source.rpartition('/')[2]} with {self.image}"
        )

    def expectation(self) -> str:
        return f"{self.source.rpartition('/')[2]} exists, and no revision of this operation does"


class _Deployment(Step):
    """A deployment of a task definition to an ECS service."""

    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True

    cluster: str
    service: str
    family: str
    expects: str
    """ARN of the task definition that the service has."""
    revisions: tuple[str, ...] = ()
    """What it was deployed as, as `EcsService.revisions` has it: the same task definition deployed again is a newer
    release where a tag has moved. What puts back does not ask: it takes back whatever stands there of ours."""
    leaves: str
    """ARN of the one to deploy, or `@operation` for the revision that this plan's own step made."""

    @property
    def key(self) -> str:
        kind: str = getattr(self, "kind")  # noqa: B009 - every subclass has the discriminator, the base has not
        return f"{kind}:{self.target.account}/{self.target.region}/{self.cluster}/{self.service}"

    @property
    def brings(self) -> str:
        """What it deploys, in words."""
        return "the new revision" if self.leaves.startswith("@") else self.leaves.rpartition("/")[2]

    def expectation(self) -> str:
        has = "the revision that was deployed" if self.expects.startswith("@") else self.expects.rpartition("/")[2]
        since = "" if self.undoes else ", not deployed again since the plan was made"
        return f"the service has {has}{since}, nothing is being deployed, and no alarm is raised"


class DeployService(_Deployment):
    """Deploy a task definition to an ECS service, the way the service (or the runbook) says, watched by its alarms.

    ECS itself goes back when an alarm is raised while it deploys or bakes; that is found, recorded, and a failure.
    """

    kind: Literal["deploy-service"] = "deploy-service"
    calls: ClassVar = ("ecs:UpdateService",)
    permissions: ClassVar = (
        "cloudwatch:DescribeAlarms",
        "ecs:DescribeServiceDeployments",
        "ecs:DescribeServiceRevisions",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:ListServiceDeployments",
        "ecs:ListTaskDefinitions",
        "ecs:UpdateService",
        "iam:PassRole",
    )

    strategy: Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"]
    configuration: dict[str, Any]
    """deploymentConfiguration of UpdateService, whole: strategy, bake time, alarms with rollback, circuit breaker."""
    replaces: dict[str, Any] = Field(default_factory=dict)
    """The deploymentConfiguration that the service has, which putting it back leaves."""

    @property
    def undo(self) -> Step | None:
        strategy = self.replaces.get("strategy", self.strategy)
        return self.exchanged(strategy=strategy, configuration=self.replaces, replaces=self.configuration)

    def describe(self) -> str:
        alarms: dict[str, Any] = self.configuration.get("alarms", {})
        watched = _back_when(alarms.get("alarmNames", ())) if alarms.get("enable") else ""
        return f"Deploy {self.brings} to service {self.service}: {self.strategy.lower().replace('_', '/')}{watched}"


class DeployByCodeDeploy(_Deployment):
    """Have CodeDeploy, which owns the service, deploy a task definition the way its deployment group says.

    CodeDeploy takes the traffic back when the deployment fails, or an alarm is raised while it goes on; that is found,
    recorded, and a failure. What puts back watches no alarm: a raised one may be the very reason, and would stop it.
    """

    kind: Literal["deploy-by-codedeploy"] = "deploy-by-codedeploy"
    calls: ClassVar = ("codedeploy:CreateDeployment", "codedeploy:StopDeployment")
    permissions: ClassVar = (
        "cloudwatch:DescribeAlarms",
        "codedeploy:BatchGetDeployments",
        "codedeploy:CreateDeployment",
        "codedeploy:GetDeploymentConfig",
        "codedeploy:GetDeploymentGroup",
        "codedeploy:GetDeploymentTarget",
        "codedeploy:ListDeployments",
        "codedeploy:RegisterApplicationRevision",
        "codedeploy:StopDeployment",
        "codedeploy:UpdateDeploymentGroup",  # asked of whoever names the alarms of a deployment
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:ListTaskDefinitions",
    )
    acting_reads: ClassVar = ("codedeploy:GetDeploymentConfig",)

    application: str
    group: str
    configuration: str
    """Name of the deployment configuration: how the traffic is shifted."""
    alarms: tuple[str, ...] = ()
    """All that are watched: of the group, and of the runbook."""
    properties: dict[str, Any]
    """What the AppSpec says of the service besides the task definition: load balancer, platform version, network."""
    hooks: tuple[dict[str, Any], ...] = ()
    """The functions that the AppSpec has CodeDeploy call on the way."""

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        watched = "" if self.undoes else _back_when(self.alarms)
        return f"Have CodeDeploy deploy {self.brings} to service {self.service}: {self.configuration}{watched}"


def _back_when(alarms: Sequence[str]) -> str:
    """What leads back, in words; nothing without alarms."""
    return f", going back when {', '.join(alarms)} is raised" if alarms else ""
