"""Retiring an image that nobody runs: its tags, its place in the archive, itself, and its repository's tag rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from runbooks.errors import Outside
from runbooks.steps.image_deprecation import DeleteImage, SetImageArchived, SetImageTag, SetTagMutability
from tasks.gateways.actions.base import AwsAction, Look, Place, compare, gone, spoken
from tasks.gateways.actions.users import in_use
from tasks.gateways.base_images import MEDIA_TYPES
from tasks.gateways.ecr import read_images, read_repositories

Members = Mapping[str, Any]
ImageStepT = TypeVar("ImageStepT", SetImageTag, SetImageArchived, DeleteImage)
Image = tuple[str, str]
"""Repository and digest."""

_WITHOUT_EXCEPTIONS = ("MUTABLE", "IMMUTABLE")


class SetImageTagAction(AwsAction[SetImageTag]):
    """Takes a tag off by its name, or puts it on by putting the image's own manifest once more.

    BatchDeleteImage deletes the image with its last tag (ECR API reference): a tag is taken off only where one stays
    that no step of the plan takes.
    """

    def _look(self, place: Place, steps: Sequence[SetImageTag], operations: Mapping[str, str]) -> dict[str, Look]:
        images = _read(place, steps, tags={(step.repository, step.tag) for step in steps if step.tagged})
        taken: dict[Image, set[str]] = {}
        for step in steps:
            if not step.tagged:
                taken.setdefault((step.repository, step.digest), set()).add(step.tag)
        looks = {step.key: _look_at_tag(step, images, taken) for step in steps}
        return _unless_in_use(place, steps, looks)

    def _act(self, place: Place, step: SetImageTag, operation: str, look: Look) -> dict[str, Any]:
        client, where = place.acting("ecr", step), {"registryId": place.account, "repositoryName": step.repository}
        if not step.tagged:
            _require_unmoved(place, step)
            _delete(client, where, {"imageTag": step.tag})
            return {"tagged": False}
        answer = place.reading("ecr").batch_get_image(
            **where, imageIds=[{"imageDigest": step.digest}], acceptedMediaTypes=[*MEDIA_TYPES]
        )
        _refuse_failures(answer)
        manifest = answer["images"][0]
        media_type = {"imageManifestMediaType": manifest["imageManifestMediaType"]}
        client.put_image(
            **where,
            imageManifest=manifest["imageManifest"],
            imageTag=step.tag,
            imageDigest=step.digest,
            **(media_type if media_type["imageManifestMediaType"] else {}),
        )
        return {"tagged": True}


class SetImageArchivedAction(AwsAction[SetImageArchived]):
    """Archives at once; an image comes back from the archive after a while, in which it is activating."""

    def _look(self, place: Place, steps: Sequence[SetImageArchived], operations: Mapping[str, str]) -> dict[str, Look]:
        images = _read(place, steps)
        looks = {step.key: _look_at_archive(step, images.get((step.repository, step.digest))) for step in steps}
        return _unless_in_use(place, steps, looks)

    def _act(self, place: Place, step: SetImageArchived, operation: str, look: Look) -> dict[str, Any]:
        answer = place.acting("ecr", step).update_image_storage_class(
            registryId=place.account,
            repositoryName=step.repository,
            imageId={"imageDigest": step.digest},
            targetStorageClass="ARCHIVE" if step.archived else "STANDARD",
        )
        return {"status": answer["imageStatus"]}


class DeleteImageAction(AwsAction[DeleteImage]):
    """Deletes by digest, all tags with it."""

    def _look(self, place: Place, steps: Sequence[DeleteImage], operations: Mapping[str, str]) -> dict[str, Look]:
        images = _read(place, steps)
        looks: dict[str, Look] = {}
        for step in steps:
            raw = images.get((step.repository, step.digest))
            found = {"status": raw["imageStatus"], "tags": _tags(raw)} if raw else {"status": None}
            looks[step.key] = Look(status="as-expected" if raw else "as-left", found=found)
        return _unless_in_use(place, steps, looks)

    def _act(self, place: Place, step: DeleteImage, operation: str, look: Look) -> dict[str, Any]:
        where = {"registryId": place.account, "repositoryName": step.repository}
        _delete(place.acting("ecr", step), where, {"imageDigest": step.digest})
        return {"deleted": step.digest}


class SetTagMutabilityAction(AwsAction[SetTagMutability]):
    """Sets the rule for all tags. One with exceptions is left alone: the step does not know them to put them back."""

    def _look(self, place: Place, steps: Sequence[SetTagMutability], operations: Mapping[str, str]) -> dict[str, Look]:
        raws = read_repositories(place.reading("ecr"), place.account, [step.repository for step in steps])
        live = {raw["repositoryName"]: raw["imageTagMutability"] for raw in raws}
        return {step.key: _look_at_mutability(step, live.get(step.repository)) for step in steps}

    def _act(self, place: Place, step: SetTagMutability, operation: str, look: Look) -> dict[str, Any]:
        place.acting("ecr", step).put_image_tag_mutability(
            registryId=place.account, repositoryName=step.repository, imageTagMutability=step.leaves
        )
        return {"mutability": step.leaves}


def _read(place: Place, steps: Sequence[ImageStepT], tags: Collection[tuple[str, str]] = ()) -> dict[Image, Members]:
    """The images of the steps, and those that these tags of a repository stand for."""
    client = place.reading("ecr")
    found: dict[Image, Members] = {}
    for repository in sorted({step.repository for step in steps}):
        ids = [{"imageDigest": digest} for digest in sorted({s.digest for s in steps if s.repository == repository})]
        ids += [{"imageTag": tag} for name, tag in sorted(tags) if name == repository]
        for raw in read_images(client, place.account, repository, ids):
            found[repository, raw["imageDigest"]] = raw
    return found


def _unless_in_use(place: Place, steps: Sequence[ImageStepT], looks: dict[str, Look]) -> dict[str, Look]:
    """The looks, with drift where somebody runs the image that is about to be retired."""
    retiring = [step for step in steps if looks[step.key].status == "as-expected" and _retires(step)]
    # They are all of one kind.
    for_good = any(isinstance(step, DeleteImage) for step in retiring)
    users = in_use(place, {(step.repository, step.digest) for step in retiring}, for_good=for_good)
    for step in retiring:
        if who := users.get((step.repository, step.digest)):
            found = looks[step.key].found | {"users": who}
            looks[step.key] = Look(status="drifted", found=found, detail=f"the image is {who}")
    return looks


def _retires(step: SetImageTag | SetImageArchived | DeleteImage) -> bool:
    match step:
        case SetImageTag():
            return not step.tagged
        case SetImageArchived():
            return step.archived
        case DeleteImage():
            return True


def _look_at_tag(step: SetImageTag, images: Mapping[Image, Members], taken: Mapping[Image, set[str]]) -> Look:
    raw = images.get((step.repository, step.digest))
    if raw is None:
        return gone(f"image {step.repository}@{step.digest}")
    tags = _tags(raw)
    found: dict[str, Any] = {"tags": tags}
    if (step.tag in tags) == step.tagged:
        return Look(status="as-left", found=found, result={"tagged": step.tagged})
    if step.tagged:
        return _before_tagging(step, raw, found, images)
    if set(tags) <= taken[step.repository, step.digest]:
        detail = f"the image has no other tag than {spoken(tags)}: it would be deleted with its last one"
        return Look(status="drifted", found=found, detail=detail)
    return Look(status="as-expected", found=found)


def _before_tagging(step: SetImageTag, raw: Members, found: dict[str, Any], images: Mapping[Image, Members]) -> Look:
    status = raw.get("imageStatus", "ACTIVE")
    if status == "ACTIVATING":
        return Look(status="in-progress", found=found, detail="the image is being made active again")
    if status != "ACTIVE":
        return Look(status="drifted", found=found, detail=f"the image is {status.lower()}, and takes no tag")
    others = (
        digest for (name, digest), other in images.items() if name == step.repository and step.tag in _tags(other)
    )
    if (holder := next(others, None)) is not None:
        return Look(status="drifted", found=found | {"holder": holder}, detail=f"{step.tag} is a tag of {holder} now")
    return Look(status="as-expected", found=found)


def _look_at_archive(step: SetImageArchived, raw: Members | None) -> Look:
    if raw is None:
        return gone(f"image {step.repository}@{step.digest}")
    status = raw.get("imageStatus", "ACTIVE")
    found = {"status": status}
    if status == "ACTIVATING":
        detail = "the image is being made active again"
        return Look(status="drifted" if step.archived else "in-progress", found=found, result=found, detail=detail)
    if (status == "ARCHIVED") == step.archived:
        return Look(status="as-left", found=found, result=found)
    return Look(status="as-expected", found=found)


def _look_at_mutability(step: SetTagMutability, live: str | None) -> Look:
    if live is None:
        return gone(f"repository {step.repository}")
    if live != step.leaves and live not in _WITHOUT_EXCEPTIONS:
        detail = f"the tags are {live.lower().replace('_', ' ')}, and the exceptions could not be put back"
        return Look(status="drifted", found={"mutability": live}, detail=detail)
    return compare(live, step.expects, step.leaves, "mutability")


def _tags(raw: Members) -> list[str]:
    return sorted(raw.get("imageTags") or ())


def _require_unmoved(place: Place, step: SetImageTag) -> None:
    """See once more, right before: a pipeline may have pushed under the tag since the look, with no other tag yet.

    Raises:
        Outside: (tag-moved) The tag is another image's by now, or this one's last; ECR would delete that with it.
    """
    holder = next(read_images(place.reading("ecr"), place.account, step.repository, [{"imageTag": step.tag}]), None)
    if holder is None or holder["imageDigest"] != step.digest or len(_tags(holder)) == 1:
        raise Outside(f"tag {step.tag} has moved since the look, or is the last of its image", code="tag-moved")


def _delete(client: Any, where: Mapping[str, str], image: Mapping[str, str]) -> None:
    _refuse_failures(client.batch_delete_image(**where, imageIds=[dict(image)]))


def _refuse_failures(answer: Members) -> None:
    """What failed for one image of a call does not make the call fail (ECR API reference, ImageFailure).

    Raises:
        Outside: the image was left as it is.
    """
    for failure in answer.get("failures") or ():
        raise Outside(f"ECR: {failure['failureReason']}", code=failure["failureCode"])
