"""What runs an image of ECR: which digest, who is told of it, and what cannot start any more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.container_images import Content, ImageConfig, make_layer, write_manifest
from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from deployments.sandbox.platforms import Platform
from deployments.sandbox.pulling import CannotPull
from deployments.sandbox.world import Package
from tests.deployments.sandbox.conftest import ACCOUNT, REGION
from tests.deployments.sandbox.test_aws_ecs import deploy, deployment, images, rollouts, service

REPOSITORY = "shop/checkout"
URI = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}"
DENY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}],
}


@pytest.fixture(autouse=True)
def repository(sandbox: Any, aws: Any) -> None:
    aws("ecr").create_repository(repositoryName=REPOSITORY)


def push(sandbox: Any, aws: Any, tag: str, version: str) -> str:
    """The digest of a new image with this version of openssl."""
    world = sandbox.cloud.world(ACCOUNT, REGION)
    packages = (Package("openssl", "amd64", version),)
    content = Content(ImageConfig(Platform("UBUNTU_22_04")), (make_layer(world, packages, "base"),))
    manifest = write_manifest(world, content, version)
    return aws("ecr").put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)["image"]["imageId"][
        "imageDigest"
    ]


def shop(sandbox: Any, image: str, account: str = ACCOUNT, **options: Any) -> dict[str, Any]:
    stated = {"account": account, "region": REGION, "image": image} | options
    return furnish_service(sandbox.cloud, ServiceOptions.model_validate(stated))


def in_use(sandbox: Any, digest: str) -> list[tuple[str, int, int]]:
    places = sandbox.cloud.world(ACCOUNT, REGION).running_images.get(digest, [])
    return [(one.group, one.running, one.stopped) for one in places]


def archive(aws: Any, digest: str) -> None:
    aws("ecr").update_image_storage_class(
        repositoryName=REPOSITORY, imageId={"imageDigest": digest}, targetStorageClass="ARCHIVE"
    )


def test_a_tag_is_resolved_when_the_first_task_starts_and_stays_pinned_for_the_revision(sandbox, aws):
    old = push(sandbox, aws, "live", "1")
    world = shop(sandbox, f"{URI}:live", strategy="ROLLING")
    assert world["image_digest"] == old
    new = push(sandbox, aws, "live", "2")
    aws("ecs").stop_task(cluster="shop", task=world["task_arns"][0])
    sandbox.advance(10)
    assert in_use(sandbox, old) == [("service:checkout", 4, 1)]
    aws("ecs").update_service(cluster="shop", service="checkout", forceNewDeployment=True)
    sandbox.advance(400)
    (revision,) = service(aws)["currentServiceRevisions"]
    (shown,) = aws("ecs").describe_service_revisions(serviceRevisionArns=[revision["arn"]])["serviceRevisions"]
    assert shown["containerImages"][0]["imageDigest"] == new
    assert in_use(sandbox, new) == [("service:checkout", 4, 0)]
    assert in_use(sandbox, old) == [("service:checkout", 0, 5)]


def test_an_archived_image_trips_the_circuit_breaker_and_the_old_tasks_stay(sandbox, aws):
    old, new = push(sandbox, aws, "1", "1"), push(sandbox, aws, "2", "2")
    shop(sandbox, f"{URI}@{old}")
    archive(aws, new)
    arn = deploy(aws, f"{URI}@{new}")
    sandbox.advance(60)
    ended = deployment(aws, arn)
    assert (ended["status"], ended["deploymentCircuitBreaker"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
    assert ended["deploymentCircuitBreaker"]["failureCount"] >= ended["deploymentCircuitBreaker"]["threshold"] == 3
    assert images(aws) == {f"{URI}@{old}": 4}
    assert rollouts(aws) == [("PRIMARY", "COMPLETED", 4)]
    stopped = aws("ecs").list_tasks(cluster="shop", desiredStatus="STOPPED")["taskArns"]
    (task, *_) = aws("ecs").describe_tasks(cluster="shop", tasks=stopped)["tasks"]
    assert task["stopCode"] == "TaskFailedToStart"
    assert "CannotPullContainerError" in task["stoppedReason"]


def test_without_a_circuit_breaker_a_deployment_that_cannot_start_goes_on_and_changes_nothing(sandbox, aws):
    old, new = push(sandbox, aws, "1", "1"), push(sandbox, aws, "2", "2")
    shop(sandbox, f"{URI}@{old}", strategy="ROLLING")
    archive(aws, new)
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    arn = deploy(aws, f"{URI}@{new}", deploymentConfiguration=off)
    sandbox.advance(900)
    assert deployment(aws, arn)["status"] == "IN_PROGRESS"
    assert images(aws) == {f"{URI}@{old}": 4}
    aws("ecr").update_image_storage_class(
        repositoryName=REPOSITORY, imageId={"imageDigest": new}, targetStorageClass="STANDARD"
    )
    sandbox.advance(400)
    assert (deployment(aws, arn)["status"], images(aws)) == ("SUCCESSFUL", {f"{URI}@{new}": 4})


def test_a_task_of_an_image_that_was_deleted_in_use_does_not_come_back(sandbox, aws):
    digest = push(sandbox, aws, "1", "1")
    world = shop(sandbox, f"{URI}@{digest}")
    aws("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])
    assert images(aws) == {f"{URI}@{digest}": 4}
    aws("ecs").stop_task(cluster="shop", task=world["task_arns"][0])
    sandbox.advance(600)
    assert images(aws) == {f"{URI}@{digest}": 3}


def test_a_policy_that_denies_pulls_keeps_new_tasks_from_starting_until_it_is_gone(sandbox, aws):
    digest = push(sandbox, aws, "1", "1")
    world = shop(sandbox, f"{URI}@{digest}")
    aws("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=json.dumps(DENY))
    aws("ecs").stop_task(cluster="shop", task=world["task_arns"][0])
    sandbox.advance(60)
    assert images(aws) == {f"{URI}@{digest}": 3}
    aws("ecr").delete_repository_policy(repositoryName=REPOSITORY)
    sandbox.advance(60)
    assert images(aws) == {f"{URI}@{digest}": 4}


def test_a_denial_that_leaves_a_role_out_lets_its_tasks_start_and_nobody_elses(sandbox, aws):
    digest = push(sandbox, aws, "1", "1")
    world = shop(sandbox, f"{URI}@{digest}")
    tasks = shop(sandbox, f"{URI}@{digest}", name="basket")
    left_out = {"ArnNotLike": {"aws:PrincipalArn": [f"arn:*:iam::{ACCOUNT}:role/checkout-*"]}}
    deny = {**DENY, "Statement": [DENY["Statement"][0] | {"Condition": left_out}]}
    aws("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=json.dumps(deny))
    for arn in (world["task_arns"][0], tasks["task_arns"][0]):
        aws("ecs").stop_task(cluster="shop", task=arn)
    sandbox.advance(60)
    assert images(aws) == {f"{URI}@{digest}": 4}
    assert images(aws, "basket") == {f"{URI}@{digest}": 3}
    with pytest.raises(ClientError, match="AccessDenied"):
        aws("ecr").batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}])


def test_another_account_pulls_only_when_the_policy_allows_it_and_is_counted_at_the_images_home(sandbox, aws):
    digest, other = push(sandbox, aws, "1", "1"), "345678901234"
    with pytest.raises(CannotPull, match="403"):
        shop(sandbox, f"{URI}@{digest}", account=other)
    assert aws("ecs", account=other).list_clusters()["clusterArns"] == []
    allow = DENY["Statement"][0] | {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{other}:root"}}
    aws("ecr").set_repository_policy(
        repositoryName=REPOSITORY, policyText=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )
    world = shop(sandbox, f"{URI}@{digest}", account=other, name="basket")
    assert in_use(sandbox, digest) == [("service:basket", 4, 0)]
    image = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}/{digest}"
    (cluster,) = aws("inspector2").get_clusters_for_image(filter={"resourceId": image})["cluster"]
    (details,) = cluster["clusterDetails"]
    assert (cluster["clusterArn"], details["runningUnitCount"]) == (world["cluster_arn"], 4)
    assert details["clusterMetadata"]["awsEcsMetadataDetails"]["detailsGroup"] == "service:basket"


def test_an_image_function_runs_a_digest_and_is_scanned_by_what_the_image_holds(sandbox, aws):
    old, new = push(sandbox, aws, "1", "1"), push(sandbox, aws, "live", "2")
    role = furnish_function(sandbox.cloud)["role_arn"]
    client = aws("lambda")
    made = client.create_function(
        FunctionName="render", PackageType="Image", Role=role, Code={"ImageUri": f"{URI}:live"}
    )
    assert made["CodeSha256"] == new.removeprefix("sha256:")
    sandbox.advance(10)
    push(sandbox, aws, "live", "3")
    assert client.get_function(FunctionName="render")["Code"]["ResolvedImageUri"] == f"{URI}@{new}"
    archive(aws, new)
    with pytest.raises(ClientError, match=r"InvalidParameterValueException.*Source image"):
        client.update_function_code(FunctionName="render", ImageUri=f"{URI}@{new}")
    published = client.update_function_code(FunctionName="render", ImageUri=f"{URI}@{old}", Publish=True)
    assert (published["Version"], published["CodeSha256"]) == ("1", old.removeprefix("sha256:"))
    sandbox.advance(10)
    client.update_function_code(FunctionName="render", ImageUri=f"{URI}:live")
    version = client.get_function(FunctionName="render", Qualifier="1")["Code"]
    assert version["ResolvedImageUri"] == f"{URI}@{old}"
    inventory = sandbox.cloud.world(ACCOUNT, REGION).functions["render"].inventory
    assert [one.version for one in inventory.values()] == ["3"]
