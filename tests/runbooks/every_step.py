"""One step of each kind there is, for what holds for all of them."""

from __future__ import annotations

from runbooks.group_rules import GroupRule
from runbooks.steps import (
    AnyStep,
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
    StopInstance,
    SwapSecurityGroups,
    WriteOverrideList,
)
from tests.runbooks.builders import (
    ACCOUNT,
    ASSOCIATION,
    CASE,
    INSTANCE_ID,
    SUBNET,
    VPC,
    a_rule,
    a_target,
    a_target_registration,
)
from tests.runbooks.function_steps import every_function_step
from tests.runbooks.image_steps import every_image_step


def every_step() -> tuple[AnyStep, ...]:
    """One step of each kind there is."""
    case = (CASE,)
    instance = a_target()
    return (
        EnsureQuarantineGroup(
            target=a_target("security-group", f"{VPC}/quarantine"),
            cases=case,
            vpc=VPC,
            name="quarantine",
            egress=(a_rule(443, "pl-0s3"),),
        ),
        EnsureOpenGroup(
            target=a_target("security-group", f"{VPC}/quarantine-open"), cases=case, vpc=VPC, name="quarantine-open"
        ),
        DetachFromAutoScaling(target=instance, cases=case, group="checkout", decrement=False, room_to_return=True),
        AttachToAutoScaling(target=instance, cases=case, group="checkout", undoes=True),
        DeregisterTarget(target=instance, cases=case, target_group=a_target_registration().target_group, port=443),
        RegisterTarget(
            target=instance, cases=case, target_group=a_target_registration().target_group, port=443, undoes=True
        ),
        SetInstanceAttribute(
            target=instance, cases=case, attribute="disableApiTermination", expects=False, leaves=True
        ),
        SetDeleteOnTermination(target=instance, cases=case, expects={"/dev/sda1": True}, leaves={"/dev/sda1": False}),
        CreateSnapshots(target=instance, cases=case, volumes=("vol-0000000000000000a",)),
        SwapSecurityGroups(
            target=a_target("network-interface", "eni-0000000000000000a"),
            cases=case,
            vpc=VPC,
            expects=("sg-0web", "sg-0base"),
            leaves=("@quarantine",),
        ),
        StopInstance(target=instance, cases=case),
        StartInstance(target=instance, cases=case, undoes=True),
        WriteOverrideList(
            target=a_target("object", "patches/override-lists/0.yaml"),
            cases=case,
            bucket="patches",
            object_key="override-lists/0.yaml",
            content="patches:\n- id: libssl3.amd64\n",
        ),
        PatchPackages(
            target=instance,
            cases=case,
            instances=(INSTANCE_ID,),
            case_of={INSTANCE_ID: CASE},
            packages=("libssl3",),
            document="AWS-RunPatchBaseline",
            override_list="s3://patches/override-lists/0.yaml",
            reboot="RebootIfNeeded",
            snapshot_id="00000000-0000-4000-8000-000000000001",
            delivery_timeout_seconds=600,
        ),
        CollectInventory(target=a_target("association", ASSOCIATION), cases=case, association=ASSOCIATION),
        CreateLaunchTemplateVersion(
            target=a_target("launch-template", "lt-0feedc0de"), cases=case, source_version="7", image="ami-0patched"
        ),
        RefreshInstances(
            target=a_target("auto-scaling-group", "checkout"),
            cases=case,
            launch_template="lt-0feedc0de",
            version="@operation",
            previous_version="7",
            image="ami-0patched",
            minimum_healthy_percentage=90,
            checkpoints=(20, 100),
            checkpoint_delay_seconds=300,
        ),
        LaunchReplacement(
            target=instance,
            cases=case,
            image="ami-0patched",
            instance_type="m7i.large",
            subnet=SUBNET,
            groups=("sg-0web",),
            profile=f"arn:aws:iam::{ACCOUNT}:instance-profile/checkout",
            tags={"Name": "checkout-7"},
        ),
        EnsureClosedGroup(
            target=a_target("security-group", f"{VPC}/closed"),
            cases=case,
            vpc=VPC,
            name="closed",
            source="sg-0web",
            ingress=(GroupRule(protocol="tcp", from_port=443, to_port=443, peer="0.0.0.0/0"),),
            egress=(GroupRule(protocol="-1", peer="0.0.0.0/0", egress=True),),
        ),
        ReplaceGroupRules(
            target=a_target("security-group", "sg-0web"),
            cases=case,
            name="web",
            carriers=("eni-0000000000000000a",),
            removes=(GroupRule(id="sgr-0ssh", protocol="tcp", from_port=22, to_port=22, peer="0.0.0.0/0"),),
            adds=(GroupRule(protocol="tcp", from_port=22, to_port=22, peer="10.0.0.0/8"),),
        ),
        *every_image_step(a_target, case),
        *every_function_step(a_target, case),
    )
