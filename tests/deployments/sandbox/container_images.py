"""What the tests of container images share: a furnished image, and short ways to look at it."""

from __future__ import annotations

import json
from typing import Any

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from tests.deployments.sandbox.conftest import ACCOUNT, REGION

REPOSITORY = "shop/checkout"


def furnished(sandbox: Any, **options: Any) -> dict[str, Any]:
    return furnish_image(sandbox.cloud, ImageOptions(account=ACCOUNT, region=REGION, **options))


def manifest(*layers: str, **annotations: str) -> str:
    """A manifest of nothing the sandbox knows, another one for other layers."""
    stated = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "0" * 64, "size": 1},
        "layers": [{"digest": f"sha256:{layer * 64}", "size": 1, "mediaType": "layer"} for layer in layers],
        "annotations": annotations,
    }
    return json.dumps(stated)


def push(aws: Any, *layers: str, tag: str | None = None, repository: str = REPOSITORY) -> str:
    """The digest of an image that was pushed."""
    tagged = {"imageTag": tag} if tag else {}
    answer = aws("ecr").put_image(repositoryName=repository, imageManifest=manifest(*layers), **tagged)
    return answer["image"]["imageId"]["imageDigest"]


def tags(aws: Any, repository: str = REPOSITORY, status: str = "ANY") -> dict[str, list[str]]:
    """The images of a repository by digest, with their tags."""
    shown = aws("ecr").describe_images(repositoryName=repository, filter={"imageStatus": status})["imageDetails"]
    return {one["imageDigest"]: one.get("imageTags", []) for one in shown}


def findings(aws: Any, **criteria: Any) -> dict[str, list[tuple[str, str]]]:
    """The findings that match, by digest: the vulnerability and the status of each."""
    wanted = {name: [{"comparison": "EQUALS", "value": value}] for name, value in criteria.items()}
    found: dict[str, list[tuple[str, str]]] = {}
    for one in aws("inspector2").list_findings(filterCriteria=wanted)["findings"]:
        digest = one["resources"][0]["details"]["awsEcrContainerImage"]["imageHash"]
        found.setdefault(digest, []).append((one["packageVulnerabilityDetails"]["vulnerabilityId"], one["status"]))
    return found


def coverage(aws: Any, digest: str) -> tuple[str, str]:
    """The scan status of a digest."""
    wanted = {"resourceType": [{"comparison": "EQUALS", "value": "AWS_ECR_CONTAINER_IMAGE"}]}
    rows = aws("inspector2").list_coverage(filterCriteria=wanted)["coveredResources"]
    (row,) = [one for one in rows if one["resourceId"].endswith(digest)]
    return row["scanStatus"]["statusCode"], row["scanStatus"]["reason"]


def start(
    aws: Any, world: dict[str, Any], *, project: str = "project", token: str | None = None, **environment: str
) -> str:
    """The id of a build of a furnished project."""
    override = [{"name": name, "value": value} for name, value in environment.items()]
    tokens = {"idempotencyToken": token} if token else {}
    answer = aws("codebuild").start_build(projectName=world[project], environmentVariablesOverride=override, **tokens)
    return answer["build"]["id"]


def build_of(aws: Any, build: str) -> dict[str, Any]:
    (found,) = aws("codebuild").batch_get_builds(ids=[build])["builds"]
    return found
