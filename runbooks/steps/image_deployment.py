"""The steps that bring a patched image to where the old one runs: a new task definition, and a deployment of it."""

from __future__ import annotations

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
        return f"{self.kind}:{self.target.account}/{self.target.region}/{self.source}"

    def describe(self) -> str:
        return (
            f"Make a revision of task definition {self.family} from {self.source.rpartition('/')[2]} with {self.image}"
        )

    def expectation(self) -> str:
        return f"{self.source.rpartition('/')[2]} exists, and no revision of this operation does"


class DeployService(Step):
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
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True

    cluster: str
    service: str
    family: str
    expects: str
    """ARN of the task definition that the service has."""
    leaves: str
    """ARN of the one to deploy, or `@operation` for the revision that this plan's own step made."""
    strategy: Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"]
    configuration: dict[str, Any]
    """deploymentConfiguration of UpdateService, whole: strategy, bake time, alarms with rollback, circuit breaker."""
    replaces: dict[str, Any] = Field(default_factory=dict)
    """The deploymentConfiguration that the service has, which putting it back leaves."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.account}/{self.target.region}/{self.cluster}/{self.service}"

    @property
    def undo(self) -> Step | None:
        return self.model_copy(
            update={
                "expects": self.leaves,
                "leaves": self.expects,
                "strategy": self.replaces.get("strategy", self.strategy),
                "configuration": self.replaces,
                "replaces": self.configuration,
                "undoes": not self.undoes,
            },
        )

    def describe(self) -> str:
        what = "the new revision" if self.leaves.startswith("@") else self.leaves.rpartition("/")[2]
        alarms: dict[str, Any] = self.configuration.get("alarms", {})
        names = ", ".join(alarms.get("alarmNames", ())) if alarms.get("enable") else ""
        watched = f", going back when {names} is raised" if names else ""
        return f"Deploy {what} to service {self.service}: {self.strategy.lower().replace('_', '/')}{watched}"

    def expectation(self) -> str:
        has = "the revision that was deployed" if self.expects.startswith("@") else self.expects.rpartition("/")[2]
        return f"the service has {has}, nothing is being deployed, and no alarm is raised"
