"""By which names an image is pulled: its digest and tags, and those of the indexes that list it.

An index is a manifest that lists the images of several platforms, under a digest of its own. Inspector scans and names
the images; a task of ECS is known by the digest of what its reference means: of the index, where that is one. Whoever
asks who runs an image must ask for the indexes as well.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from runbooks.container_image import short_digest
from runbooks.errors import Outside
from runbooks.gating.coverage import INDEX_MEDIA_TYPES
from runbooks.gating.subject import Platform
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import HUNDRED, pages, portions
from tasks.gateways.ecr import NO_REPOSITORY, EcrGateway

_PAGE = {"PageSize": 1000}


class ImageNames(NamedTuple):
    """By what an image is pulled."""

    digests: frozenset[str]
    tags: frozenset[str] = frozenset()


def read_names(client: Any, account: str, repository: str, digests: Collection[str]) -> dict[str, ImageNames]:
    """The names of each image, of a repository that is not there its digest alone.

    A call for a thousand images of the repository, and one for a hundred of its indexes.

    Raises:
        Outside: ECR does not hand out an index, so that it cannot be said what it lists.
    """
    images = {one["imageDigest"]: one for one in _images(client, account, repository)}
    platforms = read_platforms(client, account, repository, _indexes_in(images))
    found: dict[str, ImageNames] = {}
    for digest in digests:
        listing = (index for index, listed in platforms.items() if any(each.digest == digest for each in listed))
        same = frozenset({digest, *listing})
        tags = frozenset(tag for one in same & set(images) for tag in images[one].get("imageTags") or ())
        found[digest] = ImageNames(same, tags)
    return found


def read_runnable(client: Any, account: str, repository: str, digests: Collection[str]) -> dict[str, frozenset[str]]:
    """The images that somebody may run by each digest: those that an index lists, of an attestation none, else itself.

    The calls of `read_names`. An attestation that no index lists any more is not told from an image.

    Raises:
        Outside: ECR does not hand out an index, so that it cannot be said what it lists.
    """
    images = {one["imageDigest"]: one for one in _images(client, account, repository)}
    manifests = _manifests(client, account, repository, _indexes_in(images))
    platforms = {index: frozenset(each.digest for each in _platforms(listed)) for index, listed in manifests.items()}
    attestations = {one["digest"] for listed in manifests.values() for one in listed if _is_attestation(one)}
    nothing = attestations.difference(*platforms.values())
    return {
        digest: platforms.get(digest, frozenset() if digest in nothing else frozenset({digest})) for digest in digests
    }


def read_platforms(
    client: Any, account: str, repository: str, indexes: Collection[str]
) -> dict[str, tuple[Platform, ...]]:
    """Index -> the images it lists: a call for a hundred; an index that is not there any more is absent.

    Raises:
        Outside: ECR does not hand out one of them.
    """
    manifests = _manifests(client, account, repository, indexes)
    return {index: _platforms(listed) for index, listed in manifests.items()}


def _manifests(
    client: Any, account: str, repository: str, indexes: Collection[str]
) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for portion in portions(sorted(indexes), HUNDRED):
        answer = client.batch_get_image(
            registryId=account,
            repositoryName=repository,
            imageIds=[{"imageDigest": digest} for digest in portion],
            acceptedMediaTypes=list(INDEX_MEDIA_TYPES),
        )
        for raw in answer.get("images") or ():
            found[raw["imageId"]["imageDigest"]] = json.loads(raw["imageManifest"]).get("manifests") or []
        for failure in answer.get("failures") or ():
            if failure.get("failureCode") != "ImageNotFound":
                which = f"{repository}@{(failure.get('imageId') or {}).get('imageDigest')}"
                raise Outside(f"ECR does not hand out the manifest of {which}: {failure.get('failureCode')}")
    return found


class IndexGateway:
    """Reads what indexes list."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def platforms(self, account: str, region: str, repository: str, digest: str) -> tuple[str, ...]:
        """The images that an index lists; of an image just that, and of what is not there nothing.

        Raises:
            Outside: ECR does not tell.
        """
        image = EcrGateway(self._sessions).image(account, region, repository, digest=digest)
        if image is None:
            return ()
        if image.media_type not in INDEX_MEDIA_TYPES:
            return (digest,)
        return tuple(each.digest for each in self.listed(account, region, repository, digest))

    @reads()
    def listed(self, account: str, region: str, repository: str, index: str) -> tuple[Platform, ...]:
        """The images that this index lists; none where it is not there.

        Raises:
            Outside: ECR does not tell.
        """
        client = self._sessions.client("ecr", account, region, Role.READ)
        return read_platforms(client, account, repository, [index]).get(index, ())


def _images(client: Any, account: str, repository: str) -> list[Mapping[str, Any]]:
    """Those that can be pulled: archived ones are not among them unless they are asked for."""
    request: dict[str, Any] = {"registryId": account, "repositoryName": repository, "PaginationConfig": _PAGE}
    try:
        return list(pages(client, "describe_images", "imageDetails", **request))
    except ClientError as error:
        if code_of(error) == NO_REPOSITORY:
            return []
        raise


def _indexes_in(images: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [digest for digest, one in images.items() if one.get("imageManifestMediaType") in INDEX_MEDIA_TYPES]


def _platforms(listed: Iterable[Mapping[str, Any]]) -> tuple[Platform, ...]:
    """The images, each once, without what BuildKit puts beside them: nobody runs or scans an attestation."""
    images: dict[str, Platform] = {}
    for one in listed:
        if not _is_attestation(one):
            digest = one["digest"]
            name = _name(one.get("platform") or {}) or short_digest(digest)
            images.setdefault(digest, Platform(name=name, digest=digest))
    return tuple(images.values())


def _is_attestation(listed: Mapping[str, Any]) -> bool:
    """By the platform, on which nothing runs (Docker, "Image attestation storage"); an annotation keeps nobody off."""
    platform = listed.get("platform") or {}
    return platform.get("os") == platform.get("architecture") == "unknown"


def _name(platform: Mapping[str, Any]) -> str:
    """As docker writes it; images of Windows differ by its version."""
    parts = "/".join(filter(None, (str(platform.get(part) or "") for part in ("os", "architecture", "variant"))))
    return " ".join(filter(None, (parts, str(platform.get("os.version") or ""))))
