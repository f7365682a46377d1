"""Which services and tasks of ECS run some images, in one account and region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from runbooks.container_image import EcsService, OtherUse
from runbooks.steps.base import Role
from tasks.gateways import ecs
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions

Members = Mapping[str, Any]
Use = EcsService | OtherUse


class SoughtImage(NamedTuple):
    """An image, by whatever a container may name it."""

    digests: frozenset[str]
    """Its own, and those of the indexes that list it."""
    names: tuple[str, ...]
    """How references by its tags end."""

    def in_these(self, containers: Iterable[ecs.Container]) -> set[str]:
        """Names of those of the containers that are made from it."""
        return {container.name for container in containers if self._is_that_of(container)}

    def is_in(self, references: Iterable[str]) -> bool:
        """Whether one of these references, by none of which anything was pulled yet, means it."""
        return any(self._is_that_of(ecs.Container("", reference, None)) for reference in references)

    def _is_that_of(self, container: ecs.Container) -> bool:
        """Before an image is pulled only the reference tells."""
        if container.digest or "@" in container.image:
            return (container.digest or container.image.partition("@")[2]) in self.digests
        return container.image.endswith(self.names)


def read_users(
    client: Any, account: str, region: str, clusters: Sequence[str], sought: Mapping[str, SoughtImage]
) -> dict[str, list[EcsService | OtherUse]]:
    """Who runs each of the images in these clusters of the account.

    A service counts when the image is what it starts next, whatever its tasks run now.

    Args:
        sought: the images, by whatever name the answer is to have them.

    Raises:
        Outside: something could not be read, so that it cannot be said who runs them.
    """
    found: dict[str, list[Use]] = {name: [] for name in sought}
    for arn in clusters:
        cluster = _Cluster(client, arn)
        for name, image in sought.items():
            found[name] += cluster.users(account, region, image)
    return found


@reads()
def run_now(aws: AwsSessions, services: Sequence[EcsService]) -> dict[str, frozenset[str]]:
    """Service ARN -> what its containers that were made from an image are made from now, as `NAME@sha256:...`.

    A service that is not there any more runs nothing. Two calls for each service, and for each hundred of its tasks.

    Raises:
        Outside: it could not be read what they run.
    """
    found: dict[str, frozenset[str]] = {}
    for service in services:
        client = aws.client("ecs", service.account, service.region, Role.READ)
        try:
            tasks = ecs.read_tasks(client, service.cluster, service.name)
        except ClientError as error:
            if code_of(error) not in ecs.NO_SUCH_SERVICE:
                raise
            tasks = []
        containers = [each for task in tasks for each in ecs.containers_of(task) if each.name in service.containers]
        found[service.arn] = frozenset(_by_digest(each) for each in containers if each.digest)
    return found


class _Cluster:
    """What one cluster shows: its tasks, its services, and what each of these starts next."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._roles: dict[str, str | None] = {}
        self._tasks = ecs.read_tasks(client, arn)
        # Every service, whatever its tasks run now: one that is rolled back starts the old image next.
        self._services = ecs.read_services(client, arn, ecs.list_services(client, arn))
        self._next = ecs.started_next(client, self._services.values())

    def users(self, account: str, region: str, image: SoughtImage) -> list[Use]:
        mine: dict[str | None, list[Members]] = defaultdict(list)
        for task in self._tasks:
            if image.in_these(ecs.containers_of(task)):
                # A service that is not active any more does not replace its tasks.
                service = _service_of(task)
                mine[service if service in self._services else None].append(task)
        found: list[Use] = []
        for name, raw in sorted(self._services.items()):
            names = image.in_these(self._next.get(raw["serviceArn"], ()))
            names = names.union(*(image.in_these(ecs.containers_of(task)) for task in mine[name]))
            if names:
                service = ecs.to_service(account, region, raw, sorted(names), len(mine[name]))
                role = self._role(service.task_definition)
                found.append(service.model_copy(update={"execution_role": role}))
        return [*found, *_alone(mine[None])]

    def _role(self, definition: str) -> str | None:
        """ARN of the role that the images of its tasks are pulled with; each definition is read once."""
        if definition not in self._roles:
            found = ecs.read_definition(self._client, definition) or {}
            self._roles[definition] = found.get("executionRoleArn")
        return self._roles[definition]


def _alone(tasks: Sequence[Members]) -> list[OtherUse]:
    """Tasks of no service: the first stands for all that have its task definition."""
    alike: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        alike[task["taskDefinitionArn"]].append(task["taskArn"])
    return [OtherUse(kind="ecs-task", arn=min(arns), count=len(arns)) for _, arns in sorted(alike.items())]


def _by_digest(container: ecs.Container) -> str:
    """What the container is made from, without its tag: a colon after the last slash begins that."""
    head, slash, last = container.image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}@{container.digest}"


def _service_of(task: Members) -> str | None:
    kind, _, name = str(task.get("group", "")).partition(":")
    return name if kind == "service" else None


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]
