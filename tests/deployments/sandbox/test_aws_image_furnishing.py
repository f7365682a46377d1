"""Furnishing an image: by itself, twice, after a real finding, and together with what runs it."""

from __future__ import annotations

import copy
from typing import Any

import httpx

from deployments.sandbox.furnish_image import furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from tests.deployments.sandbox.conftest import ACCOUNT, REGION
from tests.deployments.sandbox.container_images import findings, furnished, tags

DIGEST = "sha256:84f507df33c6864d49c296fb734192696e4cb6f78166ac51ac8b9b118181085d"
ARN = f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/0123456789abcdef0123456789abcdef"


def stated(world: dict[str, Any]) -> dict[str, Any]:
    """The event of a furnished finding, as if it came from elsewhere."""
    event = copy.deepcopy(world["event"])
    detail = event["detail"]
    (resource,) = detail["resources"]
    detail["findingArn"] = ARN
    resource["details"]["awsEcrContainerImage"] |= {
        "imageHash": DIGEST,
        "repositoryName": "their/own",
        "imageTags": ["theirs"],
        "platform": "UBUNTU_24_04",
    }
    return event


def test_of_a_finding_that_is_given_digest_tags_and_arn_are_kept(sandbox, aws):
    event = stated(furnished(sandbox))
    sandbox.reset()
    world = furnish_image(sandbox.cloud, payload=event)
    assert (world["digest"], world["finding_arn"], world["tags"]) == (DIGEST, ARN, ["theirs"])
    assert tags(aws, "their/own") == {DIGEST: ["theirs"]}
    assert findings(aws, findingArn=ARN) == {DIGEST: [("CVE-2024-5535", "ACTIVE")]}
    again = world["event"]["detail"]["resources"][0]
    assert again["id"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/their/own/{DIGEST}"
    assert again["details"]["awsEcrContainerImage"]["platform"] == "UBUNTU_24_04"
    assert world["base_image"].endswith("base/ubuntu:24.04")


def test_the_same_furnishing_gives_the_same_ids_and_twice_is_once(sandbox, aws):
    def without_event(world: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in world.items() if name != "event"}

    first, second = furnished(sandbox), furnished(sandbox)
    assert without_event(first) == without_event(second)
    assert len(findings(aws)) == 1
    sandbox.reset()
    assert without_event(furnished(sandbox)) == without_event(first)


def test_a_service_furnished_after_it_runs_the_digest(sandbox, aws):
    world = furnished(sandbox)
    options = ServiceOptions(account=ACCOUNT, region=REGION, image=world["image"], tasks=3)
    service = furnish_service(sandbox.cloud, options)
    assert service["image_digest"] == world["digest"]
    found = aws("inspector2").list_findings()["findings"][0]["resources"][0]["details"]["awsEcrContainerImage"]
    assert found["inUseCount"] == 3
    (cluster,) = aws("inspector2").get_clusters_for_image(filter={"resourceId": world["image_arn"]})["cluster"]
    assert cluster["clusterArn"] == service["cluster_arn"]


def test_the_control_routes_furnish_an_image_and_show_it(sandbox):
    answer = httpx.post(f"{sandbox.url}/sandbox/furnish/image", json={"options": {"tags": ["a", "b", "c"]}})
    world = answer.json()
    assert world["tags"] == ["a", "b", "c"]
    shown = httpx.get(f"{sandbox.url}/sandbox/world", params={"account": ACCOUNT, "region": REGION}).json()
    image = shown["container_images"][world["image_arn"]]
    assert (image["status"], image["tags"], image["base_digest"]) == ("ACTIVE", ["a", "b", "c"], world["base_digest"])
    refused = httpx.post(f"{sandbox.url}/sandbox/furnish/image", json={"finding": {"resources": []}})
    assert refused.status_code == 400
    assert "container image" in refused.json()["error"]
