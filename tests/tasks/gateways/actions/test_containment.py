from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, LeaseLost, Outside, Refused, Throttled
from runbooks.instance import Rule
from runbooks.steps import EnsureOpenGroup, EnsureQuarantineGroup, SwapSecurityGroups
from runbooks.steps.base import Role
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.actions import actions
from tests.tasks.gateways.aws_world import (
    ACCOUNT,
    CASE,
    REGION,
    AwsWorld,
    a_target,
    an_event,
    operation,
    statuses,
)

HTTPS = Rule(protocol="tcp", from_port=443, to_port=443, peer="10.20.0.0/16")
MIRROR = Rule(protocol="tcp", from_port=80, to_port=80, peer="10.20.9.0/24")


def a_group(vpc: str, *egress: Rule, name: str = "quarantine") -> EnsureQuarantineGroup:
    return EnsureQuarantineGroup(
        target=a_target(f"{vpc}/{name}", "security-group"),
        cases=(CASE,),
        vpc=vpc,
        name=name,
        egress=egress or (HTTPS, MIRROR),
    )


def a_swap(built: dict[str, Any], index: int = 0, **values: Any) -> SwapSecurityGroups:
    interface, groups = list(built["interfaces"].items())[index]
    return SwapSecurityGroups(
        target=a_target(interface, "network-interface"),
        cases=(CASE,),
        vpc=built["vpc_id"],
        expects=tuple(groups),
        leaves=("@quarantine",),
        **values,
    )


def rules_of(aws: AwsWorld, group: str) -> tuple[list[Any], set[tuple[Any, ...]]]:
    (raw,) = aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    egress = {
        (rule["IpProtocol"], rule.get("FromPort"), peer["CidrIp"])
        for rule in raw["IpPermissionsEgress"]
        for peer in rule["IpRanges"]
    }
    return raw["IpPermissions"], egress


def open_group(aws: AwsWorld, vpc: str, name: str = "quarantine-open") -> str:
    return aws.client("ec2", Role.CONTAIN).create_security_group(GroupName=name, Description="open", VpcId=vpc)[
        "GroupId"
    ]


# --- the quarantine group


def test_a_quarantine_group_has_the_plans_rules_and_not_the_one_ec2_gives(aws: AwsWorld):
    step = a_group(aws.furnish()["vpc_id"])
    assert statuses(aws.look(step)) == ["as-expected"]
    made = aws.act(step)
    assert rules_of(aws, made["group"]) == ([], {("tcp", 443, "10.20.0.0/16"), ("tcp", 80, "10.20.9.0/24")})
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"group": made["group"]})


def test_a_quarantine_group_may_let_nothing_out(aws: AwsWorld):
    step = a_group(aws.furnish()["vpc_id"]).model_copy(update={"egress": ()})
    made = aws.act(step)
    assert rules_of(aws, made["group"]) == ([], set())
    assert statuses(aws.look(step)) == ["as-left"]


@pytest.mark.parametrize(
    ("dies_at", "left"),
    [
        ("RevokeSecurityGroupEgress", ["ec2:RevokeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupEgress"]),
        ("AuthorizeSecurityGroupEgress", ["ec2:AuthorizeSecurityGroupEgress"]),
    ],
)
def test_a_group_whose_maker_died_is_finished_without_repeating_anything(aws: AwsWorld, dies_at: str, left: list[str]):
    step = a_group(aws.furnish()["vpc_id"])

    def die(name: str) -> None:
        if name == dies_at:
            raise LeaseLost(name)

    with pytest.raises(LeaseLost):
        actions(aws.new_sessions(guard=die))[step.kind].act(step, operation(step))
    aws.sandbox.cloud.record.clear()
    (look,) = aws.look(step)
    assert look.status == "half-done"
    made = aws.act(step)
    assert aws.calls(mutating=True) == left
    assert made == {"group": look.result["group"]}
    assert statuses(aws.look(step)) == ["as-left"]


def test_a_group_of_the_same_name_with_other_rules_is_drift_and_says_both(aws: AwsWorld):
    vpc = aws.furnish()["vpc_id"]
    group = open_group(aws, vpc, "quarantine")
    (look,) = aws.look(a_group(vpc))
    assert look.status == "drifted"
    assert group in look.detail
    assert "out: -1/all 0.0.0.0/0" in look.detail
    assert "tcp/443-443 10.20.0.0/16" in look.detail


def test_a_group_that_was_finished_and_then_opened_is_drift_though_we_made_it(aws: AwsWorld):
    step = a_group(aws.furnish()["vpc_id"])
    made = aws.act(step)
    aws.client("ec2", Role.CONTAIN).authorize_security_group_ingress(
        GroupId=made["group"], IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    assert statuses(aws.look(step)) == ["drifted"]


def test_a_group_of_this_name_in_another_vpc_is_another_group(aws: AwsWorld):
    vpc = aws.furnish()["vpc_id"]
    other = aws.client("ec2", Role.CONTAIN).create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    open_group(aws, other, "quarantine")
    assert statuses(aws.look(a_group(vpc), a_group(other))) == ["as-expected", "drifted"]


def test_a_group_whose_answer_was_lost_is_found_and_not_made_twice(aws: AwsWorld):
    step = a_group(aws.furnish()["vpc_id"])
    aws.fault("ec2:CreateSecurityGroup", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    assert statuses(aws.look(step)) == ["half-done"]
    aws.act(step)
    assert aws.calls(mutating=True).count("ec2:CreateSecurityGroup") == 1
    assert statuses(aws.look(step)) == ["as-left"]


# --- the open group


def an_open_group(vpc: str, name: str = "quarantine-open") -> EnsureOpenGroup:
    return EnsureOpenGroup(target=a_target(f"{vpc}/{name}", "security-group"), cases=(CASE,), vpc=vpc, name=name)


def everything_of(aws: AwsWorld, group: str) -> dict[str, list[tuple[str, ...]]]:
    (raw,) = aws.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return {
        direction: sorted(
            (
                rule["IpProtocol"],
                *(peer["CidrIp"] for peer in rule["IpRanges"]),
                *(p["CidrIpv6"] for p in rule["Ipv6Ranges"]),
            )
            for rule in raw[direction]
        )
        for direction in ("IpPermissions", "IpPermissionsEgress")
    }


def test_an_open_group_lets_everything_in_and_out_of_both_families(aws: AwsWorld):
    step = an_open_group(aws.furnish()["vpc_id"])
    assert statuses(aws.look(step)) == ["as-expected"]
    made = aws.act(step)
    peers = {peer for rules in everything_of(aws, made["group"]).values() for rule in rules for peer in rule}
    assert peers == {"-1", "0.0.0.0/0", "::/0"}
    assert {len(rules) for rules in everything_of(aws, made["group"]).values()} <= {1, 2}
    (look,) = aws.look(step)
    assert (look.status, look.result) == ("as-left", {"group": made["group"]})


@pytest.mark.parametrize("dies_at", ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"])
def test_an_open_group_whose_maker_died_is_finished_without_repeating_anything(aws: AwsWorld, dies_at: str):
    step = an_open_group(aws.furnish()["vpc_id"])

    def die(name: str) -> None:
        if name == dies_at:
            raise LeaseLost(name)

    with pytest.raises(LeaseLost):
        actions(aws.new_sessions(guard=die))[step.kind].act(step, operation(step))
    assert statuses(aws.look(step)) == ["half-done"]
    aws.sandbox.cloud.record.clear()
    aws.act(step)
    whole = [call.partition(":")[2] for call in step.calls]
    assert [call.partition(":")[2] for call in aws.calls(mutating=True)] == whole[whole.index(dies_at) :]
    assert statuses(aws.look(step)) == ["as-left"]


def test_a_half_open_group_of_that_name_that_someone_else_made_is_drift(aws: AwsWorld):
    vpc = aws.furnish()["vpc_id"]
    open_group(aws, vpc)
    (look,) = aws.look(an_open_group(vpc))
    assert look.status == "drifted"
    assert (
        "in: nothing; out: -1/all 0.0.0.0/0, and the plan's rules are in: -1/all 0.0.0.0/0, -1/all ::/0" in look.detail
    )


# --- the swap


def test_a_swap_leaves_the_quarantine_group_alone_on_the_interface(aws: AwsWorld):
    built = aws.furnish()
    group = aws.act(a_group(built["vpc_id"]))["group"]
    step, other = a_swap(built), list(built["interfaces"])[1]
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"groups": list(step.expects)})
    assert aws.act(step) == {"groups": [group]}
    assert aws.groups_of(step.target.id) == [group]
    assert aws.groups_of(other) == built["interfaces"][other]
    (after,) = aws.look(step)
    assert (after.status, after.result["groups"]) == ("as-left", [group])


def test_the_undo_of_a_swap_puts_the_very_same_ordered_groups_back_under_the_restoring_role(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    swaps = [a_swap(built, 0), a_swap(built, 1)]
    for step in swaps:
        aws.act(step)
    undos = [step.undo for step in swaps]
    for undo in undos:
        assert undo is not None
        assert statuses(aws.look(undo)) == ["as-expected"]
        aws.act(undo)
        assert statuses(aws.look(undo)) == ["as-left"]
    assert {step.target.id: aws.groups_of(step.target.id) for step in swaps} == built["interfaces"]
    assert "restore" in {one["RoleArn"].rpartition("-")[2] for one in aws.parameters("AssumeRole")}


def test_groups_in_another_order_are_not_what_the_plan_found(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    step = a_swap(built)
    turned = step.model_copy(update={"expects": step.expects[::-1]})
    (look,) = aws.look(turned)
    assert look.status == "drifted"
    assert all(group in look.detail for group in step.expects)


def test_a_swap_by_way_of_an_open_group_passes_through_it_and_does_not_rest_on_it(aws: AwsWorld):
    built = aws.furnish()
    group, way = aws.act(a_group(built["vpc_id"]))["group"], open_group(aws, built["vpc_id"])
    step = a_swap(built, via="@quarantine-open")
    aws.act(step)
    swaps = [one["Groups"] for one in aws.parameters("ModifyNetworkInterfaceAttribute")]
    assert swaps == [[way], [group]]
    assert aws.groups_of(step.target.id) == [group]


def test_an_interface_left_on_the_open_group_is_closed_with_one_call(aws: AwsWorld):
    built = aws.furnish()
    group = aws.act(a_group(built["vpc_id"]))["group"]
    open_group(aws, built["vpc_id"])
    step = a_swap(built, via="@quarantine-open")
    aws.look(step)
    aws.fault("ec2:ModifyNetworkInterfaceAttribute", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    aws.sandbox.cloud.record.clear()
    (look,) = aws.look(step)
    assert look.status == "half-done"
    aws.act(step)
    assert aws.calls(mutating=True) == ["ec2:ModifyNetworkInterfaceAttribute"]
    assert aws.groups_of(step.target.id) == [group]


def test_the_undo_of_a_swap_that_was_cut_short_takes_the_interface_off_the_open_group(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    way = open_group(aws, built["vpc_id"])
    step = a_swap(built, via="@quarantine-open")
    undo = step.undo
    assert undo is not None
    aws.client("ec2", Role.CONTAIN).modify_network_interface_attribute(NetworkInterfaceId=step.target.id, Groups=[way])
    aws.sandbox.cloud.record.clear()
    assert statuses(aws.look(undo)) == ["half-done"]
    aws.act(undo)
    assert [one["Groups"] for one in aws.parameters("ModifyNetworkInterfaceAttribute")] == [list(step.expects)]
    assert statuses(aws.look(undo)) == ["as-left"]


def test_an_undo_does_without_the_open_group_when_that_is_gone(aws: AwsWorld):
    built = aws.furnish()
    group = aws.act(a_group(built["vpc_id"]))["group"]
    step = a_swap(built, via="@quarantine-open")
    undo = step.undo
    assert undo is not None
    aws.client("ec2", Role.CONTAIN).modify_network_interface_attribute(
        NetworkInterfaceId=step.target.id, Groups=[group]
    )
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert aws.groups_of(step.target.id) == list(step.expects)


def test_the_undo_of_a_swap_that_never_happened_needs_no_quarantine_group(aws: AwsWorld):
    step = a_swap(aws.furnish())
    undo = step.undo
    assert undo is not None
    (look,) = aws.look(undo)
    before = {"groups": list(step.expects)}
    assert (look.status, look.found, look.result) == ("as-left", before, before)


def test_a_swap_whose_answer_was_lost_is_seen_to_be_done(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    step = a_swap(built)
    aws.look(step)
    aws.fault("ec2:ModifyNetworkInterfaceAttribute", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    assert aws.calls(mutating=True).count("ec2:ModifyNetworkInterfaceAttribute") == 1


def test_a_swap_that_was_throttled_has_not_happened(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    step = a_swap(built)
    aws.fault("ec2:ModifyNetworkInterfaceAttribute", FaultKind.THROTTLE)
    with pytest.raises(Throttled):
        aws.act(step)
    assert statuses(aws.look(step)) == ["as-expected"]


def test_a_swap_without_its_group_or_its_interface_is_drift(aws: AwsWorld):
    built = aws.furnish()
    step = a_swap(built)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("drifted", f"{built['vpc_id']} has no security group named [quarantine]")
    lost = step.model_copy(update={"target": a_target("eni-0ffffffffffffffff", "network-interface")})
    (look,) = aws.look(lost)
    assert (look.status, look.detail) == ("drifted", "interface eni-0ffffffffffffffff does not exist any more")


def test_what_has_drifted_is_not_acted_upon_even_when_asked(aws: AwsWorld):
    built = aws.furnish()
    aws.act(a_group(built["vpc_id"]))
    step = a_swap(built)
    aws.look(step)
    turned = step.model_copy(update={"expects": step.expects[::-1]})
    aws.look(turned)
    with pytest.raises(Refused) as raised:
        aws.act(turned)
    assert raised.value.code == "drifted"
    assert aws.groups_of(step.target.id) == list(step.expects)


def test_many_swaps_are_looked_at_with_two_reads(aws: AwsWorld):
    built = aws.furnish(interfaces=8)
    aws.act(a_group(built["vpc_id"]))
    aws.sandbox.cloud.record.clear()
    looks = aws.look(*(a_swap(built, index) for index in range(8)))
    assert statuses(looks) == ["as-expected"] * 8
    assert sorted(aws.calls()) == ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups"]


def test_steps_in_two_regions_are_each_looked_at_in_their_own(aws: AwsWorld):
    built = aws.furnish()
    event = an_event("i-0b00000000000000b", 2)
    event["detail"]["resources"][0]["region"] = event["region"] = "eu-north-1"
    far = aws.furnish(event)
    steps = []
    for world, region in ((built, REGION), (far, "eu-north-1")):
        step = a_group(world["vpc_id"], name=f"quarantine-{region}")
        steps.append(step.model_copy(update={"target": step.target.model_copy(update={"region": region})}))
        aws.act(steps[-1])
    assert statuses(aws.look(*steps)) == ["as-left", "as-left"]
    found = aws.sessions.client("ec2", ACCOUNT, "eu-north-1", Role.READ).describe_security_groups(
        Filters=[{"Name": f"tag:{OPERATION_TAG}", "Values": [operation(steps[1])]}]
    )
    assert [group["GroupName"] for group in found["SecurityGroups"]] == ["quarantine-eu-north-1"]


def test_what_aws_refuses_is_told_with_its_code(aws: AwsWorld):
    built = aws.furnish()
    step = a_swap(built).model_copy(update={"leaves": ("sg-0ffffffffffffffff",)})
    with pytest.raises(Outside) as raised:
        aws.act(step)
    assert raised.value.code == "InvalidGroup.NotFound"
