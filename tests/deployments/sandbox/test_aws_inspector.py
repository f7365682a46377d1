"""Inspector's findings and coverage: closed is not fixed, and coverage says why."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.sandbox.world import Package


def findings(aws: Any, **criteria: Any) -> list[dict[str, Any]]:
    wanted = {name: [{"comparison": "EQUALS", "value": value}] for name, value in criteria.items()}
    return aws("inspector2").list_findings(filterCriteria=wanted)["findings"]


def coverage(aws: Any, world: dict[str, Any]) -> tuple[str, str]:
    wanted = {"resourceId": [{"comparison": "EQUALS", "value": world["instance_id"]}]}
    rows = aws("inspector2").list_coverage(filterCriteria=wanted)["coveredResources"]
    (status,) = {(row["scanStatus"]["statusCode"], row["scanStatus"]["reason"]) for row in rows}
    assert {row["scanType"] for row in rows} == {"PACKAGE", "NETWORK"}
    return status


def test_ids_of_the_payload_are_kept_and_a_placeholder_arn_is_replaced_by_the_same_one_always(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    (shown,) = findings(aws, resourceId="i-0aaaaaaaaaaaaaaa1")
    details = shown["resources"][0]["details"]["awsEc2Instance"]
    assert (details["vpcId"], details["subnetId"]) == ("vpc-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa1")
    assert (details["imageId"], details["ipV4Addresses"][0]) == ("ami-0aaaaaaaaaaaaaaa1", "10.20.1.10")
    assert shown["packageVulnerabilityDetails"]["vendorCreatedAt"].isoformat()[:19] == "2024-07-25T20:15:00"
    sandbox.reset()
    assert sandbox.furnish(finding())["finding_arn"] == world["finding_arn"] == shown["findingArn"]


def test_terminating_the_instance_closes_the_finding_and_fixes_nothing(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    aws("ec2").terminate_instances(InstanceIds=[world["instance_id"]])
    assert [one["status"] for one in findings(aws)] == ["CLOSED"]
    assert coverage(aws, world) == ("INACTIVE", "RESOURCE_TERMINATED")


def test_the_exclusion_tag_closes_the_finding_and_fixes_nothing(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    aws("ec2").create_tags(Resources=[world["instance_id"]], Tags=[{"Key": "InspectorEC2Exclusion", "Value": ""}])
    assert [one["status"] for one in findings(aws)] == ["CLOSED"]
    assert coverage(aws, world) == ("INACTIVE", "EXCLUDED_BY_TAG")


def test_a_stopped_instance_keeps_its_finding_and_is_not_scanned(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    aws("ec2").stop_instances(InstanceIds=[world["instance_id"]])
    assert [one["status"] for one in findings(aws)] == ["ACTIVE"]
    assert coverage(aws, world) == ("INACTIVE", "EC2_INSTANCE_STOPPED")


def test_inventory_grows_stale_under_quarantine(sandbox, aws, finding):
    world = sandbox.furnish(finding(), no_control_path=True)
    assert coverage(aws, world) == ("ACTIVE", "SUCCESSFUL")
    sandbox.advance(8 * 86400)
    assert coverage(aws, world) == ("INACTIVE", "STALE_INVENTORY")
    assert [one["status"] for one in findings(aws)] == ["ACTIVE"]


def test_a_finding_that_comes_back_within_a_week_is_the_same_one(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    node = sandbox.cloud.world(world["account"], world["region"]).nodes[world["instance_id"]]
    for version, expected in (("3.0.2-0ubuntu1.15", "CLOSED"), ("3.0.2-0ubuntu1.1", "ACTIVE")):
        package = Package("openssl", "amd64", version)
        node.packages[package.key] = package
        sandbox.advance(1900)
        assert {one["findingArn"]: one["status"] for one in findings(aws)} == {world["finding_arn"]: expected}


def test_an_instance_of_the_vulnerable_image_gets_a_finding_of_its_own(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    for image, expected in ((world["image_id"], 1), (world["patched_image_id"], 0)):
        launched = aws("ec2").run_instances(
            ImageId=image,
            InstanceType="t3.small",
            SubnetId=world["subnet_id"],
            SecurityGroupIds=next(iter(world["interfaces"].values())),
            IamInstanceProfile={"Arn": world["instance_profile_arn"]},
            MinCount=1,
            MaxCount=1,
        )["Instances"][0]["InstanceId"]
        assert coverage(aws, {"instance_id": launched}) == ("INACTIVE", "UNMANAGED_EC2_INSTANCE")
        sandbox.advance(10)
        assert coverage(aws, {"instance_id": launched}) == ("ACTIVE", "SUCCESSFUL")
        own = findings(aws, resourceId=launched, findingStatus="ACTIVE")
        assert len(own) == expected
        assert world["finding_arn"] not in [one["findingArn"] for one in own]


def test_findings_are_filtered_sorted_and_paged(sandbox, aws, finding):
    for number in range(3):
        sandbox.furnish(finding(f"i-0aaaaaaaaaaaaaa{number:02d}", address=f"10.20.1.{10 + number}"))
    inspector = aws("inspector2")
    pages = list(inspector.get_paginator("list_findings").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["findings"]) for page in pages] == [2, 1]
    assert len(findings(aws, severity="HIGH", vulnerabilityId="CVE-2024-0727", awsAccountId="210987654321")) == 3
    assert findings(aws, severity="LOW") == []
    either = {"severity": [{"comparison": "EQUALS", "value": one} for one in ("LOW", "HIGH")]}
    assert len(inspector.list_findings(filterCriteria=either)["findings"]) == 3
    updated = findings(aws)[0]["updatedAt"]
    after = {"updatedAt": [{"startInclusive": updated}]}
    assert len(inspector.list_findings(filterCriteria=after)["findings"]) == 3
    with pytest.raises(ClientError, match="ValidationException"):
        inspector.list_findings(nextToken="nonsense")


def test_details_come_with_cisas_catalogue_and_with_an_error_for_each_unknown_finding(sandbox, aws, finding):
    known = sandbox.furnish(finding(), known_exploited=True, exploit_observed=True)["finding_arn"]
    unknown = known[:-32] + "0" * 32
    answer = aws("inspector2").batch_get_finding_details(findingArns=[known, unknown, "nonsense"])
    (details,) = answer["findingDetails"]
    assert (details["findingArn"], details["epssScore"]) == (known, 0.4)
    assert details["cisaData"]["dateDue"] > details["cisaData"]["dateAdded"]
    assert details["exploitObserved"]["lastSeen"] > details["exploitObserved"]["firstSeen"]
    assert {one["findingArn"]: one["errorCode"] for one in answer["errors"]} == {
        unknown: "FINDING_DETAILS_NOT_FOUND",
        "nonsense": "INVALID_INPUT",
    }
    quiet = sandbox.furnish(finding("i-0aaaaaaaaaaaaaaa2", cve="CVE-2024-1"))["finding_arn"]
    (details,) = aws("inspector2").batch_get_finding_details(findingArns=[quiet])["findingDetails"]
    assert "cisaData" not in details
