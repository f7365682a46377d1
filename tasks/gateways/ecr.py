"""Amazon ECR: the images of a repository, what they were built from, and the rules of the repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from runbooks import timestamps
from runbooks.container_image import ContainerImage, Repository
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.base_images import BaseImages
from tasks.gateways.bulk import HUNDRED, each, portions, tags_of
from tasks.gateways.inspector import partition_of

Members = Mapping[str, Any]
ItemT = TypeVar("ItemT")

NO_IMAGE = "ImageNotFoundException"
NO_REPOSITORY = "RepositoryNotFoundException"


class EcrGateway:
    """Reads ECR's private registries, a hundred images or repositories in a call."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def image(
        self, account: str, region: str, repository: str, *, tag: str | None = None, digest: str | None = None
    ) -> ContainerImage | None:
        """The image with this digest, or the one that the tag stands for now; None where there is none."""
        wanted = {"imageDigest": digest} if digest else {"imageTag": str(tag)}
        found = next(iter(read_images(self._client(account, region), account, repository, [wanted])), None)
        return None if found is None else _image(account, region, repository, found)

    @reads()
    def images(
        self, account: str, region: str, repository: str, digests: Sequence[str]
    ) -> dict[str, ContainerImage | None]:
        """Each image with the base that it says it was built from; None for one that is not there any more."""
        client = self._client(account, region)
        wanted = [{"imageDigest": digest} for digest in dict.fromkeys(digests)]
        raws = {raw["imageDigest"]: raw for raw in read_images(client, account, repository, wanted)}
        images = {digest: _image(account, region, repository, raw) for digest, raw in raws.items()}
        active = [digest for digest, image in images.items() if not image.archived]
        bases = BaseImages(self._sessions, self.image).of(account, region, repository, active)
        return {
            digest: images[digest].model_copy(update={"base": bases.get(digest)}) if digest in images else None
            for digest in digests
        }

    @reads()
    def repositories(self, account: str, region: str, names: Sequence[str]) -> dict[str, Repository | None]:
        """Each repository with its policies and tags; None for one that is not there."""
        client = self._client(account, region)
        raws = {raw["repositoryName"]: raw for raw in read_repositories(client, account, names)}
        present = sorted(raws)
        policies = read_repository_policies(client, account, present)
        lifecycles = read_lifecycle_policies(client, account, present)
        tags = self._tags(account, region, [raws[name]["repositoryArn"] for name in present])
        found = {
            name: Repository(
                name=name,
                uri=raw["repositoryUri"],
                tag_mutability=raw.get("imageTagMutability", "MUTABLE"),
                policy=policies.get(name),
                lifecycle_policy=lifecycles.get(name),
                reader=self._sessions.role_in(account, Role.READ),
                tags=tags[raw["repositoryArn"]],
            )
            for name, raw in raws.items()
        }
        return {name: found.get(name) for name in names}

    @reads()
    def repository_tags(self, account: str, region: str, repository: str) -> dict[str, str]:
        """The repository's tags; none where it is not there any more."""
        arn = f"arn:{partition_of(region)}:ecr:{region}:{account}:repository/{repository}"
        try:
            return self._tags(account, region, [arn])[arn]
        except ClientError as error:
            if code_of(error) != NO_REPOSITORY:
                raise
            return {}

    def _tags(self, account: str, region: str, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        client = self._client(account, region)
        return each(lambda arn: tags_of({"Tags": client.list_tags_for_resource(resourceArn=arn)["tags"]}), arns)

    def _client(self, account: str, region: str) -> Any:
        return self._sessions.client("ecr", account, region, Role.READ)


def read_images(client: Any, account: str, repository: str, ids: Iterable[Mapping[str, str]]) -> Iterator[Members]:
    """What DescribeImages shows of these image ids, archived ones too; what is not there is just absent."""
    ask = partial(client.describe_images, registryId=account, repositoryName=repository, filter={"imageStatus": "ANY"})
    try:
        for portion in portions(list(ids), HUNDRED):
            yield from _present(lambda some: ask(imageIds=list(some))["imageDetails"], portion, NO_IMAGE)
    except ClientError as error:
        if code_of(error) != NO_REPOSITORY:
            raise


def read_repositories(client: Any, account: str, names: Iterable[str]) -> Iterator[Members]:
    """What DescribeRepositories shows of these; what is not there is just absent."""
    ask = partial(client.describe_repositories, registryId=account)
    for portion in portions(sorted(set(names)), HUNDRED):
        yield from _present(lambda some: ask(repositoryNames=list(some))["repositories"], portion, NO_REPOSITORY)


def read_repository_policies(client: Any, account: str, names: Iterable[str]) -> dict[str, str | None]:
    """The text of each repository's policy, None where it has none; a repository that is not there is absent."""
    ask = partial(client.get_repository_policy, registryId=account)
    return _texts(ask, "policyText", "RepositoryPolicyNotFoundException", names)


def read_registry_policy(client: Any) -> str | None:
    """The text of the policy of the client's own registry, which holds for every repository; None where it has none."""
    try:
        return client.get_registry_policy()["policyText"]
    except ClientError as error:
        if code_of(error) != "RegistryPolicyNotFoundException":
            raise
        return None


def read_lifecycle_policies(client: Any, account: str, names: Iterable[str]) -> dict[str, str | None]:
    """The text of each repository's lifecycle policy, as `read_repository_policies`."""
    ask = partial(client.get_lifecycle_policy, registryId=account)
    return _texts(ask, "lifecyclePolicyText", "LifecyclePolicyNotFoundException", names)


def _present(ask: Callable[[Sequence[ItemT]], list[Members]], ids: Sequence[ItemT], absent: str) -> list[Members]:
    """The answer for those of the ids that are there: one that is not fails the call for all, so that it is halved."""
    try:
        return ask(ids)
    except ClientError as error:
        if code_of(error) != absent:
            raise
    if len(ids) == 1:
        return []
    half = len(ids) // 2
    return [*_present(ask, ids[:half], absent), *_present(ask, ids[half:], absent)]


def _texts(ask: Callable[..., Members], member: str, none: str, names: Iterable[str]) -> dict[str, str | None]:
    def text(name: str) -> list[str | None]:
        try:
            return [ask(repositoryName=name)[member]]
        except ClientError as error:
            if code_of(error) not in (none, NO_REPOSITORY):
                raise
            return [None] if code_of(error) == none else []

    return {name: found[0] for name, found in each(text, sorted(set(names))).items() if found}


def _image(account: str, region: str, repository: str, raw: Members) -> ContainerImage:
    return ContainerImage(
        account=account,
        region=region,
        repository=repository,
        digest=raw["imageDigest"],
        tags=tuple(sorted(raw.get("imageTags") or ())),
        pushed_at=timestamps.read(raw["imagePushedAt"]) if "imagePushedAt" in raw else None,
        archived=raw.get("imageStatus") == "ARCHIVED",
        media_type=raw.get("imageManifestMediaType"),
    )
