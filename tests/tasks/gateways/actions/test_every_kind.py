from __future__ import annotations

from typing import Any

import pytest

from runbooks.group_rules import GroupRule
from runbooks.instance import Rule
from runbooks.steps import (
    STEP_KINDS,
    AttachToAutoScaling,
    CollectInventory,
    CreateLaunchTemplateVersion,
    CreateSnapshots,
    DeregisterTarget,
    DetachFromAutoScaling,
    EnsureClosedGroup,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    LaunchReplacement,
    PatchPackages,
    RefreshInstances,
    RegisterTarget,
    ReplaceGroupRules,
    SetDeleteOnTermination,
    SetInstanceAttribute,
    StartInstance,
    Step,
    StopInstance,
    SwapSecurityGroups,
    WriteOverrideList,
)
from runbooks.steps.base import Role
from tasks.gateways.actions import actions
from tests.tasks.gateways.aws_world import CASE, INSTANCE, AwsWorld, a_target, an_event, statuses

OF_IMAGES, OF_FUNCTIONS = "runbooks.steps.image_", "runbooks.steps.function_"
"""The steps about images, and those about functions, have a world, and tests, of their own."""
MADE_BY_IAM = {"iam:PassRole", "ec2:CreateTags", "s3:ListBucket"}
"""Permissions that a call needs beside its own name."""


def group_of_its_own(aws: AwsWorld, vpc: str) -> str:
    """A group that nobody carries, with HTTPS open to everybody."""
    acting = aws.client("ec2", Role.CONTAIN)
    group: str = acting.create_security_group(GroupName="own", Description="own", VpcId=vpc)["GroupId"]
    acting.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="0.0.0.0/0"
    )
    return group


def one_of_each(aws: AwsWorld, built: dict[str, Any]) -> dict[type[Step], Step]:
    """A step of every kind that is as expected, or becomes so by the ones before it."""
    here: dict[str, Any] = {"target": a_target(), "cases": (CASE,)}
    interface, groups = next(iter(built["interfaces"].items()))
    association = next(iter(aws.sandbox.cloud.world("210987654321", "eu-west-1").associations))
    key = "override-lists/one.yaml"
    steps: list[Step] = [
        EnsureQuarantineGroup(
            target=a_target(f"{built['vpc_id']}/quarantine", "security-group"),
            cases=(CASE,),
            vpc=built["vpc_id"],
            name="quarantine",
            egress=(Rule(protocol="tcp", from_port=443, to_port=443, peer="10.20.0.0/16"),),
        ),
        EnsureOpenGroup(
            target=a_target(f"{built['vpc_id']}/quarantine-open", "security-group"),
            cases=(CASE,),
            vpc=built["vpc_id"],
            name="quarantine-open",
        ),
        SetInstanceAttribute(**here, attribute="disableApiTermination", expects=False, leaves=True),
        SetDeleteOnTermination(
            **here,
            expects={"/dev/sda1": True, "/dev/sdf": False},
            leaves={"/dev/sda1": False, "/dev/sdf": False},
        ),
        CreateSnapshots(**here, volumes=tuple(built["volumes"])),
        WriteOverrideList(
            target=a_target(f"{built['bucket']}/{key}", "object"),
            cases=(CASE,),
            bucket=built["bucket"],
            object_key=key,
            content="patches:\n- id: libssl3.arm64\n  title: '*'\n",
        ),
        PatchPackages(
            **here,
            instances=(INSTANCE,),
            case_of={INSTANCE: CASE},
            packages=("libssl3.arm64",),
            document="AWS-RunPatchBaseline",
            override_list=f"s3://{built['bucket']}/{key}",
            reboot="NoReboot",
            snapshot_id="11111111-2222-3333-4444-555555555555",
            delivery_timeout_seconds=600,
        ),
        CollectInventory(target=a_target(association, "association"), cases=(CASE,), association=association),
        CreateLaunchTemplateVersion(
            target=a_target(built["launch_template_id"], "launch-template"),
            cases=(CASE,),
            source_version="1",
            image=built["patched_image_id"],
        ),
        LaunchReplacement(
            **here,
            image=built["patched_image_id"],
            instance_type="t3.small",
            subnet=built["subnet_id"],
            groups=tuple(groups),
            profile=None,
            tags={"Name": "checkout-8"},
        ),
        DetachFromAutoScaling(**here, group="checkout", decrement=True, room_to_return=True),
        StopInstance(**here),
        StartInstance(**here, undoes=True),
        AttachToAutoScaling(**here, group="checkout", protected=True, undoes=True),
        DeregisterTarget(**here, target_group=built["target_group_arn"], port=443),
        RegisterTarget(**here, target_group=built["target_group_arn"], port=443, undoes=True),
        SwapSecurityGroups(
            target=a_target(interface, "network-interface"),
            cases=(CASE,),
            vpc=built["vpc_id"],
            expects=tuple(groups),
            leaves=("@quarantine",),
        ),
        EnsureClosedGroup(
            target=a_target(f"{built['vpc_id']}/closed", "security-group"),
            cases=(CASE,),
            vpc=built["vpc_id"],
            name="closed",
            source=groups[0],
            ingress=(GroupRule(protocol="tcp", from_port=80, to_port=80, peer="0.0.0.0/0"),),
            egress=(GroupRule(protocol="tcp", from_port=443, to_port=443, peer="10.20.0.0/16", egress=True),),
        ),
        ReplaceGroupRules(
            target=a_target(group_of_its_own(aws, built["vpc_id"]), "security-group"),
            cases=(CASE,),
            name="own",
            carriers=(),
            removes=(GroupRule(protocol="tcp", from_port=443, to_port=443, peer="0.0.0.0/0"),),
            adds=(GroupRule(protocol="tcp", from_port=443, to_port=443, peer="10.0.0.0/8"),),
        ),
        RefreshInstances(
            target=a_target("checkout", "auto-scaling-group"),
            cases=(CASE,),
            launch_template=built["launch_template_id"],
            version="@operation",
            previous_version="1",
            image=built["patched_image_id"],
            minimum_healthy_percentage=50,
            checkpoints=(100,),
            checkpoint_delay_seconds=0,
        ),
    ]
    return {type(step): step for step in steps}


def test_there_is_an_action_for_every_kind_of_step(aws: AwsWorld):
    assert list(actions(aws.sessions)) == [kind.model_fields["kind"].default for kind in STEP_KINDS]


def test_each_kind_makes_the_calls_it_says_under_its_role_and_reads_no_more_than_it_may(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    steps = one_of_each(aws, built)
    assert set(steps) == {kind for kind in STEP_KINDS if not kind.__module__.startswith((OF_IMAGES, OF_FUNCTIONS))}
    for step in steps.values():
        aws.sandbox.advance(60)
        aws.sandbox.cloud.record.clear()
        aws.guarded.clear()
        (look,) = aws.look(step)
        assert look.status == "as-expected", (step.key, look)
        aws.act(step)
        if statuses(aws.look(step)) == ["half-done"]:
            aws.act(step)
        assert sorted(set(aws.calls(mutating=True))) == sorted(step.calls), step.key
        assert aws.guarded == [call.partition(":")[2] for call in aws.calls(mutating=True)]
        assert set(aws.calls()) <= set(step.permissions), step.key
        assert set(step.permissions) - set(aws.calls()) <= MADE_BY_IAM | unused_reads(step), step.key
        roles = {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}
        assert roles <= {"read", step.acting_role.value}


def unused_reads(step: Step) -> set[str]:
    """Reads of a kind that this one look had no need of."""
    match step:
        case PatchPackages():
            return {"ssm:ListCommandInvocations", "ssm:DescribeInstancePatchStates"}
        case CollectInventory():
            return {"ssm:ListAssociations"}
        case RefreshInstances():
            return {"ec2:RunInstances"}
        case _:
            return set()


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_an_act_names_an_action_in_its_permissions(kind: type[Step]):
    # GitHub's are permitted by its token.
    assert {call for call in kind.calls if not call.startswith("github:")} <= set(kind.permissions)
