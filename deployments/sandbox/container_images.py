"""What a container image holds, and how it stands in its repository.

Everything follows from the manifest, as OCI has it: its config names the operating system, each of its layers brings
packages, and its annotations name the base image and the commit (OCI image specification, "Image Manifest" and
"Annotations"). The sandbox keeps what lies behind the digests of configs and layers; of others it knows nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal

from moto.ecr.models import Image

from deployments.sandbox.platforms import Platform
from deployments.sandbox.world import Package, PackageKey, World

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_BASE_NAME = "org.opencontainers.image.base.name"
_REVISION = "org.opencontainers.image.revision"
_UNKNOWN = Platform("UNKNOWN")


@dataclass(frozen=True)
class ImageConfig:
    """What an image's config says of it."""

    platform: Platform
    architecture: str = "amd64"


@dataclass(frozen=True)
class Layer:
    """One layer with the packages it installs or replaces."""

    digest: str
    packages: tuple[Package, ...]


@dataclass(frozen=True)
class Content:
    """What an image holds.

    Attributes:
        layers: bottom first; those of the base image come before the image's own.
        base_digest: the image it was built from, None when it says nothing of it.
        base_name: the reference it was built from, with its tag.
        source_commit: the commit of the sources.
    """

    config: ImageConfig
    layers: tuple[Layer, ...]
    base_digest: str | None = None
    base_name: str | None = None
    source_commit: str | None = None

    @property
    def packages(self) -> dict[PackageKey, Package]:
        """What is installed when all layers lie on each other, each package with the layer it comes from."""
        return {one.key: replace(one, layer=layer.digest) for layer in self.layers for one in layer.packages}


@dataclass
class ContainerImage:
    """An image in an ECR repository, as ECR and Inspector know it.

    Attributes:
        record: what moto keeps of it: digest, manifest, tags.
        status: ECR's word for it, and DELETED once it is gone.
        first_scanned_at: when its initial scan was complete; None again while a restored image waits for its scan.
    """

    resource_type: ClassVar[str] = "AWS_ECR_CONTAINER_IMAGE"

    resource_id: str
    repository: str
    record: Image
    content: Content
    pushed_at: datetime
    status: Literal["ACTIVE", "ARCHIVED", "ACTIVATING", "DELETED"] = "ACTIVE"
    archived_at: datetime | None = None
    activated_at: datetime | None = None
    pulled_at: datetime | None = None
    first_scanned_at: datetime | None = None
    scanned_at: datetime | None = None

    @property
    def digest(self) -> str:
        """The digest of its manifest."""
        return self.record.get_image_digest()

    @property
    def tags(self) -> list[str]:
        """Its tags now; once it is deleted, the last it had."""
        return self.record.image_tags

    @property
    def platform(self) -> Platform:
        """Its operating system."""
        return self.content.config.platform

    @property
    def inventory(self) -> dict[PackageKey, Package]:
        """The packages Inspector finds in it."""
        return self.content.packages

    @property
    def is_index(self) -> bool:
        """Whether it is only a list of images, which Inspector does not scan."""
        return self.record.image_manifest_media_type in _INDEXES


@dataclass(frozen=True)
class RunningImage:
    """Where a digest runs, or ran: what GetClustersForImage tells of it.

    Attributes:
        group: the ECS task's group such as service:checkout, or the EKS namespace.
        workload: the task definition's ARN, or the EKS workload's name.
        running: tasks or pods that run it now.
        stopped: tasks or pods that ran it and have stopped.
    """

    cluster_arn: str
    kind: Literal["ECS", "EKS"]
    running: int
    last_used_at: datetime
    group: str = ""
    workload: str = ""
    stopped: int = 0


def make_layer(world: World, packages: Iterable[Package], name: str) -> Layer:
    """A layer with these packages, the same for the same name and packages."""
    layer = Layer(_digest([name, *map(str, packages := tuple(packages))]), packages)
    world.layers[layer.digest] = layer.packages
    return layer


def write_manifest(world: World, content: Content, occasion: str) -> str:
    """The manifest of an image with this content; another occasion gives another digest, as another build does."""
    config = _digest([occasion, content.config, *(layer.digest for layer in content.layers)])
    world.image_configs[config] = content.config
    named = {_BASE_DIGEST: content.base_digest, _BASE_NAME: content.base_name, _REVISION: content.source_commit}
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config, "size": 4096},
        "layers": [{"mediaType": _LAYER, "digest": one.digest, "size": 1 << 20} for one in content.layers],
        "annotations": {name: value for name, value in named.items() if value},
    }
    return json.dumps(manifest, separators=(",", ":"))


def read_manifest(world: World, manifest: str) -> Content:
    """What an image with this manifest holds, as far as it is known."""
    stated = json.loads(manifest)
    annotations = stated.get("annotations") or {}
    config = world.image_configs.get((stated.get("config") or {}).get("digest", ""), ImageConfig(_UNKNOWN))
    digests = [layer["digest"] for layer in stated.get("layers") or []]
    return Content(
        config=config,
        layers=tuple(Layer(digest, world.layers.get(digest, ())) for digest in digests),
        base_digest=annotations.get(_BASE_DIGEST),
        base_name=annotations.get(_BASE_NAME),
        source_commit=annotations.get(_REVISION),
    )


def digest_of(manifest: str) -> str:
    """The digest by which a registry knows a manifest."""
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def _digest(parts: Iterable[object]) -> str:
    return f"sha256:{hashlib.sha256(repr(list(parts)).encode()).hexdigest()}"
