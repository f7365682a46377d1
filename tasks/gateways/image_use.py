"""Who runs a container image: services and tasks of ECS, functions of Lambda, and whom only Inspector sees; and who
starts it later, by EventBridge or AWS Batch.

All but Inspector's is read as it is now. What runs in EKS, and in accounts that cannot be read, is what Inspector has
seen there, up to 36 hours late (Inspector user guide, "Scanning Amazon ECR container images"). Whatever cannot be read
raises: that nobody runs an image is never concluded from silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from runbooks import timestamps
from runbooks.container_image import EcsService, ImageFunction, OtherUse
from runbooks.errors import AccessDenied, BadInput
from runbooks.model import Model
from runbooks.pull_permissions import Pullers, who_may_pull
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import TEN, each, pages, portions
from tasks.gateways.ecr import read_registry_policy, read_repository_policies
from tasks.gateways.ecs import read_clusters
from tasks.gateways.image_functions import read_image_functions
from tasks.gateways.image_indexes import ImageNames, read_names
from tasks.gateways.image_schedules import read_schedules
from tasks.gateways.image_tasks import SoughtImage, read_users

Members = Mapping[str, Any]
Place = tuple[str, str]
"""Account and region."""
Use = EcsService | ImageFunction | OtherUse

_SERVICES = ("batch", "ecs", "events", "lambda", "scheduler")
_IMAGE = re.compile(r"arn:[\w-]+:ecr:[\w-]+:\d{12}:repository/(?P<repository>.+)/(?P<digest>sha256:[0-9a-f]{64})")


class ImageUse(Model):
    """Who runs one image."""

    services: tuple[EcsService, ...] = ()
    """Of ECS, those without tasks included: the image is what they start next."""
    functions: tuple[ImageFunction, ...] = ()
    """One for each alias; without an alias for each version that somebody is seen to call by its number."""
    dormant: tuple[ImageFunction, ...] = ()
    """Published versions that nobody is seen to call, and that fail when the image is gone."""
    others: tuple[OtherUse, ...] = ()
    tags: tuple[str, ...] = ()
    """By which it is pulled now: its own, and those of the indexes that list it."""
    in_use_count: int = 0
    """Inspector's inUseCount, up to 36 hours late: whatever of it is known better stands above."""
    last_in_use_at: datetime | None = None
    listed: bool = False
    """Whether Inspector lists the image; where it does not, nobody tells who else runs it."""
    may_be_used_in: tuple[str, ...] = ()
    """Accounts and organizations that may pull it, and that could not be read: whom Inspector does not count there,
    such as a function or a service without a task, nobody tells."""

    @property
    def running(self) -> bool:
        """Whether anybody runs it, or starts it as soon as there is something to do."""
        return bool(self.services or self.functions or self.others)


class _Seen(NamedTuple):
    """What Inspector says of the use of one image."""

    clusters: tuple[Members, ...]
    in_use: int = 0
    last: datetime | None = None
    listed: bool = False


@reads()
def who_runs(aws: AwsSessions, account: str, region: str, images: Sequence[str]) -> dict[str, ImageUse]:
    """Who runs each of these images: in its own account, in those that may pull it, and wherever Inspector has seen one
    of them in ECS.

    The policies of registry and repository tell who may pull, and name no region: those accounts are read in the
    image's own, where a function has to be (Lambda developer guide, "Create a function using a container image").

    Calls, for all images together: Inspector, one for ten images and one for each; ECR, one, and for each repository
    one, one for a thousand images and one for a hundred indexes. In each account and region that may run any of them:
    ECS, two for a hundred tasks, one for a hundred services, one for ten services that run one or have no task, and of
    the latter one for twenty, or for each task definition where ECS tells of no revision, and one for each task
    definition of those that run one; EventBridge and Batch as `read_schedules` says, Lambda as `read_image_functions`.

    Args:
        images: as Inspector names them, `arn:aws:ecr:REGION:ACCOUNT:repository/NAME/sha256:...`, which is also a case's
            resource id; all of them of `account` and `region`.

    Returns:
        The use of every image asked about, by that name.

    Raises:
        BadInput: one of them is not named so.
        Outside: something could not be read, so that it cannot be said who runs them.
    """
    named = {arn: _parsed(arn) for arn in images}
    seen = _seen_by_inspector(aws, account, region, list(named))
    names = _names(aws, account, region, named)
    sought = {arn: _sought(named[arn]["repository"], each) for arn, each in names.items()}
    pullers = _pullers(aws, account, region, named)
    home = (account, region)
    allowed = {(other, region) for each in pullers.values() for other in each.accounts}
    found: dict[str, list[Use]] = {arn: [] for arn in named}
    unread: set[Place] = set()
    for place in sorted({home, *allowed, *_places(seen.values())}):
        try:
            here = _in_place(aws, place, sought)
        except AccessDenied:
            if place == home:
                raise
            unread.add(place)
        else:
            found = {arn: found[arn] + here[arn] for arn in found}
    return {
        arn: _use(known, [*found[arn], *_elsewhere(arn, known, unread)]).model_copy(
            update={
                "tags": tuple(sorted(names[arn].tags)),
                "may_be_used_in": tuple(_out_of_sight(pullers[arn], known, unread)),
            }
        )
        for arn, known in seen.items()
    }


def _parsed(arn: str) -> re.Match[str]:
    match = _IMAGE.fullmatch(arn)
    if match is None:
        form = "arn:aws:ecr:REGION:ACCOUNT:repository/NAME/sha256:..."
        raise BadInput(f"{arn} does not name an image as Inspector does: {form}")
    return match


def _seen_by_inspector(aws: AwsSessions, account: str, region: str, images: Sequence[str]) -> dict[str, _Seen]:
    client = aws.client("inspector2", account, region, Role.READ)
    clusters = each(
        lambda arn: tuple(pages(client, "get_clusters_for_image", "cluster", filter={"resourceId": arn})), images
    )
    found = {arn: _Seen(clusters[arn]) for arn in images}
    for portion in portions(images, TEN):
        criteria = {"resourceId": [{"comparison": "EQUALS", "value": arn} for arn in portion]}
        for row in pages(client, "list_coverage", "coveredResources", filterCriteria=criteria):
            known = (row.get("resourceMetadata") or {}).get("ecrImage") or {}
            last = known.get("lastInUseAt")
            found[row["resourceId"]] = _Seen(
                clusters=clusters[row["resourceId"]],
                in_use=known.get("inUseCount", 0),
                last=None if last is None else timestamps.read(last),
                listed=True,
            )
    return found


def _names(aws: AwsSessions, account: str, region: str, named: Mapping[str, re.Match[str]]) -> dict[str, ImageNames]:
    client = aws.client("ecr", account, region, Role.READ)
    digests: dict[str, list[str]] = {}
    for match in named.values():
        digests.setdefault(match["repository"], []).append(match["digest"])
    names = each(lambda repository: read_names(client, account, repository, digests[repository]), sorted(digests))
    return {arn: names[match["repository"]][match["digest"]] for arn, match in named.items()}


def _sought(repository: str, known: ImageNames) -> SoughtImage:
    endings = {f"/{repository}:{tag}" for tag in known.tags} | ({f"/{repository}"} if "latest" in known.tags else set())
    return SoughtImage(known.digests, tuple(sorted(endings)))


def _pullers(aws: AwsSessions, account: str, region: str, named: Mapping[str, re.Match[str]]) -> dict[str, Pullers]:
    """Whom the registry and the repository of each image let pull; by the latter nobody where it is gone."""
    client = aws.client("ecr", account, region, Role.READ)
    policies = read_repository_policies(client, account, [match["repository"] for match in named.values()])
    registry = read_registry_policy(client)
    return {arn: who_may_pull(registry, policies.get(match["repository"])) for arn, match in named.items()}


@reads()
def _in_place(aws: AwsSessions, place: Place, sought: Mapping[str, SoughtImage]) -> dict[str, list[Use]]:
    account, region = place
    clients = {name: aws.client(name, account, region, Role.READ) for name in _SERVICES}
    clusters = read_clusters(clients["ecs"])
    users = read_users(clients["ecs"], account, region, clusters, sought)
    later = read_schedules(clients, account, region, clusters, sought)
    wanted = {digest for image in sought.values() for digest in image.digests}
    functions = read_image_functions(clients["lambda"], account, region, wanted)
    return {
        arn: [
            *users[arn],
            *later[arn],
            *(function for function, digests in functions if image.digests & digests),
        ]
        for arn, image in sought.items()
    }


def _places(seen: Iterable[_Seen]) -> set[Place]:
    """Where ECS runs one of the images, or has."""
    return {_place_of(cluster) for known in seen for cluster in known.clusters if _is_ecs(cluster)}


def _elsewhere(arn: str, seen: _Seen, unread: set[Place]) -> list[OtherUse]:
    """Whom only Inspector sees: EKS, accounts that were not read, and what it counts and does not name."""
    named = [(cluster, _running_in(cluster)) for cluster in seen.clusters]
    uses = [
        OtherUse(kind="other" if _is_ecs(cluster) else "eks-cluster", arn=cluster["clusterArn"], count=running)
        for cluster, running in named
        if running and (not _is_ecs(cluster) or _place_of(cluster) in unread)
    ]
    unnamed = seen.in_use - sum(running for _, running in named)
    return [*uses, OtherUse(kind="other", arn=arn, count=unnamed)] if unnamed > 0 else uses


def _out_of_sight(pullers: Pullers, seen: _Seen, unread: set[Place]) -> Iterator[str]:
    """Where it may be used and nobody has looked."""
    may_use = pullers.accounts | {_place_of(cluster)[0] for cluster in seen.clusters if _is_ecs(cluster)}
    yield from (f"account {account}" for account in sorted(may_use & {account for account, _ in unread}))
    yield from pullers.unbounded


def _use(seen: _Seen, uses: Iterable[Use]) -> ImageUse:
    found = list(uses)
    return ImageUse(
        services=tuple(one for one in found if isinstance(one, EcsService)),
        functions=tuple(one for one in found if isinstance(one, ImageFunction) and not one.dormant),
        dormant=tuple(one for one in found if isinstance(one, ImageFunction) and one.dormant),
        others=tuple(one for one in found if isinstance(one, OtherUse)),
        in_use_count=seen.in_use,
        last_in_use_at=seen.last,
        listed=seen.listed,
    )


def _running_in(cluster: Members) -> int:
    return sum(one.get("runningUnitCount", 0) for one in cluster.get("clusterDetails") or ())


def _is_ecs(cluster: Members) -> bool:
    return str(cluster["clusterArn"]).split(":")[2] == "ecs"


def _place_of(cluster: Members) -> Place:
    _, _, _, region, account, _ = str(cluster["clusterArn"]).split(":", 5)
    return account, region
