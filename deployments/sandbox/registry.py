"""What happens to the images of an ECR registry: pushed, moved tags, archived, restored, deleted.

moto keeps the repositories and a record of each image; of these the digest is the manifest's, a moved tag leaves its
old image in the repository, and times are the sandbox's (ECR API reference: PutImage, BatchDeleteImage,
UpdateImageStorageClass).
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from moto.ecr.exceptions import ImageAlreadyExistsException, ImageNotFoundException, RepositoryNotFoundException
from moto.ecr.models import ECRBackend, Image, Repository, ecr_backends

from deployments.sandbox import events, inspector
from deployments.sandbox.container_images import MANIFEST, ContainerImage, digest_of, read_manifest
from deployments.sandbox.image_scanning import queue_scan
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_EVERYTHING = {
    "scanFrequency": "CONTINUOUS_SCAN",
    "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}],
}


def found(world: World) -> None:
    """Have the registry of a new account and region scanned by Inspector, continuously and all of it."""
    backend(world).put_registry_scanning_configuration("ENHANCED", [_EVERYTHING])


def backend(world: World) -> ECRBackend:
    """The registry that moto keeps for this account and region."""
    return ecr_backends[world.account][world.region]


def repository_of(world: World, name: str) -> Repository:
    """One repository.

    Raises:
        RepositoryNotFoundException: there is none by that name.
    """
    repository = backend(world).repositories.get(name)
    if repository is None:
        raise RepositoryNotFoundException(name, world.account)
    return repository


def ensure_repository(world: World, name: str, *, immutable: bool = False) -> Repository:
    """Have a repository by this name."""
    registry = backend(world)
    if name not in registry.repositories:
        registry.create_repository(name, None, {}, None, "IMMUTABLE" if immutable else "MUTABLE", [])
    return registry.repositories[name]


def images_of(world: World, repository: str) -> list[ContainerImage]:
    """The images that are in a repository, archived ones included, in the order they were pushed."""
    return [one for one in world.container_images.values() if one.repository == repository and one.status != "DELETED"]


def find(images: Iterable[ContainerImage], image_id: dict[str, str]) -> ContainerImage | None:
    """The image an id means, by its digest, its tag or both."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    return next(
        (one for one in images if (not digest or one.digest == digest) and (not tag or tag in one.tags)),
        None,
    )


def get(world: World, repository: str, image_id: dict[str, str]) -> ContainerImage:
    """The image an id means.

    Raises:
        RepositoryNotFoundException: the repository does not exist.
        ImageNotFoundException: no such image is in it.
    """
    repository_of(world, repository)
    image = find(images_of(world, repository), image_id)
    if image is None:
        raise not_found(world, repository, image_id)
    return image


def not_found(world: World, repository: str, image_id: dict[str, str]) -> ImageNotFoundException:
    """The error for an image that is not there."""
    stated = ", ".join(f"{name}:'{image_id.get(name, 'null')}'" for name in ("imageDigest", "imageTag"))
    return ImageNotFoundException(f"{{{stated}}}", repository, world.account)


def push(
    world: World,
    name: str,
    manifest: str,
    tag: str | None,
    media_type: str | None = None,
    digest: str | None = None,
) -> ContainerImage:
    """Put an image into a repository, or only a further tag on one that is there. Inspector scans what is new.

    Args:
        digest: another one than the manifest's, so that the image of a real event keeps its own.

    Raises:
        ImageAlreadyExistsException: exactly this image with this tag is there.
        AwsError: the tag is taken and must not move (ImageTagAlreadyExistsException).
        RepositoryNotFoundException: the repository does not exist.
    """
    repository = repository_of(world, name)
    present = images_of(world, name)
    digest = digest or digest_of(manifest)
    image = find(present, {"imageDigest": digest})
    if image and image.status == "ACTIVE" and (tag is None or tag in image.tags):
        raise ImageAlreadyExistsException(name, world.account, digest, tag or "null")
    holder = find(present, {"imageTag": tag}) if tag else None
    if tag and holder and holder is not image:
        _refuse_immutable(repository, tag)
        take_tag(holder, tag)
    if image is None:
        image = _add(world, repository, manifest, media_type, digest)
    elif image.status == "ARCHIVED":
        restore(world, image)
    if tag:
        image.record.update_tag(tag)
    events.send_image_action(world, image, "PUSH", **({"image_tag": tag} if tag else {}))
    return image


def take_tag(image: ContainerImage, tag: str) -> None:
    """Remove a tag from an image, which stays in the repository."""
    image.record.remove_tag(tag)
    if not image.record.image_tags:
        image.record.image_tag = None  # type: ignore[assignment]


def delete(world: World, image: ContainerImage) -> None:
    """Remove an image and all of its tags from its repository."""
    tags = {"image_tag": image.tags[-1]} if image.tags else {}
    events.send_image_action(world, image, "DELETE", **tags)
    image.status = "DELETED"
    repository = backend(world).repositories.get(image.repository)
    if repository is not None and image.record in repository.images:
        repository.images.remove(image.record)
    inspector.follow_lifecycle(world)


def archive(world: World, image: ContainerImage) -> None:
    """Move an image to the archive: it cannot be pulled, and Inspector closes its findings."""
    image.status, image.archived_at = "ARCHIVED", world.now
    events.send_image_action(world, image, "UPDATE_STORAGE_CLASS", target_storage_class="ARCHIVE")
    inspector.follow_lifecycle(world)


def restore(world: World, image: ContainerImage) -> None:
    """Begin to bring an image back from the archive; Inspector scans it anew once it is there."""
    image.status = "ACTIVATING"
    world.clock.after(world.settings.image_restoring, lambda: _activate(world, image))


def _add(world: World, repository: Repository, manifest: str, media_type: str | None, digest: str) -> ContainerImage:
    record: Any = Image(world.account, None, manifest, repository.name, media_type or MANIFEST, digest)  # type: ignore[arg-type]
    record.image_pushed_at = int(world.now.timestamp())
    repository.images.append(record)
    image = ContainerImage(
        resource_id=f"{repository.arn}/{digest}",
        repository=repository.name,
        record=record,
        content=read_manifest(world, manifest),
        pushed_at=world.now,
    )
    # An image that comes back after its deletion takes its place at the end.
    world.container_images.pop(image.resource_id, None)
    world.container_images[image.resource_id] = image
    queue_scan(world, image)
    return image


def _activate(world: World, image: ContainerImage) -> None:
    if image.status != "ACTIVATING":
        return
    image.status, image.activated_at, image.first_scanned_at = "ACTIVE", world.now, None
    events.send_image_action(world, image, "UPDATE_STORAGE_CLASS", target_storage_class="STANDARD")
    queue_scan(world, image)


def _refuse_immutable(repository: Repository, tag: str) -> None:
    filters = repository.image_tag_mutability_exclusion_filters or []
    excluded = any(fnmatchcase(tag, one["filter"]) for one in filters)
    if repository.is_tag_immutable() != excluded:
        raise AwsError(
            "ImageTagAlreadyExistsException",
            f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten "
            "because the tag is immutable.",
        )
