"""What an image was built from, by the annotations of its manifest (OCI image specification, "Annotations").

The base is looked up where its name says it is, when that is a private registry of ECR that the read role of its
account may read. What may not be read is left out: it makes a plan poorer, and stops none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.container_image import BaseImage, ContainerImage
from runbooks.errors import AccessDenied, BadInput
from runbooks.gating.coverage import INDEX_MEDIA_TYPES
from runbooks.gating.subject import ImageName
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import HUNDRED, portions

Manifest = Mapping[str, Any]

MEDIA_TYPES = (
    *INDEX_MEDIA_TYPES,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
"""Of the manifests that are taken as they are: without it a registry may give one in the form of another."""

_log = logging.getLogger(__name__)
_NAME = "org.opencontainers.image.base.name"
_DIGEST = "org.opencontainers.image.base.digest"


class BaseImages:
    """Finds the base images of others.

    Args:
        image: reads one image of a registry by its tag; None where there is none.
    """

    def __init__(self, sessions: AwsSessions, image: Callable[..., ContainerImage | None]) -> None:
        self._sessions = sessions
        self._image = image

    def of(self, account: str, region: str, repository: str, digests: Sequence[str]) -> dict[str, BaseImage]:
        """The base of each image whose manifest names one, and may be read.

        Raises:
            Outside: AWS did not answer.
        """
        manifests = self._readable(account, region, repository, digests)
        known: dict[tuple[str, str | None, tuple[str, ...]], BaseImage] = {}
        found: dict[str, BaseImage] = {}
        for digest, manifest in manifests.items():
            named = manifest.get("annotations") or {}
            if name := named.get(_NAME):
                key = (name, named.get(_DIGEST), layers_of(manifest)[:1])
                known[key] = known.get(key) or self._base(name, named.get(_DIGEST), layers_of(manifest))
                found[digest] = known[key]
        return found

    def _base(self, name: str, digest: str | None, layers: tuple[str, ...]) -> BaseImage:
        """The base by its annotations, with what ECR knows of it.

        Args:
            layers: those of the image that was built from it.
        """
        try:
            home = ImageName.parse(name)
        except BadInput:
            return BaseImage(name=name, digest=digest)
        return BaseImage(
            name=name,
            digest=digest,
            newest=self._newest(home, digest),
            layers=self._layers_of(home, digest, layers) if digest else (),
        )

    def _newest(self, home: ImageName, digest: str | None) -> str | None:
        """The digest that the name's tag stands for now: the base's own while that is among the tag's platforms."""
        if home.tag is None:
            return None
        try:
            newest = self._image(home.account, home.region, home.repository, tag=home.tag)
        except AccessDenied as error:
            _log.warning("the newest image of %s is not known: %s", home, error.detail)
            return None
        if newest is None:
            return None
        index = self._readable(home.account, home.region, home.repository, [newest.digest]).get(newest.digest, {})
        return digest if digest in _platforms(index) else newest.digest

    def _layers_of(self, home: ImageName, digest: str, layers: tuple[str, ...]) -> tuple[str, ...]:
        """The layers of the base: of an index those of the platform that the image begins with."""
        place = (home.account, home.region, home.repository)
        manifest = self._readable(*place, [digest]).get(digest, {})
        platforms = self._readable(*place, _platforms(manifest)).values()
        candidates = [layers_of(each) for each in (manifest, *platforms)]
        return next((found for found in candidates if found and layers[: len(found)] == found), ())

    def _readable(self, account: str, region: str, repository: str, digests: Sequence[str]) -> dict[str, Manifest]:
        try:
            return self._manifests(account, region, repository, digests)
        except AccessDenied as error:
            _log.warning("manifests of %s in %s/%s may not be read: %s", repository, account, region, error.detail)
            return {}

    @reads()
    def _manifests(self, account: str, region: str, repository: str, digests: Sequence[str]) -> dict[str, Manifest]:
        """The manifests of those of the images that are there."""
        return read_manifests(self._sessions.client("ecr", account, region, Role.READ), account, repository, digests)


def read_manifests(client: Any, account: str, repository: str, digests: Sequence[str]) -> dict[str, Manifest]:
    """The manifest of each of the images that is there, by its digest."""
    found: dict[str, Manifest] = {}
    for portion in portions(digests, HUNDRED):
        ids = [{"imageDigest": digest} for digest in portion]
        try:
            answer = client.batch_get_image(
                registryId=account, repositoryName=repository, imageIds=ids, acceptedMediaTypes=[*MEDIA_TYPES]
            )
        except ClientError as error:
            if code_of(error) != "RepositoryNotFoundException":
                raise
            break
        found |= {raw["imageId"]["imageDigest"]: json.loads(raw["imageManifest"]) for raw in answer["images"]}
    return found


def layers_of(manifest: Manifest) -> tuple[str, ...]:
    """The digests of its layers, the lowest first."""
    return tuple(layer["digest"] for layer in manifest.get("layers") or ())


def _platforms(manifest: Manifest) -> list[str]:
    """The images that an index lists."""
    return [one["digest"] for one in manifest.get("manifests") or ()]
