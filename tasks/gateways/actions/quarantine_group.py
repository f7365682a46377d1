"""Making sure that a VPC has the quarantine group, and the open group, each with its rules and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from runbooks.errors import Outside
from runbooks.instance import Rule, SecurityGroup
from runbooks.steps.containment import EVERYTHING, OPERATION_TAG, EnsureOpenGroup, EnsureQuarantineGroup
from tasks.gateways.actions.base import AwsAction, Look, Place, tags
from tasks.gateways.bulk import described, tags_of
from tasks.gateways.ec2_rules import in_order, to_group, to_permissions

GroupStepT = TypeVar("GroupStepT", EnsureQuarantineGroup, EnsureOpenGroup)

FROM_EC2 = EVERYTHING
"""The egress rules that EC2 gives every new group (VPC user guide, "Default security groups")."""
_VISIBLE_WITHIN_SECONDS = 15


class _EnsureGroupAction(AwsAction[GroupStepT]):
    """Creates the group, takes out what EC2 gave it and the step does not want, puts in what is missing.

    Each is a call of its own; an act that was cut short is resumed where it ended.
    """

    def _look(self, place: Place, steps: Sequence[GroupStepT], operations: Mapping[str, str]) -> dict[str, Look]:
        found = read_named(place, {(step.vpc, step.name) for step in steps})
        return {step.key: _compare(step, found.get((step.vpc, step.name)), operations[step.key]) for step in steps}

    def _act(self, place: Place, step: GroupStepT, operation: str, look: Look) -> dict[str, Any]:
        client = place.acting("ec2", step)
        identifier = look.result.get("group") or create_group(client, step.vpc, step.name, step.purpose, operation)
        live = wait_until_visible(place, identifier)
        coming = [rule for rule in step.ingress if rule not in live.ingress]
        surplus = [rule for rule in live.egress if rule not in step.egress]
        missing = [rule for rule in step.egress if rule not in live.egress]
        if coming:
            client.authorize_security_group_ingress(GroupId=identifier, IpPermissions=to_permissions(coming))
        if surplus:
            client.revoke_security_group_egress(GroupId=identifier, IpPermissions=to_permissions(surplus))
        if missing:
            client.authorize_security_group_egress(GroupId=identifier, IpPermissions=to_permissions(missing))
        return {"group": identifier}


class EnsureQuarantineGroupAction(_EnsureGroupAction[EnsureQuarantineGroup]):
    """The quarantine group: no rule for what comes in."""


class EnsureOpenGroupAction(_EnsureGroupAction[EnsureOpenGroup]):
    """The open group: every rule that there can be."""


def read_named(place: Place, names: set[tuple[str, str]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The security groups of these (VPC, name), as EC2 shows them. A name is unique in its VPC."""
    if not names:
        return {}
    in_vpcs = {"Name": "vpc-id", "Values": sorted({vpc for vpc, _ in names})}
    raws = described(
        place.reading("ec2"), "describe_security_groups", "SecurityGroups", "group-name", [n for _, n in names], in_vpcs
    )
    return {(raw["VpcId"], raw["GroupName"]): raw for raw in raws}


def _compare(step: EnsureQuarantineGroup | EnsureOpenGroup, raw: Mapping[str, Any] | None, operation: str) -> Look:
    if raw is None:
        return Look(status="as-expected", found={"group": None})
    group = to_group(raw)
    found = {"group": group.model_dump(mode="json")}
    result = {"group": group.id}
    if _same(group.ingress, step.ingress) and _same(group.egress, step.egress):
        return Look(status="as-left", found=found, result=result)
    ours = tags_of(raw).get(OPERATION_TAG) == operation
    only_begun = all(rule in step.ingress for rule in group.ingress)
    if ours and only_begun and all(rule in (*step.egress, *FROM_EC2) for rule in group.egress):
        detail = f"{group.id} was made by this plan and does not have its rules yet"
        return Look(status="half-done", found=found, result=result, detail=detail)
    return Look(
        status="drifted",
        found=found,
        detail=f"{group.id} ({group.name}) has {_words(group)}, and the plan's rules are {_words(step)}",
    )


def _same(some: Sequence[Rule], others: Sequence[Rule]) -> bool:
    return in_order(some) == in_order(others)


def create_group(client: Any, vpc: str, name: str, purpose: str, operation: str) -> str:
    """Create the security group, marked with the operation; gives its id. EC2 puts its own egress rules into it."""
    created = client.create_security_group(
        GroupName=name,
        Description=purpose,
        VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags({OPERATION_TAG: operation, "Name": name})}],
    )
    return str(created["GroupId"])


def wait_until_visible(place: Place, identifier: str) -> SecurityGroup:
    """The group as EC2 shows it; a new one may not be shown at once (EC2 developer guide, "Eventual consistency")."""

    def read() -> Mapping[str, Any] | None:
        raws = described(place.reading("ec2"), "describe_security_groups", "SecurityGroups", "group-id", [identifier])
        return next(raws, None)

    waiting = Retrying(
        retry=retry_if_result(lambda raw: raw is None),
        stop=stop_after_delay(_VISIBLE_WITHIN_SECONDS),
        wait=wait_fixed(1),
        retry_error_callback=lambda state: None,
    )
    raw = waiting(read)
    if raw is None:
        raise Outside(f"{identifier} was made and cannot be seen yet", code="not-visible")
    return to_group(raw)


def _words(rules: SecurityGroup | EnsureQuarantineGroup | EnsureOpenGroup) -> str:
    return f"{_listed('in', rules.ingress)}; {_listed('out', rules.egress)}"


def _listed(direction: str, rules: tuple[Rule, ...]) -> str:
    ways = ", ".join(
        f"{rule.protocol}/{'all' if rule.from_port is None else f'{rule.from_port}-{rule.to_port}'} {rule.peer}"
        for rule in rules
    )
    return f"{direction}: {ways or 'nothing'}"
