from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Outside, Refused
from runbooks.steps import CollectInventory, PatchPackages, WriteOverrideList
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, AwsWorld, a_target, an_event, operation, statuses

OTHER = "i-0b00000000000000b"
CASES = {INSTANCE: "case-aaaaaaaaaaaa", OTHER: "case-bbbbbbbbbbbb"}
CONTENT = "patches:\n- id: libssl3.arm64\n  title: '*'\n"
KEY = "override-lists/one.yaml"


def a_list(bucket: str) -> WriteOverrideList:
    return WriteOverrideList(
        target=a_target(f"{bucket}/{KEY}", "object"),
        cases=tuple(CASES.values()),
        bucket=bucket,
        object_key=KEY,
        content=CONTENT,
    )


def a_patch(bucket: str, *instances: str, **values: Any) -> PatchPackages:
    ids = instances or (INSTANCE,)
    given: dict[str, Any] = {
        "target": a_target("+".join(ids)),
        "cases": tuple(CASES[one] for one in ids),
        "instances": ids,
        "case_of": {one: CASES[one] for one in ids},
        "packages": ("libssl3.arm64",),
        "document": "AWS-RunPatchBaseline",
        "override_list": f"s3://{bucket}/{KEY}",
        "reboot": "NoReboot",
        "snapshot_id": "11111111-2222-3333-4444-555555555555",
        "delivery_timeout_seconds": 600,
    }
    return PatchPackages.model_validate(given | values)


def two_nodes(aws: AwsWorld, **other: Any) -> str:
    """Two instances with the list written; gives the bucket."""
    aws.furnish(an_event(OTHER, 2), **other)
    bucket = aws.furnish()["bucket"]
    aws.act(a_list(bucket))
    return bucket


def version(aws: AwsWorld, instance: str = INSTANCE) -> str:
    return aws.sandbox.cloud.world(ACCOUNT, REGION).nodes[instance].packages["libssl3", "arm64"].version


# --- the list


def test_the_list_is_written_once_and_never_over_another_object(aws: AwsWorld):
    bucket = aws.furnish()["bucket"]
    step = a_list(bucket)
    assert statuses(aws.look(step)) == ["as-expected"]
    assert aws.act(step) == {"object": f"s3://{bucket}/{KEY}"}
    assert aws.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == CONTENT.encode()
    assert statuses(aws.look(step)) == ["as-left"]
    other = step.model_copy(update={"content": "patches: []\n"})
    (look,) = aws.look(other)
    assert (look.status, look.detail) == ("drifted", f"s3://{bucket}/{KEY} holds something else already")
    with pytest.raises(Refused, match="something else"):
        aws.act(other)


def test_an_object_that_appears_between_look_and_act_is_not_written_over(aws: AwsWorld):
    bucket = aws.furnish()["bucket"]
    step = a_list(bucket)
    aws.look(step)
    aws.client("s3", Role.PATCH).put_object(Bucket=bucket, Key=KEY, Body=b"theirs")
    with pytest.raises(Outside) as raised:
        aws.act(step)
    assert raised.value.code == "PreconditionFailed"
    assert aws.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"theirs"


# --- the command


def test_one_command_patches_every_node_and_each_case_has_its_own_result(aws: AwsWorld):
    bucket = two_nodes(aws)
    step = a_patch(bucket, INSTANCE, OTHER)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"nodes": {INSTANCE: "Online", OTHER: "Online"}})
    command = aws.act(step)["command"]
    (sent,) = aws.parameters("SendCommand")
    assert sent["Comment"] == operation(step)
    assert (sent["MaxErrors"], sent["TimeoutSeconds"]) == ("100%", 600)
    assert sent["Parameters"] == {
        "Operation": ["Install"],
        "RebootOption": ["NoReboot"],
        "InstallOverrideList": [f"s3://{bucket}/{KEY}"],
        "SnapshotId": [step.snapshot_id],
    }
    (look,) = aws.look(step)
    assert (look.status, look.result["command"]) == ("in-progress", command)
    assert look.cases == dict.fromkeys(CASES.values(), "in-progress")
    aws.sandbox.advance(60)
    (look,) = aws.look(step)
    assert (look.status, look.cases) == ("as-left", dict.fromkeys(CASES.values(), "done"))
    assert {one: node["installed"] for one, node in look.result["nodes"].items()} == {INSTANCE: 1, OTHER: 1}
    assert version(aws) == version(aws, OTHER) == "0:3.0.2-0ubuntu1.99"


def test_a_list_of_invocations_that_is_empty_at_first_is_a_command_in_progress(aws: AwsWorld):
    step = a_patch(two_nodes(aws))
    aws.act(step)
    (look,) = aws.look(step)
    assert look.status == "in-progress"
    assert look.result["nodes"] == {INSTANCE: {"outcome": "in-progress", "status": "not listed yet"}}


def test_a_node_that_fails_is_told_from_one_that_succeeds_whatever_the_command_says(aws: AwsWorld):
    bucket = two_nodes(aws, patch_fails=True)
    step = a_patch(bucket, INSTANCE, OTHER)
    aws.act(step)
    aws.sandbox.advance(60)
    (look,) = aws.look(step)
    assert look.status == "as-left"
    assert look.cases == {CASES[INSTANCE]: "done", CASES[OTHER]: "failed"}
    assert look.detail.startswith(f"{OTHER}: ")
    alone = a_patch(bucket, OTHER, snapshot_id="99999999-2222-3333-4444-555555555555")
    aws.act(alone)
    aws.sandbox.advance(60)
    assert statuses(aws.look(alone)) == ["failed"]


def test_a_command_whose_answer_was_lost_is_found_by_its_comment_and_not_sent_twice(aws: AwsWorld):
    step = a_patch(two_nodes(aws))
    aws.fault("ssm:SendCommand", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(60)
    assert statuses(aws.look(step)) == ["as-left"]
    assert aws.calls(mutating=True).count("ssm:SendCommand") == 1


def test_the_command_of_another_operation_is_not_taken_for_ours(aws: AwsWorld):
    bucket = two_nodes(aws)
    aws.act(a_patch(bucket))
    aws.sandbox.advance(60)
    again = a_patch(bucket, target=a_target("another-key"))
    assert statuses(aws.look(again)) == ["as-expected"]


def test_our_command_is_found_behind_later_ones_of_others(aws: AwsWorld):
    bucket = two_nodes(aws)
    first = a_patch(bucket)
    command = aws.act(first)["command"]
    aws.sandbox.advance(60)
    aws.act(a_patch(bucket, target=a_target("another-key")))
    (look,) = aws.look(first)
    assert (look.status, look.result["command"]) == ("as-left", command)


def test_a_node_that_is_not_online_is_left_out_and_its_case_fails_with_the_reason(aws: AwsWorld):
    bucket = two_nodes(aws, no_control_path=True)
    aws.sandbox.advance(600)
    step = a_patch(bucket, INSTANCE, OTHER)
    (look,) = aws.look(step)
    assert (look.status, look.cases) == ("as-expected", {CASES[OTHER]: "failed"})
    assert look.detail == f"Systems Manager does not reach {OTHER} (ConnectionLost)"
    aws.act(step)
    assert [one["InstanceIds"] for one in aws.parameters("SendCommand")] == [[INSTANCE]]
    aws.sandbox.advance(60)
    (look,) = aws.look(step)
    assert look.cases == {CASES[INSTANCE]: "done", CASES[OTHER]: "failed"}
    assert look.result["nodes"][OTHER]["status"] == "not sent: Systems Manager did not reach the node"


def test_a_command_that_would_reach_no_node_is_drift(aws: AwsWorld):
    bucket = two_nodes(aws, no_control_path=True)
    aws.sandbox.advance(600)
    (look,) = aws.look(a_patch(bucket, OTHER))
    assert (look.status, look.cases) == ("drifted", {CASES[OTHER]: "failed"})


def test_several_commands_are_looked_for_with_one_listing(aws: AwsWorld):
    bucket = two_nodes(aws)
    steps = [a_patch(bucket), a_patch(bucket, OTHER)]
    aws.sandbox.cloud.record.clear()
    assert statuses(aws.look(*steps)) == ["as-expected", "as-expected"]
    assert aws.calls() == ["ssm:ListCommands", "ssm:DescribeInstanceInformation"]


# --- the inventory


def test_the_inventory_association_is_run_again_whenever_it_is_asked_for(aws: AwsWorld):
    aws.furnish()
    world = aws.sandbox.cloud.world(ACCOUNT, REGION)
    association = next(iter(world.associations))
    step = CollectInventory(
        target=a_target(association, "association"), cases=(CASES[INSTANCE],), association=association
    )
    for times in (1, 2):
        assert statuses(aws.look(step)) == ["as-expected"]
        aws.act(step)
        assert len(world.associations[association].runs) == times
    gone = step.model_copy(update={"association": "00000000-0000-0000-0000-000000000000"})
    assert statuses(aws.look(gone)) == ["drifted"]
    assert aws.client("ssm", Role.PATCH).meta.config.retries["total_max_attempts"] == 1
