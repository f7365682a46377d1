"""The step that makes the patched code of a Lambda function: a build of CodeBuild that leaves a zip in S3."""

from __future__ import annotations

from typing import ClassVar, Literal

from runbooks.build_terms import in_words
from runbooks.steps.base import Role, Step


class RebuildPackage(Step):
    """Start the build that makes the patched zip. Its artifact goes to a key that is named by this very plan, whatever
    the project says; its outcome has the object's version and the zip's SHA-256.
    """

    kind: Literal["rebuild-package"] = "rebuild-package"
    calls: ClassVar = ("codebuild:StartBuild",)
    permissions: ClassVar = (
        "codebuild:BatchGetBuilds",
        "codebuild:ListBuildsForProject",
        "codebuild:StartBuild",
        "s3:GetObject",
        "s3:ListBucket",
    )
    role: ClassVar = Role.PATCH
    finishes_later: ClassVar = True
    undo_reason: ClassVar = "a zip more in the bucket harms nobody; no function has it"

    project: str
    function: str
    bucket: str
    object_key: str
    """Where the build leaves its artifact; there is nothing yet."""
    replaces: str
    """CodeSha256 of what the function has: a build that makes the same has mended nothing."""
    variables: dict[str, str]
    """Environment variables of this build only, in plain text: never a secret."""

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.object_key}"

    @property
    def key(self) -> str:
        return self.key_of(f"{self.bucket}/{self.object_key}")

    def describe(self) -> str:
        told = in_words(self.variables)
        return f"Build the code of function {self.function} with project {self.project}{told}, into {self.address}"

    def expectation(self) -> str:
        return f"the project exists, and nothing is at {self.address}"
