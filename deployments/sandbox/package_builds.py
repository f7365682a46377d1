"""Builds of a Lambda function's own code: a zip with its requirements, left in S3 where the build was told to.

CodeBuild API reference, ProjectArtifacts: path, namespace and name make the key; StartBuild's artifactsOverride takes
the place of the project's own artifacts, all of them; BuildArtifacts: only of what is packed as a zip a hash is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.codebuild.models import codebuild_backends
from moto.s3.exceptions import MissingBucket
from moto.s3.models import s3_backends

from deployments.sandbox.function_packages import zip_of
from deployments.sandbox.world import World

if TYPE_CHECKING:
    from deployments.sandbox.builds import Build, Recipe

APPLICATION = "def handler(event, context):\n    return {'statusCode': 200}\n"


@dataclass(frozen=True)
class Artifact:
    """What a build has left in S3."""

    location: str
    sha256: str | None

    @property
    def shown(self) -> dict[str, Any]:
        """As BuildArtifacts."""
        return {"location": self.location} | ({"sha256sum": self.sha256} if self.sha256 else {})


class NoPlace(Exception):
    """The artifact could not be left where it should; the message is the phase's."""


def code_with(requirements: Mapping[str, str]) -> bytes:
    """The zip of a function that has these Python packages, by name and version."""
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(requirements.items()))
    return zip_of({"app.py": APPLICATION} | ({"requirements.txt": lines} if lines else {}))


def make_package(world: World, build: Build, recipe: Recipe) -> bytes:
    """The recipe's packages, with those of PACKAGES as they are asked for: `name=version`, or the newest there is."""
    words = (word.partition("=") for word in build.environment.get("PACKAGES", "").replace(",", " ").split())
    asked = {} if recipe.outcome == "keeps_packages" else {name: version for name, _, version in words}
    return code_with({each.name: _version(world, each.name, each.version, asked) for each in recipe.packages})


def upload(world: World, build: Build, content: bytes) -> Artifact | None:
    """Leave the artifact where the build, or else its project, says; None where that is nowhere.

    Raises:
        NoPlace: there is no such bucket.
    """
    project = codebuild_backends[world.account][world.region].codebuild_projects[build.project].project_metadata
    place = build.request.get("artifactsOverride") or project["artifacts"]
    if place.get("type") != "S3":
        return None
    namespace = build.id.partition(":")[2] if place.get("namespaceType") == "BUILD_ID" else ""
    parts = (place.get("path", "").strip("/"), namespace, place["name"])
    bucket, key = place["location"], "/".join(part for part in parts if part)
    try:
        s3_backends[world.account]["aws"].put_object(bucket, key, content)
    except MissingBucket as error:
        raise NoPlace(f"CLIENT_ERROR: The specified bucket does not exist: {bucket}") from error
    packed = place.get("packaging") == "ZIP"
    return Artifact(f"arn:aws:s3:::{bucket}/{key}", hashlib.sha256(content).hexdigest() if packed else None)


def _version(world: World, name: str, has: str, asked: Mapping[str, str]) -> str:
    if name not in asked and "all" not in asked:
        return has
    newest = next((version for (_, known), version in world.repository.items() if known == name), has)
    return asked.get(name) or newest
