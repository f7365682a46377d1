"""The steps that make a patched image, and try it.

Builds of CodeBuild are started under a token. Runs of a GitHub workflow are found again by their name, for GitHub takes
no token. What is patched in place is known by its layers.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.build_terms import in_words
from runbooks.steps.base import Role, Step

_PERMISSIONS = ("codebuild:ListBuildsForProject", "codebuild:BatchGetBuilds", "codebuild:StartBuild")
_DISPATCH = "github:CreateWorkflowDispatch"
"""GitHub's, and so no permission of AWS's."""
_LISTED_WITHIN_SECONDS = 60
"""GitHub promises no bound. It answers a dispatch with the run that it has made, and lists that a moment later."""


class _MakesImage(Step):
    """Makes the patched image, and pushes it under a tag."""

    role: ClassVar = Role.PATCH
    all_at_once: ClassVar = True
    undo_reason: ClassVar = "an image more in the repository harms nobody; deprecating it is a plan of its own"

    repository: str
    tag: str
    """Under which it is pushed; no image has it yet."""

    @property
    def key(self) -> str:
        return self.key_of(f"{self.repository}:{self.tag}")


class _TriesImage(Step):
    """Tries the new image, by its digest."""

    __test__: ClassVar = False
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True
    undo_reason: ClassVar = "a test leaves nothing behind"

    image: str
    """repository URI, an at sign, and the digest."""
    variables: dict[str, str]


class RebuildImage(_MakesImage):
    """Start the build that makes the patched image; its outcome has the digest that was pushed under the tag."""

    kind: Literal["rebuild-image"] = "rebuild-image"
    calls: ClassVar = ("codebuild:StartBuild",)
    permissions: ClassVar = (*_PERMISSIONS, "ecr:DescribeImages")
    finishes_later: ClassVar = True

    project: str
    variables: dict[str, str]
    """Environment variables of this build only, in plain text: never a secret."""

    def describe(self) -> str:
        return f"Build {self.repository}:{self.tag} with project {self.project}{in_words(self.variables)}"

    def expectation(self) -> str:
        return f"the project exists, and no image has the tag {self.tag}"


class TestImage(_TriesImage):
    """Run the integration test's build project against the new image, by its digest."""

    kind: Literal["test-image"] = "test-image"
    calls: ClassVar = ("codebuild:StartBuild",)
    permissions: ClassVar = _PERMISSIONS

    project: str

    @property
    def key(self) -> str:
        return self.key_of(f"{self.project}/{self.image}")

    def describe(self) -> str:
        return f"Test {self.image} with project {self.project}"

    def expectation(self) -> str:
        return "the project exists, and no test of this operation was started yet"


class RebuildByWorkflow(_MakesImage):
    """Have a GitHub workflow make the patched image; its outcome has the digest that was pushed under the tag."""

    kind: Literal["rebuild-by-workflow"] = "rebuild-by-workflow"
    calls: ClassVar = (_DISPATCH,)
    permissions: ClassVar = ("ecr:DescribeImages",)
    finishes_later: ClassVar = True
    shows_within_seconds: ClassVar = _LISTED_WITHIN_SECONDS

    workflow: str
    """owner/repository/.github/workflows/file.yml, an at sign, and the branch or tag."""
    variables: dict[str, str]
    """Inputs of this run, in plain text: never a secret."""

    def describe(self) -> str:
        return f"Build {self.repository}:{self.tag} with workflow {self.workflow}{in_words(self.variables)}"

    def expectation(self) -> str:
        return f"the workflow exists, and no image has the tag {self.tag}"


class TestByWorkflow(_TriesImage):
    """Have a GitHub workflow try the new image, by its digest."""

    kind: Literal["test-by-workflow"] = "test-by-workflow"
    calls: ClassVar = (_DISPATCH,)
    permissions: ClassVar = ()
    shows_within_seconds: ClassVar = _LISTED_WITHIN_SECONDS

    workflow: str

    @property
    def key(self) -> str:
        return self.key_of(self.target.id)

    def describe(self) -> str:
        return f"Test {self.image} with workflow {self.workflow}"

    def expectation(self) -> str:
        return "the workflow exists, and no test of this operation was started yet"


class PatchImage(_MakesImage):
    """Have Copacetic add a layer with the operating system's updates to the image, and push that under the tag."""

    kind: Literal["patch-image"] = "patch-image"
    calls: ClassVar = (
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
    )
    acting_reads: ClassVar = ("ecr:BatchGetImage", "ecr:GetAuthorizationToken", "ecr:GetDownloadUrlForLayer")
    permissions: ClassVar = ("ecr:DescribeImages", "ecr:BatchCheckLayerAvailability", *acting_reads, *calls)

    image: str
    """repository URI, an at sign, and the digest."""
    timeout_minutes: int

    def describe(self) -> str:
        return f"Patch {self.image} in place with copa, as {self.repository}:{self.tag}"

    def expectation(self) -> str:
        return f"the image is there, copa is on the worker's path, and no image has the tag {self.tag}"


ImageBuild = RebuildImage | RebuildByWorkflow | PatchImage
"""The steps that make a patched image."""
