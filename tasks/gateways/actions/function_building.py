"""Making the patched code of a Lambda function: a build of CodeBuild that leaves a zip in S3, as any build is found."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.steps.function_building import RebuildPackage
from tasks.gateways.actions.base import Look, Place
from tasks.gateways.actions.image_building import BuildAction
from tasks.gateways.aws_errors import code_of

Members = Mapping[str, Any]

_NOT_THERE = ("404", "NoSuchKey", "NotFound")
"""Of HeadObject, whose answer has no body to say more (S3 API reference)."""


class RebuildPackageAction(BuildAction[RebuildPackage]):
    """Its result has the zip's SHA-256, as CodeBuild tells, and the version that S3 gave the object."""

    def _artifacts(self, step: RebuildPackage) -> dict[str, Any]:
        """ProjectArtifacts (CodeBuild API reference): only what is packed as a zip is told with its SHA-256, and a
        buildspec must not name it otherwise.
        """
        path, _, name = step.object_key.rpartition("/")
        place = {"type": "S3", "location": step.bucket, "name": name} | ({"path": path} if path else {})
        return {
            "artifactsOverride": place | {"namespaceType": "NONE", "packaging": "ZIP", "overrideArtifactName": False}
        }

    def _look_at(
        self, step: RebuildPackage, builds: Mapping[str, Members] | None, operation: str, pushed: str | None
    ) -> Look:
        look = super()._look_at(step, builds, operation, pushed)
        build = (builds or {}).get(operation)
        if look.status != "as-left" or build is None:
            return look
        told = (build.get("artifacts") or {}).get("sha256sum")
        if not told:
            detail = f"build {build['id']} succeeded, and CodeBuild does not say which zip it has made"
            return look.model_copy(update={"status": "failed", "detail": detail})
        made = b64encode(bytes.fromhex(told)).decode()
        result = {**look.result, "code_sha256": made}
        if made == step.replaces:
            detail = f"build {build['id']} has made the very code that {step.function} has: nothing was mended"
            return look.model_copy(update={"status": "failed", "detail": detail, "result": result})
        return look.model_copy(update={"found": result, "result": result})

    def _pushed(self, place: Place, steps: Sequence[RebuildPackage]) -> dict[str, str]:
        """Step key -> the version of the object; empty where its bucket keeps none."""
        client = place.reading("s3")
        found = {step.key: _version(client, step) for step in steps}
        return {key: version for key, version in found.items() if version is not None}

    def _before(self, step: RebuildPackage, pushed: str | None) -> Look:
        if pushed is None:
            return Look(status="as-expected", found={"build": None})
        return Look(status="drifted", found={"version": pushed}, detail=f"there is something at {step.address} already")

    def _after(self, step: RebuildPackage, build: str, pushed: str | None) -> Look:
        if pushed is None:
            detail = f"build {build} succeeded, and nothing is at {step.address}"
            return Look(status="failed", found={"build": build}, result={"build": build}, detail=detail)
        result = {"build": build, "bucket": step.bucket, "key": step.object_key, "version": pushed or None}
        return Look(status="as-left", found=result, result=result)


def _version(client: Any, step: RebuildPackage) -> str | None:
    try:
        answer = client.head_object(Bucket=step.bucket, Key=step.object_key)
    except ClientError as error:
        if code_of(error) not in _NOT_THERE:
            raise
        return None
    version = answer.get("VersionId", "null")
    return "" if version == "null" else version
