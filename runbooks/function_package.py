"""The zip of a Lambda function's own code: where a build leaves it, and what was made."""

from __future__ import annotations

from runbooks.model import Model

LARGEST_UPLOAD_BYTES = 50 * 1024 * 1024
"""Of a zip that Lambda takes in the call itself, and not from S3 (Lambda developer guide, "Lambda quotas")."""


class PackageProject(Model):
    """A CodeBuild project that builds a function's own code."""

    name: str
    bucket: str | None
    """Where it leaves its artifact; None where that is not in S3."""
    path: str = ""
    """What the keys of its artifacts begin with."""

    def key(self, tag: str) -> str:
        """Of the zip of one build: path and name, joined by a slash (CodeBuild API reference, ProjectArtifacts)."""
        return "/".join(part for part in (self.path.strip("/"), f"{tag}.zip") if part)


class FunctionPackage(Model):
    """A zip that a build has made, before the function has it."""

    bucket: str
    key: str
    version: str | None = None
    """Of the object; None where the bucket keeps no versions."""
    code_sha256: str
    """As Lambda gives it of a function's code: base64 of the zip's SHA-256."""
    build: str = ""
    """Id of the build that made it."""

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
