"""What the sandbox keeps for one account and region beyond moto: nodes, packages, findings, commands.

Only state is here, and how it follows EC2. What happens to it lies with the services: `inventory`, `inspector`,
`commands`, `patching`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import Instance

from deployments.sandbox.clock import Clock
from deployments.sandbox.ecs_state import EcsState
from deployments.sandbox.platforms import Platform
from deployments.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from deployments.sandbox.builds import Build, Recipe
    from deployments.sandbox.codedeploy import EcsDeployment
    from deployments.sandbox.container_images import ContainerImage, ImageConfig, RunningImage
    from deployments.sandbox.functions import Function
    from deployments.sandbox.lifecycle import Preview
    from deployments.sandbox.pipelines import Transition

_MOST_EVENTS = 1000

PackageKey = tuple[str, str]


@dataclass(frozen=True)
class Package:
    """One installed package; arch as the package manager writes it, version with epoch and release.

    Attributes:
        layer: the digest of the image layer, or the ARN of the Lambda layer version, it was found in.
    """

    name: str
    arch: str
    version: str
    manager: str = "OS"
    file_path: str | None = None
    layer: str | None = None

    @property
    def key(self) -> PackageKey:
        """What makes it the same package at another version."""
        return self.name, self.arch


@dataclass(frozen=True)
class Image:
    """What an AMI holds."""

    platform: Platform
    packages: tuple[Package, ...]


@dataclass(frozen=True)
class PatchRun:
    """The last AWS-RunPatchBaseline operation on a node."""

    operation: str
    started_at: datetime
    ended_at: datetime
    snapshot_id: str
    override_list: str
    reboot_option: str
    installed: tuple[Package, ...] = ()
    failed: tuple[Package, ...] = ()
    missing: tuple[Package, ...] = ()
    without_reboot_at: datetime | None = None


@dataclass
class Node:
    """An EC2 instance as Systems Manager and Inspector know it.

    Attributes:
        registered_at: when its agent registered first; None while it is not a managed node.
        agent_from: when the agent of the present boot answers; None while the instance does not run.
        lost_at: when the agent lost its way to Systems Manager.
        inventory: the packages as inventory last saw them.
        scanned_at: when Inspector last evaluated that inventory.
        network_scanned_at: when it last evaluated which ports can be reached.
        pending_reboot: packages that wait for a reboot.
    """

    resource_type: ClassVar[str] = "AWS_EC2_INSTANCE"

    instance_id: str
    platform: Platform
    packages: dict[PackageKey, Package]
    state: str = "pending"
    registered_at: datetime | None = None
    agent_from: datetime | None = None
    lost_at: datetime | None = None
    inventory: dict[PackageKey, Package] = field(default_factory=dict)
    inventory_at: datetime | None = None
    first_scanned_at: datetime | None = None
    scanned_at: datetime | None = None
    network_scanned_at: datetime | None = None
    pending_reboot: set[PackageKey] = field(default_factory=set)
    last_patch: PatchRun | None = None
    patch_fails: bool = False
    slow: bool = False

    @property
    def resource_id(self) -> str:
        """What Inspector calls it."""
        return self.instance_id


@dataclass(frozen=True)
class VulnerablePackage:
    """A package an advisory is about. Without a fixed version every version is vulnerable."""

    name: str
    arch: str
    manager: str
    fixed_in: str | None
    stated: dict[str, Any]


@dataclass(frozen=True)
class Advisory:
    """A vulnerability as Inspector knows it on one platform.

    Attributes:
        body: the finding's members that do not depend on the resource, as the API names them.
        details: what BatchGetFindingDetails says of it beyond the finding.
    """

    vulnerability_id: str
    platform: Platform
    packages: tuple[VulnerablePackage, ...]
    body: dict[str, Any]
    details: dict[str, Any]


@dataclass
class Finding:
    """One advisory on one resource that Inspector scans, with where it stands."""

    arn: str
    resource_type: str
    resource_id: str
    advisory: Advisory
    status: str
    first_observed_at: datetime
    last_observed_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    packages: tuple[Package, ...] = ()


@dataclass
class Invocation:
    """A command on one node."""

    instance_id: str
    requested_at: datetime
    step: str
    status: str = "Pending"
    details: str = "Pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    response_code: int = -1
    stdout: str = ""
    stderr: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status not in ("Pending", "InProgress", "Delayed", "Cancelling")


@dataclass
class Command:
    """One SendCommand."""

    id: str
    document: str
    parameters: dict[str, list[str]]
    comment: str
    timeout_seconds: int
    requested_at: datetime
    invocations: dict[str, Invocation]
    targets: list[dict[str, Any]] = field(default_factory=list)
    max_concurrency: str = "50"
    max_errors: str = "0"
    cancelled: bool = False


@dataclass
class AssociationRun:
    """One execution of an association."""

    id: str
    started_at: datetime
    status: str = "Pending"
    ended_at: datetime | None = None
    node_count: int = 0


@dataclass
class Association:
    """A State Manager association."""

    id: str
    name: str
    document: str
    runs: list[AssociationRun] = field(default_factory=list)


class World:
    """One account and region. `elsewhere` finds another one, for what crosses accounts: the pull of an image."""

    def __init__(
        self,
        account: str,
        region: str,
        clock: Clock,
        settings: SandboxSettings,
        elsewhere: Callable[[str, str], World],
    ) -> None:
        self.elsewhere = elsewhere
        self.account = account
        self.region = region
        self.clock = clock
        self.settings = settings
        self.nodes: dict[str, Node] = {}
        self.images: dict[str, Image] = {}
        self.advisories: list[Advisory] = []
        self.findings: dict[str, Finding] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        """What Inspector and ECR sent to EventBridge, oldest first."""
        self.commands: dict[str, Command] = {}
        self.associations: dict[str, Association] = {}
        self.network_scan_seconds: float | None = None
        """Between two network scans; None where there are none."""
        self.repository: dict[tuple[str, str], str] = {}
        self.image_parameters: dict[str, str] = {}
        self.mirror_services: set[str] = set()
        self.launch_tokens: dict[str, tuple[str, dict[str, Any]]] = {}
        self.template_tokens: dict[str, tuple[int, dict[str, Any]]] = {}
        self.refreshes: list[Any] = []
        self.draining: dict[tuple[str, str, int], datetime] = {}
        self.ecs = EcsState()
        self.code_deployments: dict[str, EcsDeployment] = {}
        self.functions: dict[str, Function] = {}
        self.runtimes: dict[str, tuple[Package, ...]] = {}
        """What Lambda's runtimes hold that Inspector minds."""
        self.container_images: dict[str, ContainerImage] = {}
        """Every image that is or was in a repository, by its ARN with the digest."""
        self.running_images: dict[str, list[RunningImage]] = {}
        """Where a digest runs, or ran: kept up by whatever runs containers."""
        self.layers: dict[str, tuple[Package, ...]] = {}
        self.image_configs: dict[str, ImageConfig] = {}
        self.recipes: dict[str, Recipe] = {}
        self.builds: dict[str, Build] = {}
        self.transitions: dict[tuple[str, str], Transition] = {}
        self.previews: dict[str, Preview] = {}
        self._by_id: dict[str, Instance] = {}

    @property
    def ec2(self) -> EC2Backend:
        """The EC2 that moto keeps for this account and region."""
        return ec2_backends[self.account][self.region]

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        return self.clock.now()

    def instances(self) -> Iterator[Instance]:
        """Every instance, terminated ones included."""
        for reservation in self.ec2.reservations.values():
            yield from reservation.instances

    def instance(self, instance_id: str) -> Instance | None:
        """One instance, None when there is no such."""
        if instance_id not in self._by_id:
            self._by_id = {instance.id: instance for instance in self.instances()}
        return self._by_id.get(instance_id)

    def newest(self, platform: Platform, package: Package) -> str | None:
        """The newest version the platform's repositories hold, None when they hold no newer one."""
        return self.repository.get((platform.code, package.name))
