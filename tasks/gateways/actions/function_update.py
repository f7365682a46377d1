"""Changing a Lambda function's $LATEST, and publishing a version of it.

Lambda has no token for any of it. What was changed is found again by the state itself, and a version by its
description, which carries the operation. Between the look and the call the RevisionId that was seen holds the call to
just that state; it changes while an update goes on, so that no plan can name it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from runbooks.function_package import LARGEST_UPLOAD_BYTES
from runbooks.steps.function_update import (
    PublishVersion,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionImage,
)
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.aws_errors import code_of
from tasks.gateways.function_code import check_package, read_code, version_with
from tasks.gateways.functions import (
    LATEST,
    NOT_THERE,
    Members,
    content_of,
    is_busy,
    published_by,
    read_configuration,
    read_versions,
)

UpdateT = TypeVar("UpdateT", UpdateFunctionConfiguration, UpdateFunctionImage, UpdateFunctionCode)


class _UpdateAction(AwsAction[UpdateT]):
    """An update is asked for, and Lambda takes a while to make it."""

    def _look(self, place: Place, steps: Sequence[UpdateT], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("lambda")
        return {step.key: self._look_at(client, step) for step in steps}

    def _look_at(self, client: Any, step: UpdateT) -> Look:
        read = self._read(client, step)
        if read is None:
            return gone(f"function {step.function}")
        raw, live = read
        found = {"live": _json(live), "last_modified": raw["LastModified"]}
        result = {"revision": raw["RevisionId"]}
        if live == step.leaves:
            if is_busy(raw):
                return Look(status="in-progress", found=found, detail=f"Lambda is updating {step.function}")
            if raw.get("LastUpdateStatus") == "Failed":
                why = raw.get("LastUpdateStatusReason", "no reason given")
                return Look(status="failed", found=found, detail=f"the update of {step.function} failed: {why}")
            return Look(status="as-left", found=found)
        if is_busy(raw) and step.undoes:
            return Look(status="in-progress", found=found, detail=f"{step.function} is being changed")
        if live != step.expects or (step.last_modified not in (None, raw["LastModified"]) and not step.undoes):
            detail = f"{LATEST} of {step.function} was changed since the plan was made, at {raw['LastModified']}"
            return Look(status="drifted", found=found, detail=detail)
        return Look(status="as-expected", found=found, result=result)

    @abstractmethod
    def _read(self, client: Any, step: UpdateT) -> tuple[Members, Any] | None:
        """The configuration of $LATEST, and of it what the step is about; None where the function is gone."""


class UpdateFunctionConfigurationAction(_UpdateAction[UpdateFunctionConfiguration]):
    """Sets the whole list of layers, for Lambda has no call that changes one of them, or the runtime."""

    def _read(self, client: Any, step: UpdateFunctionConfiguration) -> tuple[Members, Any] | None:
        raw = read_configuration(client, step.function)
        return None if raw is None else (raw, content_of(raw))

    def _act(self, place: Place, step: UpdateFunctionConfiguration, operation: str, look: Look) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if step.leaves.layers != step.expects.layers:
            changes["Layers"] = list(step.leaves.layers)
        if step.leaves.runtime != step.expects.runtime:
            changes["Runtime"] = step.leaves.runtime
        place.acting("lambda", step).update_function_configuration(
            FunctionName=step.function, RevisionId=look.result["revision"], **changes
        )
        return {}


class UpdateFunctionImageAction(_UpdateAction[UpdateFunctionImage]):
    """Sets the image, by its digest."""

    def _read(self, client: Any, step: UpdateFunctionImage) -> tuple[Members, Any] | None:
        try:
            answer = client.get_function(FunctionName=step.function)
        except ClientError as error:
            if code_of(error) != NOT_THERE:
                raise
            return None
        code = answer.get("Code") or {}
        return answer["Configuration"], code.get("ResolvedImageUri") or code.get("ImageUri")

    def _act(self, place: Place, step: UpdateFunctionImage, operation: str, look: Look) -> dict[str, Any]:
        place.acting("lambda", step).update_function_code(
            FunctionName=step.function, ImageUri=step.leaves, RevisionId=look.result["revision"]
        )
        return {}


class UpdateFunctionCodeAction(_UpdateAction[UpdateFunctionCode]):
    """Sets the code: that of the package, or of the published version that has what is put back."""

    def _look_at(self, client: Any, step: UpdateFunctionCode) -> Look:
        look = super()._look_at(client, step)
        if look.status != "as-expected" or not step.undoes:
            return look
        kept = version_with(read_versions(client, step.function) or (), step.leaves.code_sha256)
        if kept is None:
            detail = f"no version of {step.function} has the code that it had"
            return Look(status="drifted", found=look.found, detail=detail)
        if kept["CodeSize"] > LARGEST_UPLOAD_BYTES:
            detail = f"version {kept['Version']} of {step.function} has the code that it had, too large to hand over"
            return Look(status="drifted", found=look.found, detail=detail)
        return look.model_copy(update={"result": {**look.result, "version": kept["Version"]}})

    def _read(self, client: Any, step: UpdateFunctionCode) -> tuple[Members, Any] | None:
        raw = read_configuration(client, step.function)
        return None if raw is None else (raw, content_of(raw))

    def _act(self, place: Place, step: UpdateFunctionCode, operation: str, look: Look) -> dict[str, Any]:
        place.acting("lambda", step).update_function_code(
            FunctionName=step.function,
            RevisionId=look.result["revision"],
            Publish=False,
            **self._code(place, step, look),
        )
        return {}

    def _code(self, place: Place, step: UpdateFunctionCode, look: Look) -> dict[str, Any]:
        package, code = step.package, step.leaves.code_sha256
        if step.undoes:
            return {"ZipFile": read_code(place.reading("lambda"), step.function, look.result["version"], code)}
        check_package(place.acting("s3", step), package)
        version = {"S3ObjectVersion": package.version} if package.version else {}
        return {"S3Bucket": package.bucket, "S3Key": package.key, **version}


class PublishVersionAction(AwsAction[PublishVersion]):
    """Publishes $LATEST under a description that names the operation."""

    def _look(self, place: Place, steps: Sequence[PublishVersion], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("lambda")
        return {step.key: _look_at_version(client, step, operations[step.key]) for step in steps}

    def _act(self, place: Place, step: PublishVersion, operation: str, look: Look) -> dict[str, Any]:
        answer = place.acting("lambda", step).publish_version(
            FunctionName=step.function,
            CodeSha256=step.content.code_sha256,
            Description=operation,
            RevisionId=look.result["revision"],
        )
        return {"version": answer["Version"]}


def _look_at_version(client: Any, step: PublishVersion, operation: str) -> Look:
    # A list of versions leaves out whether an update goes on.
    latest, versions = read_configuration(client, step.function), read_versions(client, step.function)
    if latest is None or versions is None:
        return gone(f"function {step.function}")
    ours = published_by(versions, operation)
    if ours is not None and content_of(ours) == step.content:
        return _look_at_published(client, step.function, ours["Version"])
    found = {"version": None, "latest": _json(content_of(latest))}
    if is_busy(latest):
        return Look(status="in-progress", found=found, detail=f"Lambda is updating {step.function}")
    if content_of(latest) != step.content or ours is not None:
        return Look(status="drifted", found=found, detail=f"{LATEST} of {step.function} is not what this plan left")
    return Look(status="as-expected", found=found, result={"revision": latest["RevisionId"]})


def _look_at_published(client: Any, function: str, version: str) -> Look:
    """A version is published at once, and ready later: of SnapStart after minutes. Lambda refuses calls of it before
    that, and an alias of one that has failed (developer guide, "Lambda function states").
    """
    raw, it = read_configuration(client, function, version), {"version": version}
    if raw is None:
        return gone(f"version {version} of function {function}")
    match raw.get("State"):
        case "Pending":
            detail = f"Lambda is making version {version} of {function} ready"
            return Look(status="in-progress", found=it, result=it, detail=detail)
        case "Failed":
            why = raw.get("StateReason", "no reason given")
            detail = f"version {version} of {function} cannot be invoked: {why}"
            return Look(status="failed", found=it, result=it, detail=detail)
        case _:
            return Look(status="as-left", found=it, result=it)


def _json(live: Any) -> Any:
    return live if live is None or isinstance(live, str) else live.model_dump(mode="json")
