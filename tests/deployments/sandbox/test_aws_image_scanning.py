"""Inspector and container images: a digest keeps its findings, and a closed finding is not a fix."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from deployments.sandbox.container_images import RunningImage
from tests.deployments.sandbox.conftest import ACCOUNT, REGION
from tests.deployments.sandbox.container_images import (
    REPOSITORY,
    build_of,
    coverage,
    findings,
    furnished,
    push,
    start,
)

CVE = "CVE-2024-5535"


def rebuild(sandbox: Any, aws: Any, world: dict[str, Any], **environment: str) -> str:
    """The digest of a build that is pushed and scanned."""
    build = start(aws, world, **environment)
    sandbox.advance(6.1)
    exported = {one["name"]: one["value"] for one in build_of(aws, build)["exportedEnvironmentVariables"]}
    sandbox.advance(10)
    return exported["IMAGE_DIGEST"]


def test_a_finding_is_of_the_digest_and_tells_of_the_image_and_of_the_layer(sandbox, aws):
    world = furnished(sandbox)
    wanted = {"ecrImageHash": [{"comparison": "EQUALS", "value": world["digest"]}]}
    (shown,) = aws("inspector2").list_findings(filterCriteria=wanted)["findings"]
    (resource,) = shown["resources"]
    assert (resource["id"], resource["type"]) == (
        f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}/{world['digest']}",
        "AWS_ECR_CONTAINER_IMAGE",
    )
    details = resource["details"]["awsEcrContainerImage"]
    pushed = details.pop("pushedAt")
    assert details == {
        "repositoryName": REPOSITORY,
        "imageTags": ["1.4.2", "production"],
        "imageHash": world["digest"],
        "registry": ACCOUNT,
        "architecture": "amd64",
        "platform": "UBUNTU_22_04",
        "inUseCount": 0,
    }
    assert shown["firstObservedAt"] == pushed
    (package,) = shown["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert (package["name"], package["version"], package["release"]) == ("openssl", "3.0.2", "0ubuntu1.10")
    content = sandbox.cloud.world(ACCOUNT, REGION).container_images[resource["id"]].content
    assert package["sourceLayerHash"] == content.layers[1].digest
    assert findings(aws, ecrImageRepositoryName=REPOSITORY, ecrImageTags="production", resourceId=resource["id"]) == {
        world["digest"]: [(CVE, "ACTIVE")]
    }
    assert findings(aws, ecrImageRepositoryName="base/ubuntu") == {}


def test_a_pushed_image_waits_for_its_initial_scan(sandbox, aws):
    world = furnished(sandbox)
    manifest = aws("ecr").batch_get_image(repositoryName=REPOSITORY, imageIds=[{"imageDigest": world["digest"]}])
    aws("ecr").create_repository(repositoryName="shop/copy")
    text = manifest["images"][0]["imageManifest"]
    copy = aws("ecr").put_image(repositoryName="shop/copy", imageManifest=text, imageTag="1")["image"]["imageId"]
    assert copy["imageDigest"] == world["digest"]
    wanted = {"ecrRepositoryName": [{"comparison": "EQUALS", "value": "shop/copy"}]}
    (row,) = aws("inspector2").list_coverage(filterCriteria=wanted)["coveredResources"]
    assert row["scanStatus"] == {"statusCode": "ACTIVE", "reason": "PENDING_INITIAL_SCAN"}
    assert "lastScannedAt" not in row
    assert findings(aws, ecrImageRepositoryName="shop/copy") == {}
    sandbox.advance(5)
    (row,) = aws("inspector2").list_coverage(filterCriteria=wanted)["coveredResources"]
    assert row["scanStatus"] == {"statusCode": "ACTIVE", "reason": "SUCCESSFUL"}
    assert findings(aws, ecrImageRepositoryName="shop/copy") == {world["digest"]: [(CVE, "ACTIVE")]}
    shown = aws("ecr").describe_image_scan_findings(repositoryName="shop/copy", imageId={"imageTag": "1"})
    assert shown["imageScanStatus"]["status"] == "ACTIVE"
    assert shown["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1}


def test_a_new_digest_has_findings_of_its_own_and_the_old_one_keeps_its(sandbox, aws):
    world = furnished(sandbox)
    fixed = rebuild(sandbox, aws, world, BASE_IMAGE=world["base_image"], IMAGE_TAG="1.4.3")
    unfixed = rebuild(sandbox, aws, world, IMAGE_TAG="1.4.4")
    assert findings(aws) == {world["digest"]: [(CVE, "ACTIVE")], unfixed: [(CVE, "ACTIVE")]}
    assert coverage(aws, fixed) == ("ACTIVE", "SUCCESSFUL")


def test_deleting_or_archiving_the_image_closes_the_finding_and_fixes_nothing(sandbox, aws):
    world = furnished(sandbox)
    image = {"imageDigest": world["digest"]}
    aws("ecr").update_image_storage_class(repositoryName=REPOSITORY, imageId=image, targetStorageClass="ARCHIVE")
    assert findings(aws) == {world["digest"]: [(CVE, "CLOSED")]}
    assert coverage(aws, world["digest"]) == ("INACTIVE", "IMAGE_ARCHIVED")
    aws("ecr").update_image_storage_class(repositoryName=REPOSITORY, imageId=image, targetStorageClass="STANDARD")
    sandbox.advance(3.5)
    assert coverage(aws, world["digest"]) == ("ACTIVE", "PENDING_REVIVAL_SCAN")
    sandbox.advance(3)
    assert findings(aws, findingArn=world["finding_arn"]) == {world["digest"]: [(CVE, "ACTIVE")]}
    aws("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[image])
    assert findings(aws) == {world["digest"]: [(CVE, "CLOSED")]}
    assert coverage(aws, world["digest"]) == ("INACTIVE", "RESOURCE_TERMINATED")


def test_an_image_out_of_use_is_scanned_no_longer_and_one_in_use_is(sandbox, aws):
    world = furnished(sandbox)
    kept = push(aws, "a", tag="kept")
    here = sandbox.cloud.world(ACCOUNT, REGION)
    here.running_images[kept] = [RunningImage("arn:aws:ecs:x:1:cluster/a", "ECS", 2, here.now)]
    sandbox.advance(20 * 86400)
    assert findings(aws) == {world["digest"]: [(CVE, "CLOSED")]}
    assert coverage(aws, world["digest"]) == ("INACTIVE", "SCAN_ELIGIBILITY_EXPIRED")
    assert coverage(aws, kept) == ("ACTIVE", "SUCCESSFUL")


def test_where_a_digest_runs_is_told_by_the_finding_by_coverage_and_by_clusters(sandbox, aws):
    world = furnished(sandbox)
    here = sandbox.cloud.world(ACCOUNT, REGION)
    ecs, eks = (f"arn:aws:{kind}:{REGION}:{ACCOUNT}:cluster/shop" for kind in ("ecs", "eks"))
    earlier = here.now - timedelta(hours=3)
    here.running_images[world["digest"]] = [
        RunningImage(ecs, "ECS", 3, here.now, "service:checkout", "arn:aws:ecs:x:1:task-definition/checkout:1"),
        RunningImage(eks, "EKS", 0, earlier, "shop", "checkout", stopped=2),
    ]
    found = aws("inspector2").list_findings(
        filterCriteria={"ecrImageInUseCount": [{"lowerInclusive": 1.0, "upperInclusive": 9.0}]}
    )["findings"]
    details = found[0]["resources"][0]["details"]["awsEcrContainerImage"]
    assert details["inUseCount"] == 3
    assert abs(details["lastInUseAt"] - here.now) < timedelta(seconds=1)
    answers = [
        aws("inspector2").get_clusters_for_image(filter={"resourceId": arn})["cluster"]
        for arn in (world["image_arn"], world["image_arn"].rpartition("/")[0])
    ]
    assert answers[0] == answers[1]
    assert [one["clusterArn"] for one in answers[0]] == [ecs, eks]
    (running,), (stopped,) = (one["clusterDetails"] for one in answers[0])
    assert (running["runningUnitCount"], stopped["runningUnitCount"], stopped["stoppedUnitCount"]) == (3, 0, 2)
    assert running["clusterMetadata"]["awsEcsMetadataDetails"]["detailsGroup"] == "service:checkout"
    assert stopped["clusterMetadata"]["awsEksMetadataDetails"]["namespace"] == "shop"


def test_details_tell_of_cisas_catalogue_for_images_too(sandbox, aws):
    world = furnished(sandbox, known_exploited=True, exploit_observed=True)
    (details,) = aws("inspector2").batch_get_finding_details(findingArns=[world["finding_arn"]])["findingDetails"]
    assert (details["epssScore"], "cisaData" in details, "exploitObserved" in details) == (0.62, True, True)


def test_a_vulnerability_that_becomes_known_opens_findings_of_images_that_were_clean(sandbox, aws):
    world = furnished(sandbox)
    event = world["event"] | {"detail": {**world["event"]["detail"], "findingArn": "none"}}
    details = event["detail"]["packageVulnerabilityDetails"]
    libc = {"name": "libc6", "arch": "X86_64", "version": "2.35", "release": "0ubuntu3.8", "packageManager": "OS"}
    details |= {"vulnerabilityId": "CVE-2099-1", "vulnerablePackages": [libc | {"fixedInVersion": "2.35-0ubuntu3.9"}]}
    answer = httpx.post(f"{sandbox.url}/sandbox/advisories", json={"finding": event})
    assert answer.json() == {"vulnerability_id": "CVE-2099-1"}
    assert sorted(findings(aws)[world["digest"]]) == [(CVE, "ACTIVE"), ("CVE-2099-1", "ACTIVE")]


def test_pushes_scans_and_findings_are_told_to_eventbridge(sandbox, aws):
    world = furnished(sandbox)
    digest = rebuild(sandbox, aws, world, IMAGE_TAG="1.4.3")
    answer = httpx.get(f"{sandbox.url}/sandbox/events", params={"account": ACCOUNT, "region": REGION}).json()
    own = [one for one in answer["events"] if "base/ubuntu" not in str(one)]
    assert [(one["source"], one["detail-type"]) for one in own] == [
        ("aws.ecr", "ECR Image Action"),
        ("aws.inspector2", "Inspector2 Finding"),
        ("aws.inspector2", "Inspector2 Scan"),
    ]
    pushed, found, scanned = (one["detail"] for one in own)
    assert pushed == {
        "result": "SUCCESS",
        "repository-name": REPOSITORY,
        "image-digest": digest,
        "action-type": "PUSH",
        "image-tag": "1.4.3",
    }
    assert found["resources"][0]["details"]["awsEcrContainerImage"]["imageHash"] == digest
    assert found["updatedAt"].endswith(sandbox.cloud.clock.now().strftime("UTC %Y"))
    assert scanned == {
        "scan-status": "INITIAL_SCAN_COMPLETE",
        "repository-name": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}",
        "finding-severity-counts": {"CRITICAL": 1, "HIGH": 0, "MEDIUM": 0, "TOTAL": 1},
        "image-digest": digest,
        "image-tags": ["1.4.3"],
        "version": "1.0",
    }
