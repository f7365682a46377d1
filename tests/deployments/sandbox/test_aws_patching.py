"""From a vulnerable package to a closed finding, as Systems Manager and Inspector take it there."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

ASSOCIATION = "InspectorInventoryCollection-do-not-delete"


def status(aws: Any, world: dict[str, Any]) -> str:
    criteria = {"findingArn": [{"comparison": "EQUALS", "value": world["finding_arn"]}]}
    return aws("inspector2").list_findings(filterCriteria=criteria)["findings"][0]["status"]


def last_scan(aws: Any, world: dict[str, Any]) -> Any:
    criteria = {
        "resourceId": [{"comparison": "EQUALS", "value": world["instance_id"]}],
        "scanType": [{"comparison": "EQUALS", "value": "PACKAGE"}],
    }
    return aws("inspector2").list_coverage(filterCriteria=criteria)["coveredResources"][0]["lastScannedAt"]


def patch(aws: Any, world: dict[str, Any], rule: str = "openssl.amd64", **parameters: str) -> str:
    aws("s3").put_object(Bucket=world["bucket"], Key="run.yaml", Body=f"patches:\n- id: '{rule}'\n  title: '*'\n")
    given = {
        "Operation": "Install",
        "InstallOverrideList": f"s3://{world['bucket']}/run.yaml",
        "SnapshotId": "11111111-2222-3333-4444-555555555555",
    } | parameters
    return aws("ssm").send_command(
        InstanceIds=[world["instance_id"]],
        DocumentName="AWS-RunPatchBaseline",
        Parameters={name: [value] for name, value in given.items()},
        Comment="case-1",
    )["Command"]["CommandId"]


def invocation(aws: Any, world: dict[str, Any], command: str) -> dict[str, Any]:
    return aws("ssm").get_command_invocation(
        CommandId=command, InstanceId=world["instance_id"], PluginName="PatchLinux"
    )


def hurry_inventory(aws: Any) -> str:
    asked = [{"key": "AssociationName", "value": ASSOCIATION}]
    association = aws("ssm").list_associations(AssociationFilterList=asked)["Associations"][0]["AssociationId"]
    aws("ssm").start_associations_once(AssociationIds=[association])
    return association


def test_a_patched_package_closes_the_finding_only_after_the_next_inventory(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    before = last_scan(aws, world)
    command = patch(aws, world)
    sandbox.advance(10)
    assert invocation(aws, world, command)["Status"] == "Success"
    assert status(aws, world) == "ACTIVE"
    association = hurry_inventory(aws)
    sandbox.advance(3)
    assert status(aws, world) == "CLOSED"
    assert last_scan(aws, world) > before
    inventory = aws("ssm").list_inventory_entries(InstanceId=world["instance_id"], TypeName="AWS:Application")
    assert [(one["Name"], one["Version"]) for one in inventory["Entries"]] == [("openssl", "3.0.2-0ubuntu1.15")]
    runs = aws("ssm").describe_association_executions(AssociationId=association)["AssociationExecutions"]
    assert [run["Status"] for run in runs] == ["Success"]


def test_inspector_notices_by_itself_within_half_an_hour(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    patch(aws, world)
    sandbox.advance(1805)
    assert status(aws, world) == "CLOSED"


def test_an_invocation_cannot_be_seen_at_first(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    command = patch(aws, world)
    assert aws("ssm").list_command_invocations(CommandId=command)["CommandInvocations"] == []
    with pytest.raises(ClientError, match="InvocationDoesNotExist"):
        invocation(aws, world, command)
    sandbox.advance(1)
    assert invocation(aws, world, command)["Status"] == "InProgress"


def test_a_document_of_several_steps_wants_the_step_named(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    command = patch(aws, world)
    sandbox.advance(10)
    with pytest.raises(ClientError, match="InvalidPluginName"):
        aws("ssm").get_command_invocation(CommandId=command, InstanceId=world["instance_id"])
    details = aws("ssm").list_command_invocations(CommandId=command, Details=True)["CommandInvocations"][0]
    assert [plugin["Name"] for plugin in details["CommandPlugins"]] == ["PatchLinux"]


def test_the_patch_state_names_the_run_by_its_snapshot_id(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    patch(aws, world)
    sandbox.advance(10)
    state = aws("ssm").describe_instance_patch_states(InstanceIds=[world["instance_id"]])["InstancePatchStates"][0]
    assert state["SnapshotId"] == "11111111-2222-3333-4444-555555555555"
    assert state["InstallOverrideList"] == f"s3://{world['bucket']}/run.yaml"
    assert (state["InstalledOtherCount"], state["FailedCount"]) == (1, 0)
    patches = aws("ssm").describe_instance_patches(InstanceId=world["instance_id"])["Patches"]
    assert [(one["Title"], one["State"]) for one in patches] == [
        ("openssl.amd64:0:3.0.2-0ubuntu1.15", "InstalledOther")
    ]


def test_a_package_that_the_list_does_not_name_stays_as_it_is(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    patch(aws, world, rule="curl.amd64")
    hurry_inventory(aws)
    sandbox.advance(1805)
    assert status(aws, world) == "ACTIVE"


def test_a_package_the_operating_system_does_not_manage_is_not_patched(sandbox, aws, finding):
    world = sandbox.furnish(
        finding(package="requests", version="2.0", fixed_in="2.31", manager="PIP", cve="CVE-2023-32681")
    )
    command = patch(aws, world, rule="requests.amd64")
    sandbox.advance(1805)
    assert invocation(aws, world, command)["Status"] == "Success"
    assert status(aws, world) == "ACTIVE"


def test_a_list_that_is_not_in_the_bucket_fails_the_run(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    command = patch(aws, world, InstallOverrideList=f"s3://{world['bucket']}/absent.yaml")
    sandbox.advance(10)
    answer = invocation(aws, world, command)
    assert (answer["Status"], answer["ResponseCode"]) == ("Failed", 1)
    assert "absent.yaml" in answer["StandardErrorContent"]


def test_patching_fails_where_the_world_was_furnished_so(sandbox, aws, finding):
    world = sandbox.furnish(finding(), patch_fails=True)
    command = patch(aws, world)
    sandbox.advance(10)
    assert invocation(aws, world, command)["Status"] == "Failed"
    state = aws("ssm").describe_instance_patch_states(InstanceIds=[world["instance_id"]])["InstancePatchStates"][0]
    assert (state["FailedCount"], state["InstalledOtherCount"]) == (1, 0)


def test_without_a_package_source_the_run_fails_and_says_why(sandbox, aws, finding):
    world = sandbox.furnish(finding(), no_package_source=True)
    command = patch(aws, world)
    sandbox.advance(10)
    answer = invocation(aws, world, command)
    assert answer["Status"] == "Failed"
    assert answer["StandardErrorContent"]


def test_without_a_control_path_the_command_is_never_delivered(sandbox, aws, finding):
    world = sandbox.furnish(finding(), no_control_path=True)
    nodes = aws("ssm").describe_instance_information()["InstanceInformationList"]
    assert [node["PingStatus"] for node in nodes] == ["ConnectionLost"]
    command = patch(aws, world)
    sandbox.advance(3700)
    answer = invocation(aws, world, command)
    assert (answer["Status"], answer["StatusDetails"]) == ("TimedOut", "Delivery Timed Out")
    assert answer["ResponseCode"] == -1


def test_the_node_is_away_while_it_reboots_and_kernels_wait_for_a_reboot(sandbox, aws, finding):
    kernel = finding(package="linux-image-aws", version="5.15.0.1036.40", fixed_in="0:5.15.0.1043.48")
    world = sandbox.furnish(kernel)
    patch(aws, world, rule="linux-image-aws.amd64", RebootOption="NoReboot")
    sandbox.advance(10)
    state = aws("ssm").describe_instance_patch_states(InstanceIds=[world["instance_id"]])["InstancePatchStates"][0]
    assert (state["InstalledPendingRebootCount"], state["RebootOption"]) == (1, "NoReboot")
    patch(aws, world, rule="linux-image-aws.amd64")
    sandbox.advance(3.3)
    assert sandbox.cloud.world(world["account"], world["region"]).nodes[world["instance_id"]].pending_reboot == set()


def test_unmanaged_ids_fail_the_whole_command(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        aws("ssm").send_command(
            InstanceIds=[world["instance_id"], "i-0bbbbbbbbbbbbbbb1"],
            DocumentName="AWS-RunPatchBaseline",
            Parameters={"Operation": ["Install"]},
        )
    assert aws("ssm").list_commands()["Commands"] == []


@pytest.mark.parametrize(
    ("document", "parameters", "code"),
    [
        ("AWS-Unheard", {}, "InvalidDocument"),
        ("AWS-RunPatchBaseline", {"Operation": ["Upgrade"]}, "InvalidParameters"),
        ("AWS-RunPatchBaseline", {"Operation": ["Scan"], "Reboot": ["Yes"]}, "InvalidParameters"),
    ],
)
def test_commands_are_checked_before_they_are_sent(sandbox, aws, finding, document, parameters, code):
    world = sandbox.furnish(finding())
    with pytest.raises(ClientError, match=code):
        aws("ssm").send_command(InstanceIds=[world["instance_id"]], DocumentName=document, Parameters=parameters)


def test_commands_are_found_by_node_comment_and_time(sandbox, aws, finding):
    world = sandbox.furnish(finding())
    command = patch(aws, world)
    found = aws("ssm").list_commands(
        InstanceId=world["instance_id"], Filters=[{"key": "InvokedAfter", "value": "2020-01-01T00:00:00Z"}]
    )["Commands"]
    assert [(one["CommandId"], one["Comment"]) for one in found] == [(command, "case-1")]
    later = [{"key": "InvokedAfter", "value": "2999-01-01T00:00:00Z"}]
    assert aws("ssm").list_commands(Filters=later)["Commands"] == []


def test_a_command_that_has_not_started_can_be_cancelled(sandbox, aws, finding):
    world = sandbox.furnish(finding(), no_control_path=True)
    command = patch(aws, world)
    aws("ssm").cancel_command(CommandId=command)
    sandbox.advance(1)
    assert invocation(aws, world, command)["Status"] == "Cancelled"
