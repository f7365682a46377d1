"""The steps that make a patched image, and try it: builds of CodeBuild, each started under a token."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.steps.base import Role, Step

_PERMISSIONS = ("codebuild:ListBuildsForProject", "codebuild:BatchGetBuilds", "codebuild:StartBuild")


class RebuildImage(Step):
    """Start the build that makes the patched image; its outcome has the digest that was pushed under the tag."""

    kind: Literal["rebuild-image"] = "rebuild-image"
    calls: ClassVar = ("codebuild:StartBuild",)
    permissions: ClassVar = (*_PERMISSIONS, "ecr:DescribeImages")
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True
    undo_reason: ClassVar = "an image more in the repository harms nobody; deprecating it is a plan of its own"

    project: str
    repository: str
    tag: str
    """Under which the build pushes; no image has it yet."""
    variables: dict[str, str]
    """Environment variables of this build only, in plain text: never a secret."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.account}/{self.target.region}/{self.repository}:{self.tag}"

    def describe(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.variables.items())
        return f"Build {self.repository}:{self.tag} with project {self.project}" + (f" ({given})" if given else "")

    def expectation(self) -> str:
        return f"the project exists, and no image has the tag {self.tag}"


class TestImage(Step):
    """Run the integration test's build project against the new image, by its digest."""

    __test__: ClassVar = False
    kind: Literal["test-image"] = "test-image"
    calls: ClassVar = ("codebuild:StartBuild",)
    permissions: ClassVar = _PERMISSIONS
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    all_at_once: ClassVar = True
    undo_reason: ClassVar = "a test leaves nothing behind"

    project: str
    image: str
    """repository URI, an at sign, and the digest."""
    variables: dict[str, str]

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.account}/{self.target.region}/{self.project}/{self.image}"

    def describe(self) -> str:
        return f"Test {self.image} with project {self.project}"

    def expectation(self) -> str:
        return "the project exists, and no test of this operation was started yet"
