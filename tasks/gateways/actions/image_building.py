"""Making a patched image, and trying it: builds of CodeBuild, found again by a variable that says whose they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from runbooks.steps.function_building import RebuildPackage
from runbooks.steps.image_building import ImageBuild, RebuildImage, TestImage
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.codebuild import OPERATION_VARIABLE, read_builds
from tasks.gateways.ecr import read_images

Members = Mapping[str, Any]
BuildT = TypeVar("BuildT", RebuildImage, TestImage, RebuildPackage)


class BuildAction(AwsAction[BuildT]):
    """Starts a build once: within minutes the token holds, and after that the build itself is found."""

    def _look(self, place: Place, steps: Sequence[BuildT], operations: Mapping[str, str]) -> dict[str, Look]:
        client = place.reading("codebuild")
        builds = {
            project: read_builds(client, project, {operations[step.key] for step in steps if step.project == project})
            for project in sorted({step.project for step in steps})
        }
        pushed = self._pushed(place, steps)
        return {
            step.key: self._look_at(step, builds[step.project], operations[step.key], pushed.get(step.key))
            for step in steps
        }

    def _look_at(self, step: BuildT, builds: Mapping[str, Members] | None, operation: str, pushed: str | None) -> Look:
        if builds is None:
            return gone(f"build project {step.project}")
        if (build := builds.get(operation)) is None:
            return self._before(step, pushed)
        if build["buildStatus"] == "IN_PROGRESS":
            phase = build.get("currentPhase", "SUBMITTED")
            result = {"build": build["id"], "phase": phase}
            return Look(
                status="in-progress", found=result, result=result, detail=f"build {build['id']} is in phase {phase}"
            )
        if build["buildStatus"] == "SUCCEEDED":
            return self._after(step, build["id"], pushed)
        return Look(
            status="failed",
            found={"build": build["id"], "status": build["buildStatus"]},
            result={"build": build["id"]},
            detail=f"build {build['id']} ended as {build['buildStatus']}{_why(build)}",
        )

    def _act(self, place: Place, step: BuildT, operation: str, look: Look) -> dict[str, Any]:
        variables = {**step.variables, OPERATION_VARIABLE: operation}
        answer = place.acting("codebuild", step).start_build(
            projectName=step.project,
            idempotencyToken=operation,
            environmentVariablesOverride=[
                {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
            ],
            **self._artifacts(step),
        )
        return {"build": answer["build"]["id"]}

    def _artifacts(self, step: BuildT) -> dict[str, Any]:
        """Where this build is to leave its artifact, as members of StartBuild; empty: as its project says."""
        return {}

    @abstractmethod
    def _pushed(self, place: Place, steps: Sequence[BuildT]) -> dict[str, str]:
        """Step key -> the digest that its build has pushed, if it pushes any."""

    @abstractmethod
    def _before(self, step: BuildT, pushed: str | None) -> Look:
        """The look when no build was started."""

    @abstractmethod
    def _after(self, step: BuildT, build: str, pushed: str | None) -> Look:
        """The look when the build has succeeded."""


class RebuildImageAction(BuildAction[RebuildImage]):
    """Its result has the digest that stands under the tag when the build has succeeded."""

    def _pushed(self, place: Place, steps: Sequence[RebuildImage]) -> dict[str, str]:
        return pushed_by(place, steps)

    def _before(self, step: RebuildImage, pushed: str | None) -> Look:
        return before_the_push(step, pushed)

    def _after(self, step: RebuildImage, build: str, pushed: str | None) -> Look:
        return after_the_push(step, f"build {build}", {"build": build}, pushed)


class TestImageAction(BuildAction[TestImage]):
    """The image passes when the build succeeds."""

    __test__ = False

    def _pushed(self, place: Place, steps: Sequence[TestImage]) -> dict[str, str]:
        return {}

    def _before(self, step: TestImage, pushed: str | None) -> Look:
        return Look(status="as-expected", found={"build": None})

    def _after(self, step: TestImage, build: str, pushed: str | None) -> Look:
        return Look(status="as-left", found={"build": build}, result={"build": build})


def pushed_by(place: Place, steps: Sequence[ImageBuild]) -> dict[str, str]:
    """Step key -> the digest that stands under its tag, if any does."""
    tags: dict[str, list[str]] = {}
    for step in steps:
        tags.setdefault(step.repository, []).append(step.tag)
    client = place.reading("ecr")
    digests = {
        (repository, tag): raw["imageDigest"]
        for repository, wanted in tags.items()
        for raw in read_images(client, place.account, repository, [{"imageTag": tag} for tag in wanted])
        for tag in raw.get("imageTags") or ()
    }
    found = {step.key: digests.get((step.repository, step.tag)) for step in steps}
    return {key: digest for key, digest in found.items() if digest is not None}


def before_the_push(step: ImageBuild, pushed: str | None) -> Look:
    """The look when nothing of ours was started that pushes under the tag."""
    found = {"build": None, "digest": pushed}
    if pushed is None:
        return Look(status="as-expected", found=found)
    detail = f"{step.repository} has an image with tag {step.tag} already: {pushed}"
    return Look(status="drifted", found=found, detail=detail)


def after_the_push(step: ImageBuild, who: str, result: Mapping[str, str], pushed: str | None) -> Look:
    """The look when who was to push under the tag has succeeded."""
    found = {**result, "digest": pushed}
    if pushed is None:
        detail = f"{who} succeeded, and {step.repository} has no image with tag {step.tag}"
        return Look(status="failed", found=found, result=dict(result), detail=detail)
    return Look(status="as-left", found=found, result=found)


def _why(build: Members) -> str:
    """What went wrong, as the phases of the build tell, and where its log is."""
    wrong = [phase for phase in build.get("phases") or () if phase.get("phaseStatus") not in (None, "SUCCEEDED")]
    messages = [
        f"{phase['phaseType']}: {context['message']}"
        for phase in wrong
        for context in phase.get("contexts") or ()
        if context.get("message")
    ]
    log = (build.get("logs") or {}).get("deepLink")
    said = f" ({'; '.join(messages or [phase['phaseType'] for phase in wrong])})" if wrong else ""
    return f"{said}; its log: {log}" if log else said
