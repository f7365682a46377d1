from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from deployments.sandbox import registry
from runbooks.container_image import BaseImage
from runbooks.steps.base import Role
from tasks.gateways.codebuild import CodeBuildGateway
from tasks.gateways.codepipeline import CodePipelineGateway
from tasks.gateways.ecr import EcrGateway
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
from tests.tasks.gateways.image_world import DENIES, REASON, REPOSITORY, another_image, furnish

INDEX = "application/vnd.oci.image.index.v1+json"
UNKNOWN = f"sha256:{'0' * 64}"


@pytest.fixture
def ecr(aws: AwsWorld) -> EcrGateway:
    return EcrGateway(aws.sessions)


def push(aws: AwsWorld, repository: str, manifest: dict[str, Any], tag: str) -> str:
    """Put a manifest into a repository as it is; its digest."""
    text = json.dumps(manifest)
    with aws.sandbox.cloud.lock:
        world = aws.sandbox.cloud.world(ACCOUNT, REGION)
        registry.push(world, repository, text, tag, manifest["mediaType"])
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def an_index(*digests: str) -> dict[str, Any]:
    listed = [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": one, "size": 1} for one in digests]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}


def manifest_of(aws: AwsWorld, repository: str, digest: str) -> dict[str, Any]:
    answer = aws.client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    return json.loads(answer["images"][0]["imageManifest"])


def test_an_image_is_read_with_its_base_and_what_the_bases_name_means_now(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [built["digest"]]).values()
    assert image is not None
    assert (image.arn, image.tags, image.archived) == (built["image_arn"], ("1.4.2", "production"), False)
    assert image.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert image.pushed_at is not None
    assert image.pushed_at.utcoffset() == timedelta(0)
    layers = [one["digest"] for one in manifest_of(aws, built["base_repository"], built["base_digest"])["layers"]]
    assert image.base == BaseImage(
        name=built["base_image"],
        digest=built["base_digest"],
        newest=built["newer_base_digest"],
        layers=tuple(layers),
    )
    assert image.base is not None
    assert image.base.is_outdated


def test_a_base_without_a_newer_image_is_not_outdated(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws, newer_base=False)
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [built["digest"]]).values()
    assert image is not None
    assert image.base is not None
    assert (image.base.newest, image.base.is_outdated) == (built["base_digest"], False)


def test_the_base_of_a_registry_that_is_not_ecr_is_named_and_nothing_more_is_known_of_it(
    aws: AwsWorld, ecr: EcrGateway
):
    furnish(aws)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "layers": [],
        "annotations": {"org.opencontainers.image.base.name": "docker.io/library/python:3.12-slim"},
    }
    digest = push(aws, REPOSITORY, manifest, "python")
    aws.sandbox.cloud.record.clear()
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [digest]).values()
    assert image is not None
    assert image.base == BaseImage(name="docker.io/library/python:3.12-slim")
    assert aws.calls() == ["ecr:DescribeImages", "ecr:BatchGetImage"]


def test_a_base_that_is_one_platform_of_what_its_tag_means_is_the_newest(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws, newer_base=False)
    tag = built["base_image"].rpartition(":")[2]
    push(aws, built["base_repository"], an_index(built["base_digest"], UNKNOWN), tag)
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [built["digest"]]).values()
    assert image is not None
    assert image.base is not None
    assert (image.base.newest, image.base.is_outdated) == (built["base_digest"], False)


def test_of_a_base_of_several_platforms_the_layers_are_those_that_the_image_begins_with(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    base = built["base_repository"]
    index = push(aws, base, an_index(built["newer_base_digest"], built["base_digest"]), "multi")
    manifest = manifest_of(aws, REPOSITORY, built["digest"])
    manifest["annotations"]["org.opencontainers.image.base.digest"] = index
    digest = push(aws, REPOSITORY, manifest, "multi")
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [digest]).values()
    layers = [one["digest"] for one in manifest_of(aws, base, built["base_digest"])["layers"]]
    assert image is not None
    assert image.base is not None
    assert image.base.layers == tuple(layers)


def test_an_image_whose_repository_denies_pulls_is_read_without_its_base(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    aws.client("ecr", Role.CONTAIN).set_repository_policy(repositoryName=REPOSITORY, policyText=DENIES)
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [built["digest"]]).values()
    assert image is not None
    assert (image.digest, image.base) == (built["digest"], None)


def test_images_that_are_gone_do_not_hide_those_that_are_there(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    other = another_image(aws, "1.4.3")
    missing = [f"sha256:{number:064x}" for number in range(3)]
    found = ecr.images(ACCOUNT, REGION, REPOSITORY, [missing[0], built["digest"], *missing[1:], other])
    assert {digest for digest, image in found.items() if image is not None} == {built["digest"], other}
    assert set(found) == {built["digest"], other, *missing}


def test_an_archived_image_is_there_and_says_so(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    aws.client("ecr", Role.PATCH).update_image_storage_class(
        repositoryName=REPOSITORY, imageId={"imageDigest": built["digest"]}, targetStorageClass="ARCHIVE"
    )
    (image,) = ecr.images(ACCOUNT, REGION, REPOSITORY, [built["digest"]]).values()
    assert image is not None
    assert (image.archived, image.base) == (True, None)
    assert ecr.image(ACCOUNT, REGION, REPOSITORY, tag="1.4.2") == image


def test_a_hundred_images_are_read_in_two_calls(aws: AwsWorld, ecr: EcrGateway):
    built = furnish(aws)
    digests = [built["digest"]]
    manifest = manifest_of(aws, REPOSITORY, built["digest"])
    numbers = range(99)
    digests += [
        push(aws, REPOSITORY, manifest | {"config": {"digest": f"sha256:{one:064x}"}}, f"t{one}") for one in numbers
    ]
    aws.sandbox.cloud.record.clear()
    found = ecr.images(ACCOUNT, REGION, REPOSITORY, digests)
    assert len([image for image in found.values() if image and image.base]) == 100
    # Two for the images; the base, which all have in common, is looked up once.
    assert sorted(aws.calls()) == ["ecr:BatchGetImage"] * 3 + ["ecr:DescribeImages"] * 2


def test_a_repository_is_read_with_its_policies_and_tags(aws: AwsWorld, ecr: EcrGateway):
    furnish(aws)
    client = aws.client("ecr", Role.CONTAIN)
    arn = client.describe_repositories(repositoryNames=[REPOSITORY])["repositories"][0]["repositoryArn"]
    client.tag_resource(resourceArn=arn, tags=[{"Key": "environment", "Value": "production"}])
    client.set_repository_policy(repositoryName=REPOSITORY, policyText=DENIES)
    found = ecr.repositories(ACCOUNT, REGION, [REPOSITORY, "shop/billing"])
    assert found["shop/billing"] is None
    repository = found[REPOSITORY]
    assert repository is not None
    assert repository.model_dump() == {
        "name": REPOSITORY,
        "uri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}",
        "tag_mutability": "MUTABLE",
        "policy": DENIES,
        "lifecycle_policy": None,
        "reader": f"arn:aws:iam::{ACCOUNT}:role/remediation-runbooks-read",
        "tags": {"environment": "production"},
    }
    assert ecr.repository_tags(ACCOUNT, REGION, REPOSITORY) == {"environment": "production"}
    assert ecr.repository_tags(ACCOUNT, REGION, "shop/billing") == {}


def test_of_a_repository_that_is_not_there_there_are_no_images(aws: AwsWorld, ecr: EcrGateway):
    assert ecr.images(ACCOUNT, REGION, "shop/billing", [UNKNOWN]) == {UNKNOWN: None}
    assert ecr.image(ACCOUNT, REGION, "shop/billing", tag="1") is None


def test_projects_and_stages_that_are_not_there_are_left_out(aws: AwsWorld):
    furnish(aws)
    assert CodeBuildGateway(aws.sessions).existing(ACCOUNT, REGION, ["checkout-image", "nothing"]) == {"checkout-image"}
    aws.client("codepipeline", Role.CONTAIN).disable_stage_transition(
        pipelineName="checkout", stageName="Staging", transitionType="Inbound", reason=REASON
    )
    names = ["checkout/Production", "checkout/Canary", "billing/Production", "checkout/Staging"]
    found = CodePipelineGateway(aws.sessions).transitions(ACCOUNT, REGION, names)
    assert [(one.stage, one.enabled, one.reason) for one in found] == [
        ("Production", True, None),
        ("Staging", False, REASON),
    ]


def test_nothing_is_asked_of_codepipeline_and_codebuild_when_nothing_is_named(aws: AwsWorld):
    assert CodePipelineGateway(aws.sessions).transitions(ACCOUNT, REGION, ()) == ()
    assert CodeBuildGateway(aws.sessions).existing(ACCOUNT, REGION, []) == frozenset()
    assert aws.calls() == []
