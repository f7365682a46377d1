"""What the sandbox keeps of Amazon ECS beyond moto: services, their deployments and revisions, and every task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

UNDER_WAY = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


@dataclass
class Revision:
    """What one deployment brings: a task definition, with the digest each container's image had when first pulled.

    Every later task of the revision gets that digest, wherever a tag has moved since (Amazon ECS developer guide,
    "Container image resolution").
    """

    arn: str
    task_definition: str
    created_at: datetime
    digests: dict[str, str] = field(default_factory=dict)


@dataclass
class Container:
    """One container of a task."""

    name: str
    image: str
    digest: str | None = None


@dataclass
class Task:
    """One task, of a service or run by itself."""

    arn: str
    cluster: str
    group: str
    task_definition: str
    revision: Revision
    containers: list[Container]
    created_at: datetime
    started_by: str = ""
    launch_type: str = "FARGATE"
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it runs or is about to."""
        return self.desired == "RUNNING" and self.status != "STOPPED"

    @property
    def is_running(self) -> bool:
        """Whether it runs and is to go on."""
        return self.desired == "RUNNING" and self.status == "RUNNING"


@dataclass(frozen=True)
class Step:
    """One stage of a deployment: what share of the traffic the new revision has, and for how many seconds."""

    stage: str
    traffic: float
    seconds: float


@dataclass
class Rollout:
    """An entry of DescribeServices.deployments: a revision and how its tasks fare."""

    id: str
    revision: Revision
    created_at: datetime
    updated_at: datetime
    status: str = "PRIMARY"
    state: str = "IN_PROGRESS"
    reason: str = ""
    failed_tasks: int = 0


@dataclass
class Deployment:
    """A service deployment, with its way back when it has one.

    Attributes:
        source: the revision that was completed last before it; None for a service's first.
        steps: the stages that are yet to come, the present one first.
        step_since: when the present stage began.
        watched: the alarms that are looked at.
        back_because: why it goes back, once it does.
    """

    arn: str
    source: Revision | None
    target: Revision
    configuration: dict[str, Any]
    created_at: datetime
    steps: list[Step]
    step_since: datetime
    watched: list[str] = field(default_factory=list)
    triggered: list[str] = field(default_factory=list)
    breaker_tripped: bool = False
    status: str = "PENDING"
    reason: str = ""
    traffic: float = 0.0
    failed_tasks: int = 0
    back_because: str = ""
    back_since: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def under_way(self) -> bool:
        """Whether it still changes the service."""
        return self.status in UNDER_WAY

    @property
    def goes_back(self) -> bool:
        """Whether it is on its way back."""
        return self.status == "ROLLBACK_IN_PROGRESS"


@dataclass
class Service:
    """A service. `stated` holds what CreateService said of it that the sandbox only repeats."""

    arn: str
    name: str
    cluster: str
    desired: int
    configuration: dict[str, Any]
    controller: str
    created_at: datetime
    stated: dict[str, Any] = field(default_factory=dict)
    status: str = "ACTIVE"
    rollouts: list[Rollout] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    is_tended: bool = False
    tried_at: datetime | None = None

    @property
    def group(self) -> str:
        """The group its tasks are in."""
        return f"service:{self.name}"

    @property
    def primary(self) -> Rollout:
        """The rollout it wants to be in."""
        return self.rollouts[0]

    @property
    def deployment(self) -> Deployment | None:
        """The deployment that is under way, if any."""
        return next((one for one in reversed(self.deployments) if one.under_way), None)


@dataclass
class EcsState:
    """Everything of ECS in one account and region; services by cluster and name, tasks by ARN."""

    services: dict[tuple[str, str], Service] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def tasks_of(self, service: Service) -> list[Task]:
        """The service's tasks, stopped ones included, oldest first."""
        return [one for one in self.tasks.values() if one.group == service.group and one.cluster == service.cluster]
