"""What others use is not edited: a launch template that they follow, a security group that is not ours."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.errors import Refused
from runbooks.steps import (
    STEP_KINDS,
    CreateLaunchTemplateVersion,
    EnsureClosedGroup,
    EnsureOpenGroup,
    EnsureQuarantineGroup,
    ReplaceGroupRules,
    Step,
    SwapSecurityGroups,
)
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.autoscaling import AutoScalingGateway
from tests.runbooks.builders import a_rule
from tests.tasks.gateways.aws_world import (
    ACCOUNT,
    CASE,
    INSTANCE,
    REGION,
    AwsWorld,
    a_target,
    an_event,
    operation,
    statuses,
)

EDITS_A_GROUP = ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress", "SecurityGroupRules")


def another_group(aws: AwsWorld, built: dict[str, Any], version: str, name: str = "api", **more: Any) -> None:
    template = {"LaunchTemplateId": built["launch_template_id"], "Version": version}
    aws.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=0,
        VPCZoneIdentifier=built["subnet_id"],
        **(more or {"LaunchTemplate": template}),
    )


def a_version(built: dict[str, Any]) -> CreateLaunchTemplateVersion:
    return CreateLaunchTemplateVersion(
        target=a_target(built["launch_template_id"], "launch-template"),
        cases=(CASE,),
        source_version="1",
        image=built["patched_image_id"],
        groups=("checkout",),
    )


def followers(aws: AwsWorld) -> tuple[str, ...]:
    found = AutoScalingGateway(aws.sessions).memberships(ACCOUNT, REGION, [INSTANCE])
    return found[INSTANCE].template_followers


# --- launch templates ------------------------------------------------------------------------------------------------


def test_a_group_that_launches_from_the_newest_version_follows_the_template(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    assert followers(aws) == ()
    another_group(aws, built, "$Default")
    another_group(aws, built, "1", name="batch")
    assert followers(aws) == ()
    another_group(aws, built, "$Latest", name="shop")
    assert followers(aws) == ("shop",)


def test_a_template_for_one_instance_type_of_a_mixed_group_counts_too(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    fixed = {"LaunchTemplateId": built["launch_template_id"], "Version": "1"}
    override = {"InstanceType": "t3.small", "LaunchTemplateSpecification": fixed | {"Version": "$Latest"}}
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": fixed, "Overrides": [override]}}
    another_group(aws, built, "", MixedInstancesPolicy=policy)
    assert followers(aws) == ("api",)


def test_a_group_that_came_to_follow_the_template_meanwhile_stops_the_new_version(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    step = a_version(built)
    assert statuses(aws.look(step)) == ["as-expected"]
    another_group(aws, built, "$Latest")
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert look.detail == f"api would launch from a new version of {built['launch_template_id']} too"
    with pytest.raises(Refused):
        aws.act(step)
    assert "ec2:CreateLaunchTemplateVersion" not in aws.calls()


def test_the_groups_that_the_plan_refreshes_may_follow_it(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    another_group(aws, built, "$Latest")
    step = a_version(built).model_copy(update={"groups": ("checkout", "api")})
    assert statuses(aws.look(step)) == ["as-expected"]


def test_a_new_version_does_not_become_the_default_one(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    step = a_version(built)
    aws.look(step)
    aws.act(step)
    (template,) = aws.client("ec2").describe_launch_templates()["LaunchTemplates"]
    assert (template["DefaultVersionNumber"], template["LatestVersionNumber"]) == (1, 2)


def test_a_version_that_was_made_is_found_though_others_follow_it_by_now(aws: AwsWorld):
    built = aws.furnish(an_event(in_group=True))
    step = a_version(built)
    aws.look(step)
    aws.act(step)
    another_group(aws, built, "$Latest")
    assert statuses(aws.look(step)) == ["as-left"]


# --- security groups and roles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STEP_KINDS, ids=lambda kind: kind.model_fields["kind"].default)
def test_only_what_makes_our_own_groups_or_changes_an_instances_own_edits_a_group_and_none_edits_a_role(
    kind: type[Step],
):
    edits = [call for call in kind.calls if call.endswith(EDITS_A_GROUP)]
    assert bool(edits) == (kind in (EnsureQuarantineGroup, EnsureOpenGroup, EnsureClosedGroup, ReplaceGroupRules))
    assert not any(call.startswith(("iam:", "ec2:DeleteSecurityGroup")) for call in kind.calls)
    assert kind is not SwapSecurityGroups or kind.calls == ("ec2:ModifyNetworkInterfaceAttribute",)


def our_groups(vpc: str) -> list[EnsureQuarantineGroup | EnsureOpenGroup]:
    target = a_target(f"{vpc}/ours", "security-group")
    return [
        EnsureQuarantineGroup(target=target, cases=(CASE,), vpc=vpc, name="ours", egress=(a_rule(443, "10.0.0.0/8"),)),
        EnsureOpenGroup(target=target, cases=(CASE,), vpc=vpc, name="ours"),
    ]


@pytest.mark.parametrize("number", [0, 1], ids=["quarantine", "open"])
@pytest.mark.parametrize("tagged", ["not", "by another operation"])
def test_a_group_of_our_name_that_is_not_this_plans_is_not_edited(aws: AwsWorld, number: int, tagged: str):
    vpc = aws.furnish()["vpc_id"]
    step, client = our_groups(vpc)[number], aws.client("ec2")
    made = client.create_security_group(GroupName="ours", Description="of somebody else", VpcId=vpc)["GroupId"]
    if tagged != "not":
        client.create_tags(Resources=[made], Tags=[{"Key": OPERATION_TAG, "Value": "rb-another"}])
    before = client.describe_security_groups(GroupIds=[made])["SecurityGroups"]
    aws.sandbox.cloud.record.clear()

    (look,) = aws.look(step)

    assert look.status == "drifted"
    with pytest.raises(Refused):
        aws.act(step)
    assert aws.calls(mutating=True) == []
    assert client.describe_security_groups(GroupIds=[made])["SecurityGroups"] == before


@pytest.mark.parametrize("number", [0, 1], ids=["quarantine", "open"])
def test_a_group_that_this_plan_began_is_finished_and_one_with_other_rules_is_not(aws: AwsWorld, number: int):
    vpc = aws.furnish()["vpc_id"]
    step, client = our_groups(vpc)[number], aws.client("ec2")
    marked = [{"ResourceType": "security-group", "Tags": [{"Key": OPERATION_TAG, "Value": operation(step)}]}]
    made = client.create_security_group(GroupName="ours", Description="d", VpcId=vpc, TagSpecifications=marked)
    assert statuses(aws.look(step)) == ["half-done"]
    client.authorize_security_group_ingress(
        GroupId=made["GroupId"],
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}],
    )
    assert statuses(aws.look(step)) == ["drifted"]
