"""CodeBuild: builds that take time, push what their recipe makes, and go wrong when they are told to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.deployments.sandbox.conftest import ACCOUNT, REGION
from tests.deployments.sandbox.container_images import build_of, findings, furnished, start, tags

PHASES = [
    "SUBMITTED",
    "QUEUED",
    "PROVISIONING",
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
]


def finished(sandbox: Any, aws: Any, build: str) -> dict[str, Any]:
    sandbox.advance(6.1)
    shown = build_of(aws, build)
    assert shown["buildComplete"] is True
    return shown


def exported(shown: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in shown["exportedEnvironmentVariables"]}


def failed_phase(shown: dict[str, Any]) -> str:
    (failed,) = [one["phaseType"] for one in shown["phases"] if one.get("phaseStatus") == "FAILED"]
    return failed


def test_a_build_goes_through_its_phases_and_pushes_a_new_digest_at_the_end(sandbox, aws):
    world = furnished(sandbox)
    build = start(aws, world, BASE_IMAGE=world["base_image"], IMAGE_TAG="1.4.3")
    shown = build_of(aws, build)
    seen = [shown["currentPhase"]]
    for _ in range(60):
        sandbox.advance(0.1)
        shown = build_of(aws, build)
        seen += [] if seen[-1] == shown["currentPhase"] else [shown["currentPhase"]]
        assert shown["buildStatus"] == ("SUCCEEDED" if shown["buildComplete"] else "IN_PROGRESS")
    assert seen == PHASES[1:]
    assert [one["phaseType"] for one in shown["phases"]] == PHASES
    digest = exported(shown)["IMAGE_DIGEST"]
    assert exported(shown)["IMAGE_URI"] == f"{world['repository_uri']}@{digest}"
    assert tags(aws) == {world["digest"]: ["1.4.2", "production"], digest: ["1.4.3"]}


def test_the_same_token_is_the_same_build_other_parameters_are_refused_and_the_token_expires(sandbox, aws):
    world = furnished(sandbox)
    build = start(aws, world, token="once", IMAGE_TAG="1")
    assert start(aws, world, token="once", IMAGE_TAG="1") == build
    with pytest.raises(ClientError, match="InvalidInputException"):
        start(aws, world, token="once", IMAGE_TAG="2")
    other = start(aws, world, IMAGE_TAG="1")
    sandbox.advance(301)
    late = start(aws, world, token="once", IMAGE_TAG="2")
    assert len({build, other, late}) == 3
    ids = aws("codebuild").list_builds_for_project(projectName=world["project"])["ids"]
    assert ids == [late, other, build]


def test_packages_are_brought_up_to_date_in_a_layer_of_their_own(sandbox, aws):
    world = furnished(sandbox)
    shown = finished(sandbox, aws, start(aws, world, PACKAGES="openssl", IMAGE_TAG="patched"))
    here = sandbox.cloud.world(ACCOUNT, REGION)
    (image,) = [one for one in here.container_images.values() if one.digest == exported(shown)["IMAGE_DIGEST"]]
    package = image.inventory["openssl", "amd64"]
    assert (package.version, package.layer) == ("0:3.0.2-0ubuntu1.17", image.content.layers[-1].digest)
    assert image.content.base_digest == world["base_digest"]
    sandbox.advance(10)
    assert list(findings(aws)) == [world["digest"]]


def test_a_rebuild_may_start_from_the_layers_of_an_image_and_needs_that_image(sandbox, aws):
    world = furnished(sandbox, language=True)
    change = {"account": ACCOUNT, "region": REGION, "project": world["project"], "packages": []}
    assert httpx.post(f"{sandbox.url}/sandbox/recipes", json=change).status_code == 200
    wanted = {"BASE_IMAGE": world["base_image"], "IMAGE_TAG": "a"}
    here = sandbox.cloud.world(ACCOUNT, REGION)
    shown = finished(sandbox, aws, start(aws, world, SOURCE_DIGEST=world["digest"], **wanted))
    (image,) = [one for one in here.container_images.values() if one.digest == exported(shown)["IMAGE_DIGEST"]]
    assert {name for name, _ in image.inventory} == {"libc6", "checkout", "PyYAML"}
    assert image.content.base_digest == world["newer_base_digest"]
    lost = finished(sandbox, aws, start(aws, world, SOURCE_DIGEST="sha256:" + "0" * 64, **wanted))
    assert (lost["buildStatus"], failed_phase(lost)) == ("FAILED", "BUILD")


def test_a_language_dependency_is_not_fixed_by_a_newer_base_image(sandbox, aws):
    world = furnished(sandbox, language=True)
    based = exported(finished(sandbox, aws, start(aws, world, BASE_IMAGE=world["base_image"], IMAGE_TAG="a")))
    patched = exported(finished(sandbox, aws, start(aws, world, PACKAGES="PyYAML", IMAGE_TAG="b")))
    sandbox.advance(10)
    assert set(findings(aws, findingStatus="ACTIVE")) == {world["digest"], based["IMAGE_DIGEST"]}
    assert patched["IMAGE_DIGEST"] in tags(aws)


@pytest.mark.parametrize(
    ("options", "environment", "phase"),
    [
        ({"build": "fails"}, {}, "BUILD"),
        ({}, {"BASE_IMAGE": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/base/ubuntu:nope"}, "BUILD"),
        ({}, {"BASE_IMAGE": "docker.io/library/ubuntu:22.04"}, "BUILD"),
        ({"immutable": True}, {"IMAGE_TAG": "1.4.2"}, "POST_BUILD"),
    ],
)
def test_a_build_that_cannot_end_well_fails_and_pushes_nothing(sandbox, aws, options, environment, phase):
    world = furnished(sandbox, **options)
    shown = finished(sandbox, aws, start(aws, world, **environment))
    assert (shown["buildStatus"], failed_phase(shown)) == ("FAILED", phase)
    assert exported(shown) == {}
    assert list(tags(aws)) == [world["digest"]]


def test_a_build_may_leave_the_vulnerability_in_or_bring_another(sandbox, aws):
    world = furnished(sandbox, build="keeps_packages")
    wanted = {"BASE_IMAGE": world["base_image"], "PACKAGES": "all"}
    stale = exported(finished(sandbox, aws, start(aws, world, IMAGE_TAG="a", **wanted)))["IMAGE_DIGEST"]
    brings = [{"name": "libexpat1", "arch": "amd64", "version": "2.4.7-1ubuntu0.3"}]
    change = {"account": ACCOUNT, "region": REGION, "project": world["project"], "outcome": "succeeds"}
    assert httpx.post(f"{sandbox.url}/sandbox/recipes", json=change | {"brings": brings}).status_code == 200
    furnished(sandbox, brings_vulnerability=True, project="other-image")
    worse = exported(finished(sandbox, aws, start(aws, world, IMAGE_TAG="b", **wanted)))["IMAGE_DIGEST"]
    sandbox.advance(10)
    found = findings(aws)
    assert found[stale] == [("CVE-2024-5535", "ACTIVE")]
    assert found[worse] == [("CVE-2024-45491", "ACTIVE")]


def test_a_stopped_build_pushes_nothing(sandbox, aws):
    world = furnished(sandbox)
    build = start(aws, world, IMAGE_TAG="1.4.3")
    sandbox.advance(3)
    assert aws("codebuild").stop_build(id=build)["build"]["buildStatus"] == "STOPPED"
    assert finished(sandbox, aws, build)["buildStatus"] == "STOPPED"
    assert list(tags(aws)) == [world["digest"]]


@pytest.mark.parametrize(
    ("outcome", "image", "status"),
    [("succeeds", "image", "SUCCEEDED"), ("fails", "image", "FAILED"), ("succeeds", "repository_uri", "FAILED")],
)
def test_a_test_of_an_image_ends_as_it_is_told_and_needs_the_image(sandbox, aws, outcome, image, status):
    world = furnished(sandbox, test=outcome)
    shown = finished(sandbox, aws, start(aws, world, project="test_project", IMAGE_URI=world[image]))
    assert shown["buildStatus"] == status


def test_unknown_projects_and_builds_are_said_to_be_unknown(sandbox, aws):
    world = furnished(sandbox)
    build = start(aws, world)
    answer = aws("codebuild").batch_get_builds(ids=[build, "checkout-image:none"])
    assert ([one["id"] for one in answer["builds"]], answer["buildsNotFound"]) == ([build], ["checkout-image:none"])
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws("codebuild").start_build(projectName="no-such")
