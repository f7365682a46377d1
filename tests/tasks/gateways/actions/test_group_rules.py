"""Rules of a group are exchanged and put back, and a shared group is copied: once, whatever happens in between."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost, Halted, Outside, Refused
from runbooks.group_rules import GroupRule
from runbooks.steps import EnsureClosedGroup, ReplaceGroupRules
from runbooks.steps.base import Role
from runbooks.steps.containment import OPERATION_TAG
from tasks.gateways.actions import actions
from tasks.gateways.aws_session import is_closing
from tests.tasks.gateways.aws_world import CASE, AwsWorld, a_target, operation, statuses

EVERYBODY, NETWORK, OFFICE = "0.0.0.0/0", "10.0.0.0/8", "198.51.100.0/24"
OWNER = {"owner": "payments"}


def ssh(peer: str, **values: Any) -> GroupRule:
    chosen: dict[str, Any] = {"description": "for the migration", "tags": OWNER}
    return GroupRule(protocol="tcp", from_port=22, to_port=22, peer=peer, **(chosen | values))


@pytest.fixture
def group(aws: AwsWorld) -> str:
    """A group with SSH open to everybody, and to an office by a rule of its own."""
    built = aws.furnish()
    acting = aws.client("ec2", Role.CONTAIN)
    made = acting.create_security_group(GroupName="web", Description="web", VpcId=built["vpc_id"])["GroupId"]
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "owner", "Value": "payments"}]}]
    authorise(aws, made, EVERYBODY, Description="for the migration", tags=tags)
    authorise(aws, made, OFFICE, Description="the office")
    aws.guarded.clear()
    aws.sandbox.cloud.record.clear()
    return made


def authorise(aws: AwsWorld, group: str, cidr: str, *, tags: list[Any] | None = None, **described: str) -> None:
    ranges = [{"CidrIp": cidr} | described]
    aws.client("ec2", Role.CONTAIN).authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}],
        **({"TagSpecifications": tags} if tags else {}),
    )


def a_step(group: str, **values: Any) -> ReplaceGroupRules:
    chosen: dict[str, Any] = {"removes": (ssh(EVERYBODY),), "adds": (ssh(NETWORK), ssh("172.16.0.0/12"))}
    where: dict[str, Any] = {
        "target": a_target(group, "security-group"),
        "cases": (CASE,),
        "name": "web",
        "carriers": (),
    }
    return ReplaceGroupRules(**(where | chosen | values))


def rules(aws: AwsWorld, group: str) -> dict[str, tuple[str | None, dict[str, str]]]:
    """Who gets in: description and tags of each rule, our own tag aside."""
    answer = aws.client("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return {
        raw["CidrIpv4"]: (
            raw.get("Description"),
            {tag["Key"]: tag["Value"] for tag in raw["Tags"] if tag["Key"] != OPERATION_TAG},
        )
        for raw in answer["SecurityGroupRules"]
        if not raw["IsEgress"]
    }


BEFORE = {EVERYBODY: ("for the migration", OWNER), OFFICE: ("the office", {})}
AFTER = {
    NETWORK: ("for the migration", OWNER),
    "172.16.0.0/12": ("for the migration", OWNER),
    OFFICE: ("the office", {}),
}
BOTH = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]


def test_what_stays_is_let_in_before_anything_goes(aws: AwsWorld, group: str) -> None:
    step = a_step(group)
    assert statuses(aws.look(step)) == ["as-expected"]
    aws.act(step)
    assert aws.calls(mutating=True) == BOTH
    assert rules(aws, group) == AFTER
    assert statuses(aws.look(step)) == ["as-left"]
    assert set(aws.calls()) <= set(step.permissions)


def test_it_is_put_back_with_description_and_tags(aws: AwsWorld, group: str) -> None:
    step = a_step(group)
    aws.act(step)
    undo = step.undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert rules(aws, group) == BEFORE
    assert statuses(aws.look(undo)) == ["as-left"]


@pytest.mark.parametrize("call", BOTH)
def test_where_an_answer_is_lost_the_next_look_tells_and_nothing_is_done_twice(
    aws: AwsWorld, group: str, call: str
) -> None:
    step = a_step(group)
    aws.look(step)
    aws.fault(call, FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    (look,) = aws.look(step)
    assert look.status == ("half-done" if call == BOTH[0] else "as-left")
    if look.status == "half-done":
        aws.act(step)
    assert aws.calls(mutating=True) == BOTH
    assert rules(aws, group) == AFTER


def test_an_undo_that_was_cut_short_is_finished(aws: AwsWorld, group: str) -> None:
    step = a_step(group)
    aws.act(step)
    undo = step.undo
    assert undo is not None
    aws.look(undo)
    aws.fault(BOTH[0], FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(undo)
    aws.forget_everything()
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert rules(aws, group) == BEFORE


def halted(name: str) -> None:
    """Everything is halted."""
    if not is_closing():
        raise Halted(f"{name} must not leave")


def test_an_undo_that_was_cut_short_opens_nothing_more_while_everything_is_halted(aws: AwsWorld, group: str) -> None:
    authorise(aws, group, "0.0.0.0/1")
    aws.sandbox.cloud.record.clear()
    wide = (ssh(EVERYBODY), ssh("0.0.0.0/1", description=None, tags={}))
    step = a_step(group, removes=wide)
    aws.act(step)
    undo = step.undo
    assert undo is not None
    aws.look(undo)
    # Rules of other tags go by another call: the answer to the first of the two is lost.
    aws.fault(BOTH[0], FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(undo)
    half = rules(aws, group)
    assert len(half.keys() & {EVERYBODY, "0.0.0.0/1"}) == 1

    stopped = actions(aws.new_sessions(guard=halted))["replace-group-rules"]
    assert stopped.look([undo], aws.operations)[undo.key].status == "as-expected"
    with pytest.raises(Halted):
        stopped.act(undo, operation(undo))
    assert rules(aws, group) == half

    aws.forget_everything()
    aws.act(undo)
    assert rules(aws, group) == BEFORE | {"0.0.0.0/1": (None, {})}


def test_what_is_half_done_is_finished_though_everything_is_halted(aws: AwsWorld, group: str) -> None:
    step = a_step(group)
    aws.look(step)
    aws.fault(BOTH[0], FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)

    stopped = actions(aws.new_sessions(guard=halted))["replace-group-rules"]
    assert stopped.look([step], aws.operations)[step.key].status == "half-done"
    stopped.act(step, operation(step))
    assert rules(aws, group) == AFTER


def test_what_is_not_begun_is_not_begun_while_everything_is_halted(aws: AwsWorld, group: str) -> None:
    step = a_step(group)
    stopped = actions(aws.new_sessions(guard=halted))["replace-group-rules"]
    with pytest.raises(Halted):
        stopped.act(step, operation(step))
    assert rules(aws, group) == BEFORE


def test_a_rule_of_somebody_elses_in_its_place_is_drift(aws: AwsWorld, group: str) -> None:
    authorise(aws, group, NETWORK)
    (look,) = aws.look(a_step(group))
    assert look.status == "drifted"
    assert f"{group} has tcp/22 from 10.0.0.0/8 by now" in look.detail
    with pytest.raises(Refused):
        aws.act(a_step(group))


def test_a_rule_that_is_gone_already_is_drift(aws: AwsWorld, group: str) -> None:
    step = a_step(group, removes=(ssh(EVERYBODY), ssh("192.0.2.0/24")))
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert "has no tcp/22 from 192.0.2.0/24 any more" in look.detail


@pytest.mark.parametrize("values", [{"description": "for good"}, {"tags": {}}])
def test_a_rule_that_could_not_be_put_back_as_it_is_is_drift(aws: AwsWorld, group: str, values: Any) -> None:
    (look,) = aws.look(a_step(group, removes=(ssh(EVERYBODY, **values),)))
    assert look.status == "drifted"
    assert "with another description or other tags" in look.detail


def test_a_group_that_somebody_else_carries_by_now_is_drift_and_its_undo_is_not(aws: AwsWorld, group: str) -> None:
    (interface,) = aws.client("ec2").describe_network_interfaces()["NetworkInterfaces"][:1]
    aws.client("ec2", Role.CONTAIN).modify_network_interface_attribute(
        NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=[group]
    )
    (look,) = aws.look(a_step(group))
    assert look.status == "drifted"
    assert f"is carried by {interface['NetworkInterfaceId']} as well by now" in look.detail
    step = a_step(group, carriers=(interface["NetworkInterfaceId"],))
    aws.act(step)
    undo = step.model_copy(update={"carriers": ()}).undo
    assert undo is not None
    assert statuses(aws.look(undo)) == ["as-expected"]


def test_a_group_that_is_gone_is_drift(aws: AwsWorld, group: str) -> None:
    aws.client("ec2", Role.CONTAIN).delete_security_group(GroupId=group)
    (look,) = aws.look(a_step(group))
    assert (look.status, look.detail) == ("drifted", f"security group {group} does not exist any more")


def test_a_group_without_room_for_more_rules_keeps_all_that_it_has(aws: AwsWorld, group: str) -> None:
    adds = tuple(ssh(f"10.{number}.0.0/16") for number in range(60))
    step = a_step(group, adds=adds)
    aws.look(step)
    with pytest.raises(Outside, match="maximum number of rules"):
        aws.act(step)
    assert EVERYBODY in rules(aws, group)


# --- the copy of a shared group --------------------------------------------------------------------------------------


def a_copy(vpc: str, **values: Any) -> EnsureClosedGroup:
    out = GroupRule(protocol="tcp", from_port=443, to_port=443, peer="10.20.0.0/16", egress=True)
    chosen: dict[str, Any] = {"ingress": (ssh(OFFICE, tags={}), ssh(NETWORK, tags={})), "egress": (out,)}
    return EnsureClosedGroup(
        target=a_target(f"{vpc}/closed", "security-group"),
        cases=(CASE,),
        vpc=vpc,
        name="closed",
        source="sg-0web",
        **(chosen | values),
    )


def test_a_copy_is_made_with_its_rules_and_no_others(aws: AwsWorld) -> None:
    step = a_copy(aws.furnish()["vpc_id"])
    assert statuses(aws.look(step)) == ["as-expected"]
    made = aws.act(step)["group"]
    assert sorted(aws.calls(mutating=True)) == sorted(step.calls)
    assert rules(aws, made) == {OFFICE: ("for the migration", {}), NETWORK: ("for the migration", {})}
    (raw,) = aws.client("ec2").describe_security_groups(GroupIds=[made])["SecurityGroups"]
    assert [permission["FromPort"] for permission in raw["IpPermissionsEgress"]] == [443]
    assert raw["Description"] == "Copy of sg-0web without what let the internet in"
    assert statuses(aws.look(step)) == ["as-left"]


@pytest.mark.parametrize("call", EnsureClosedGroup.calls)
def test_a_copy_that_was_cut_short_is_finished_and_made_once(aws: AwsWorld, call: str) -> None:
    step = a_copy(aws.furnish()["vpc_id"])
    aws.look(step)
    aws.fault(call, FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    if statuses(aws.look(step)) == ["half-done"]:
        aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    assert sorted(aws.calls(mutating=True)) == sorted(step.calls)


def test_a_copy_with_other_rules_is_not_used(aws: AwsWorld) -> None:
    vpc = aws.furnish()["vpc_id"]
    made = aws.act(a_copy(vpc))["group"]
    authorise(aws, made, "192.0.2.0/24")
    (look,) = aws.look(a_copy(vpc))
    assert look.status == "drifted"
    assert made in look.detail


def test_a_copy_that_lets_out_all_that_the_group_did_keeps_what_ec2_gave_it(aws: AwsWorld) -> None:
    vpc = aws.furnish()["vpc_id"]
    step = a_copy(vpc, egress=(GroupRule(protocol="-1", peer=EVERYBODY, egress=True),))
    aws.act(step)
    assert aws.calls(mutating=True) == ["ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress"]
    assert statuses(aws.look(step)) == ["as-left"]
