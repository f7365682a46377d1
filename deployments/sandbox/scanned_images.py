"""ECR container images as Inspector scans them: once pushed, and again when it learns of a new vulnerability.

A digest never changes, so neither do its packages: its findings stay until the image is deleted or archived or is no
longer scanned, and none of these is a fix (Inspector user guide, "Scanning Amazon ECR container images").
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from moto.ecr.models import ecr_backends

from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.world import Finding, World


class ScannedImages:
    """The kind AWS_ECR_CONTAINER_IMAGE."""

    resource_type = ContainerImage.resource_type
    closing = frozenset({"RESOURCE_TERMINATED", "IMAGE_ARCHIVED", "SCAN_ELIGIBILITY_EXPIRED"})

    def all(self, world: World) -> Iterable[ContainerImage]:
        """Every image."""
        return world.container_images.values()

    def find(self, world: World, resource_id: str) -> ContainerImage:
        """One image."""
        return world.container_images[resource_id]

    def coverage(self, world: World, image: ContainerImage) -> tuple[str, str]:
        """The scan status: its code and its reason."""
        if image.status == "DELETED":
            return "INACTIVE", "RESOURCE_TERMINATED"
        if image.status != "ACTIVE":
            return "INACTIVE", "IMAGE_ARCHIVED"
        if image.is_index:
            return "INACTIVE", "UNSUPPORTED_MEDIA_TYPE"
        if scan_frequency(world, image.repository) == "MANUAL":
            return "INACTIVE", "SCAN_FREQUENCY_MANUAL"
        if world.now > scanned_until(world, image):
            return "INACTIVE", "SCAN_ELIGIBILITY_EXPIRED"
        if image.first_scanned_at is None:
            return "ACTIVE", "PENDING_REVIVAL_SCAN" if image.activated_at else "PENDING_INITIAL_SCAN"
        return "ACTIVE", "SUCCESSFUL"

    def rows(self, world: World, image: ContainerImage) -> Iterable[dict[str, Any]]:
        """What ListCoverage says of it."""
        count, last_used = usage(world, image.digest)
        metadata: dict[str, Any] = {"tags": list(image.tags), "inUseCount": count}
        metadata |= _if_known(lastInUseAt=last_used, imagePulledAt=image.pulled_at)
        yield {"scanType": "PACKAGE", "resourceMetadata": {"ecrImage": metadata}}

    def describe(self, world: World, finding: Finding) -> dict[str, Any]:
        """The details of a finding's resource."""
        image = world.container_images[finding.resource_id]
        count, last_used = usage(world, image.digest)
        details: dict[str, Any] = {
            "repositoryName": image.repository,
            "imageHash": image.digest,
            "imageTags": list(image.tags),
            "pushedAt": image.pushed_at,
            "architecture": image.content.config.architecture,
            "platform": image.platform.code,
            "registry": world.account,
            "inUseCount": count,
        }
        return {"details": {"awsEcrContainerImage": details | _if_known(lastInUseAt=last_used)}}


def usage(world: World, digest: str) -> tuple[int, datetime | None]:
    """In how many tasks and pods a digest runs now, and when it was in use last."""
    places = world.running_images.get(digest, [])
    return sum(one.running for one in places), max((one.last_used_at for one in places), default=None)


def scanned_until(world: World, image: ContainerImage) -> datetime:
    """When Inspector stops scanning the image unless it is pushed or used again (ECR re-scan duration)."""
    count, last_used = usage(world, image.digest)
    last = max(one for one in (image.pushed_at, image.activated_at, last_used, world.now if count else None) if one)
    return last + timedelta(seconds=world.settings.image_scan_duration)


def scan_frequency(world: World, repository: str) -> str:
    """How often a repository's images are scanned."""
    known = ecr_backends[world.account][world.region].repositories.get(repository)
    return str(known.scanning_config["scanFrequency"]) if known else "MANUAL"


def _if_known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
