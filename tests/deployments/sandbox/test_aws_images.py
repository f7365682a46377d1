"""ECR's images: digests, tags, deletion, the archive, and who may pull."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.faults import Fault, FaultKind
from tests.deployments.sandbox.container_images import REPOSITORY, furnished, manifest, push, tags


@pytest.fixture
def ecr(sandbox: Any, aws: Any) -> Any:
    aws("ecr").create_repository(repositoryName=REPOSITORY)
    return aws("ecr")


def test_the_digest_is_of_the_manifest_and_another_config_is_another_image(aws, ecr):
    expected = f"sha256:{hashlib.sha256(manifest('a').encode()).hexdigest()}"
    assert push(aws, "a", tag="1") == expected
    other = ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest("a", note="x"))["image"]["imageId"]
    assert other["imageDigest"] != expected
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest("b"), imageDigest=expected)


def test_times_are_the_sandboxes(sandbox, aws, ecr):
    sandbox.advance(3 * 86400)
    push(aws, "a", tag="1")
    (shown,) = ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"]
    assert abs((shown["imagePushedAt"] - sandbox.cloud.clock.now()).total_seconds()) < 1
    assert shown["imageStatus"] == "ACTIVE"


def test_a_moved_tag_leaves_its_old_image_in_the_repository(aws, ecr):
    old, new = push(aws, "a", tag="live"), push(aws, "b", tag="live")
    assert tags(aws) == {old: [], new: ["live"]}
    listed = ecr.list_images(repositoryName=REPOSITORY, filter={"tagStatus": "UNTAGGED"})["imageIds"]
    assert listed == [{"imageDigest": old}]


def test_an_immutable_tag_does_not_move_and_the_same_push_twice_is_said_to_be_there(aws, ecr):
    digest = push(aws, "a", tag="1")
    with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
        push(aws, "a", tag="1")
    ecr.put_image_tag_mutability(repositoryName=REPOSITORY, imageTagMutability="IMMUTABLE")
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        push(aws, "b", tag="1")
    assert push(aws, "a", tag="2") == digest
    assert tags(aws) == {digest: ["1", "2"]}


def test_excluded_tags_are_the_other_way_round(aws, ecr):
    excluded = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    ecr.put_image_tag_mutability(
        repositoryName=REPOSITORY,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=excluded,
    )
    push(aws, "a", tag="dev-1")
    push(aws, "a", tag="1")
    moved = push(aws, "b", tag="dev-1")
    assert tags(aws)[moved] == ["dev-1"]
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        push(aws, "b", tag="1")


def test_deleting_by_tag_removes_the_tag_and_the_last_tag_takes_the_image_with_it(aws, ecr):
    digest = push(aws, "a", tag="1")
    push(aws, "a", tag="2")
    answer = ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}])
    assert answer["imageIds"] == [{"imageDigest": digest, "imageTag": "1"}]
    assert tags(aws) == {digest: ["2"]}
    ecr.batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "2"}])
    assert tags(aws) == {}


def test_deleting_by_digest_removes_everything_and_what_fails_fails_by_itself(aws, ecr):
    digest, other = push(aws, "a", tag="1"), push(aws, "b", tag="3")
    push(aws, "a", tag="2")
    answer = ecr.batch_delete_image(
        repositoryName=REPOSITORY,
        imageIds=[
            {"imageDigest": digest},
            {"imageTag": "gone"},
            {"imageDigest": "nonsense"},
            {},
            {"imageDigest": other, "imageTag": "1"},
        ],
    )
    assert {one["imageTag"] for one in answer["imageIds"]} == {"1", "2"}
    assert [one["failureCode"] for one in answer["failures"]] == [
        "ImageNotFound",
        "InvalidImageDigest",
        "MissingDigestAndTag",
        "ImageNotFound",
    ]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert tags(aws) == {other: ["3"]}


def test_a_deletion_may_succeed_for_some_images_only(sandbox, aws, ecr):
    first, second = push(aws, "a", tag="1"), push(aws, "b", tag="2")
    sandbox.cloud.faults.inject(Fault("ecr:BatchDeleteImage", FaultKind.PARTIAL))
    answer = ecr.batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageDigest": first}, {"imageDigest": second}]
    )
    assert [one["failureCode"] for one in answer["failures"]] == ["KmsError"]
    assert tags(aws) == {second: ["2"]}


def test_an_archived_image_cannot_be_pulled_and_comes_back_after_a_while(sandbox, aws, ecr):
    digest = push(aws, "a", tag="1")
    wanted = {"repositoryName": REPOSITORY, "imageId": {"imageDigest": digest}}
    assert ecr.update_image_storage_class(**wanted, targetStorageClass="ARCHIVE")["imageStatus"] == "ARCHIVED"
    (failure,) = ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}])["failures"]
    assert failure["failureCode"] == "ImageInaccessible"
    assert (tags(aws, status="ACTIVE"), tags(aws, status="ARCHIVED")) == ({}, {digest: ["1"]})
    with pytest.raises(ClientError, match="ImageNotFoundException"):
        ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])
    with pytest.raises(ClientError, match="ImageStorageClassUpdateNotSupportedException"):
        ecr.update_image_storage_class(**wanted, targetStorageClass="ARCHIVE")
    assert ecr.update_image_storage_class(**wanted, targetStorageClass="STANDARD")["imageStatus"] == "ACTIVATING"
    sandbox.advance(10)
    (shown,) = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])["imageDetails"]
    assert (shown["imageStatus"], shown["lastActivatedAt"] > shown["lastArchivedAt"]) == ("ACTIVE", True)
    assert len(ecr.batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}])["images"]) == 1


def test_a_policy_that_denies_pulling_is_obeyed_until_the_old_one_is_back(sandbox, aws):
    world, ecr = furnished(sandbox), aws("ecr")
    pull = {"repositoryName": REPOSITORY, "imageIds": [{"imageDigest": world["digest"]}]}
    (image,) = ecr.batch_get_image(**pull)["images"]
    stated = json.loads(image["imageManifest"])
    assert stated["annotations"]["org.opencontainers.image.base.digest"] == world["base_digest"]
    deny = {
        "Sid": "Deny",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    ecr.set_repository_policy(repositoryName=REPOSITORY, policyText=text)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        ecr.batch_get_image(**pull)
    assert ecr.get_repository_policy(repositoryName=REPOSITORY)["policyText"] == text
    ecr.delete_repository_policy(repositoryName=REPOSITORY)
    assert len(ecr.batch_get_image(**pull)["images"]) == 1


def test_everything_is_scanned_by_inspector_and_nothing_can_be_scanned_on_demand(aws, ecr):
    digest = push(aws, "a", tag="1")
    registry = ecr.get_registry_scanning_configuration()["scanningConfiguration"]
    answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=[REPOSITORY, "no/such"])
    (repository,), (failure,) = answer["scanningConfigurations"], answer["failures"]
    assert (registry["scanType"], repository["scanFrequency"]) == ("ENHANCED", "CONTINUOUS_SCAN")
    assert failure["failureCode"] == "REPOSITORY_NOT_FOUND"
    with pytest.raises(ClientError, match="ValidationException"):
        ecr.start_image_scan(repositoryName=REPOSITORY, imageId={"imageDigest": digest})
