"""The operations of Amazon ECR on images."""

from __future__ import annotations

import re
from typing import Any

from moto.ecr.exceptions import InvalidParameterException
from moto.sts.models import sts_backends

from deployments.sandbox import registry
from deployments.sandbox.container_images import ContainerImage, digest_of
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.pulling import CannotPull, pull
from deployments.sandbox.wire import AwsError

_DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
_MOST_IDS = 100


@operation("ecr", "DeleteRepository")
def delete_repository(call: Call) -> dict[str, Any]:
    """moto's; what was in the repository is gone."""
    images = registry.images_of(call.world, call.params["repositoryName"])
    answer = call.moto()
    for image in images:
        registry.delete(call.world, image)
    return answer


@operation("ecr", "PutImage")
def put_image(call: Call) -> dict[str, Any]:
    """An image under the digest of its manifest, with a tag that may leave another image."""
    _check_registry(call)
    manifest = call.params["imageManifest"]
    stated = call.params.get("imageDigest")
    if stated and stated != digest_of(manifest):
        raise AwsError("ImageDigestDoesNotMatchException", "The image digest does not match the manifest.")
    tag = call.params.get("imageTag")
    try:
        image = registry.push(
            call.world, call.params["repositoryName"], manifest, tag, call.params.get("imageManifestMediaType")
        )
    except ValueError as error:
        raise InvalidParameterException("Invalid parameter at 'imageManifest': Invalid JSON syntax") from error
    return {"image": _image(call, image, tag)}


@operation("ecr", "DescribeImages")
def describe_images(call: Call) -> dict[str, Any]:
    """The images with their status; unless the filter says otherwise only active ones."""
    images = _chosen(call)
    wanted = call.params.get("imageIds")
    if wanted:
        images = [_named(call, images, one) for one in wanted]
    return _page(call, [_describe(call, image) for image in images], "imageDetails")


@operation("ecr", "ListImages")
def list_images(call: Call) -> dict[str, Any]:
    """An id for each tag, and one for each image without a tag."""
    ids: list[dict[str, str]] = []
    for image in _chosen(call):
        ids += [{"imageDigest": image.digest, "imageTag": tag} for tag in image.tags] or [{"imageDigest": image.digest}]
    return _page(call, ids, "imageIds")


@operation("ecr", "BatchGetImage")
def batch_get_image(call: Call) -> dict[str, Any]:
    """The manifests, as for a pull; what cannot be had is among the failures."""
    images = _repository_images(call)
    found, failures = [], []
    for wanted in _image_ids(call):
        image = registry.find(images, wanted)
        if image is None:
            failures.append(_failure(wanted, "ImageNotFound", "Requested image not found"))
            continue
        if image.status != "ACTIVE":
            failures.append(_failure(wanted, "ImageInaccessible", f"Requested image is {image.status.lower()}"))
            continue
        _pull(call, image)
        found.append(_image(call, image, wanted.get("imageTag")))
    return {"images": found, "failures": failures}


@operation("ecr", "GetDownloadUrlForLayer")
def get_download_url_for_layer(call: Call) -> dict[str, Any]:
    """Refused as a pull is; layers themselves are not to be had in the sandbox."""
    digest = call.params["layerDigest"]
    holding = [one for one in _repository_images(call) if digest in {layer.digest for layer in one.content.layers}]
    if not holding:
        raise AwsError("LayersNotFoundException", f"The layer '{digest}' could not be found.")
    if all(image.status != "ACTIVE" for image in holding):
        raise AwsError("LayerInaccessibleException", f"The layer '{digest}' is of archived images only.")
    _pull(call, next(image for image in holding if image.status == "ACTIVE"))
    raise AwsError("NotImplemented", "The sandbox keeps no layers.")


@operation("ecr", "BatchDeleteImage")
def batch_delete_image(call: Call) -> dict[str, Any]:
    """By tag the tag, and the image with its last one; by digest the image. What fails, fails by itself."""
    images = _repository_images(call)
    deleted, failures = [], []
    for position, wanted in enumerate(_image_ids(call)):
        failure = _refusal_to_delete(images, wanted)
        if failure is None and call.partial and position % 2 == 1:
            failure = _failure(wanted, "KmsError", "An injected failure")
        if failure:
            failures.append(failure)
            continue
        image = registry.find(images, wanted)
        assert image is not None
        tags = [wanted["imageTag"]] if "imageTag" in wanted else list(image.tags)
        deleted += [{"imageDigest": image.digest, "imageTag": tag} for tag in tags] or [{"imageDigest": image.digest}]
        if "imageTag" in wanted and len(image.tags) > 1:
            registry.take_tag(image, wanted["imageTag"])
        else:
            registry.delete(call.world, image)
            images.remove(image)
    return {"imageIds": deleted, "failures": failures}


@operation("ecr", "UpdateImageStorageClass")
def update_image_storage_class(call: Call) -> dict[str, Any]:
    """Into the archive at once; out of it, an image is activating for a while."""
    _check_registry(call)
    image = registry.get(call.world, call.params["repositoryName"], call.params["imageId"])
    target = call.params["targetStorageClass"]
    if image.status == "ACTIVATING" or (target == "ARCHIVE") == (image.status == "ARCHIVED"):
        raise AwsError(
            "ImageStorageClassUpdateNotSupportedException",
            f"The image is {image.status} and cannot be moved to storage class {target}.",
        )
    (registry.archive if target == "ARCHIVE" else registry.restore)(call.world, image)
    return {
        "registryId": call.account,
        "repositoryName": image.repository,
        "imageId": dict(call.params["imageId"]),
        "imageStatus": image.status,
    }


def _check_registry(call: Call) -> None:
    """One account's registry is not reached with another's credentials here."""
    if call.params.get("registryId", call.account) != call.account:
        name = call.params["repositoryName"]
        raise AwsError(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id '{call.params['registryId']}'",
        )


def _repository_images(call: Call) -> list[ContainerImage]:
    _check_registry(call)
    name = call.params["repositoryName"]
    registry.repository_of(call.world, name)
    return registry.images_of(call.world, name)


def _pull(call: Call, image: ContainerImage) -> None:
    uri = registry.repository_of(call.world, image.repository).uri
    try:
        pull(call.world, f"{uri}@{image.digest}", _role_of(call))
    except CannotPull as error:
        raise AwsError("AccessDeniedException", f"User is not authorized to pull {error}") from error


def _role_of(call: Call) -> str | None:
    """ARN of the role that the caller has assumed."""
    backends = [backend for partitions in sts_backends.values() for backend in partitions.values()]
    assumed = (each.get_assumed_role_from_access_key(call.message.access_key) for each in backends)
    return next((each.role_arn for each in assumed if each is not None), None)


def _image_ids(call: Call) -> list[dict[str, str]]:
    ids = call.params["imageIds"]
    if not 1 <= len(ids) <= _MOST_IDS:
        raise InvalidParameterException("Invalid parameter at 'imageIds' failed to satisfy constraint: 1 to 100 ids")
    return ids


def _chosen(call: Call) -> list[ContainerImage]:
    wanted = call.params.get("filter") or {}
    status, tagged = wanted.get("imageStatus", "ACTIVE"), wanted.get("tagStatus", "ANY")
    return [
        image
        for image in _repository_images(call)
        if status in ("ANY", image.status) and tagged in ("ANY", "TAGGED" if image.tags else "UNTAGGED")
    ]


def _named(call: Call, images: list[ContainerImage], wanted: dict[str, str]) -> ContainerImage:
    image = registry.find(images, wanted)
    if image is None:
        raise registry.not_found(call.world, call.params["repositoryName"], wanted)
    return image


def _describe(call: Call, image: ContainerImage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "registryId": call.account,
        "repositoryName": image.repository,
        "imageDigest": image.digest,
        "imageSizeInBytes": (1 << 20) * max(1, len(image.content.layers)),
        "imagePushedAt": image.pushed_at,
        "imageManifestMediaType": image.record.image_manifest_media_type,
        "artifactMediaType": "application/vnd.oci.image.config.v1+json",
        "imageStatus": image.status,
        "imageTags": list(image.tags) or None,
        "lastRecordedPullTime": image.pulled_at,
        "lastArchivedAt": image.archived_at,
        "lastActivatedAt": image.activated_at,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _image(call: Call, image: ContainerImage, tag: str | None) -> dict[str, Any]:
    return {
        "registryId": call.account,
        "repositoryName": image.repository,
        "imageId": {"imageDigest": image.digest} | ({"imageTag": tag} if tag else {}),
        "imageManifest": image.record.image_manifest,
        "imageManifestMediaType": image.record.image_manifest_media_type,
    }


def _refusal_to_delete(images: list[ContainerImage], wanted: dict[str, str]) -> dict[str, Any] | None:
    digest, tag = wanted.get("imageDigest"), wanted.get("imageTag")
    if not digest and not tag:
        return _failure({}, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest and not _DIGEST.fullmatch(digest):
        return _failure(wanted, "InvalidImageDigest", "Invalid request parameters: image digest is malformed")
    if registry.find(images, wanted):
        return None
    if digest and tag and (registry.find(images, {"imageDigest": digest}) and registry.find(images, {"imageTag": tag})):
        return _failure(wanted, "ImageTagDoesNotMatchDigest", "The tag is of another image")
    return _failure(wanted, "ImageNotFound", "Requested image not found")


def _failure(image_id: dict[str, str], code: str, reason: str) -> dict[str, Any]:
    return {"imageId": dict(image_id), "failureCode": code, "failureReason": reason}


def _page(call: Call, entries: list[Any], result: str) -> dict[str, Any]:
    return page(
        call,
        entries,
        result=result,
        token="nextToken",
        limit="maxResults",
        most=100,
        invalid_token="InvalidParameterException",
    )
