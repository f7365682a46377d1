"""Changing the rules of a security group, and making a copy of one that others share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from typing import Any

from runbooks.group_rules import GroupRule
from runbooks.instance import Rule
from runbooks.steps.containment import OPERATION_TAG
from runbooks.steps.network import EnsureClosedGroup, ReplaceGroupRules
from tasks.gateways.actions.base import AwsAction, Look, Place, gone, tags
from tasks.gateways.actions.quarantine_group import FROM_EC2, create_group, read_named, wait_until_visible
from tasks.gateways.aws_session import closing
from tasks.gateways.bulk import described, tags_of
from tasks.gateways.ec2_rules import described_permissions, in_order, read_group_rules, to_group, to_permissions
from tasks.gateways.ways_in import read_carriers


class ReplaceGroupRulesAction(AwsAction[ReplaceGroupRules]):
    """Adds what is to stay, then removes what is to go: nobody who keeps a way in is without it in between."""

    def _look(self, place: Place, steps: Sequence[ReplaceGroupRules], operations: Mapping[str, str]) -> dict[str, Look]:
        client, ids = place.reading("ec2"), [step.target.id for step in steps]
        groups = described(client, "describe_security_groups", "SecurityGroups", "group-id", ids)
        rules = read_group_rules(client, {raw["GroupId"] for raw in groups})
        carriers = read_carriers(client, rules)
        return {
            step.key: _look_at(step, rules[step.target.id], carriers[step.target.id], operations[step.key])
            if step.target.id in rules
            else gone(f"security group {step.target.id}")
            for step in steps
        }

    def _act(self, place: Place, step: ReplaceGroupRules, operation: str, look: Look) -> dict[str, Any]:
        live = [GroupRule.model_validate(each) for each in look.found["rules"]]
        missing = [rule for rule in step.adds if not _among(rule, live)]
        leaving = [rule.id for rule in live if _among(rule, step.removes)]
        client, group = place.acting("ec2", step), step.target.id
        with closing() if look.status == "half-done" else nullcontext():
            for marks, rules in _by_tags(missing, {} if step.undoes else {OPERATION_TAG: operation}):
                client.authorize_security_group_ingress(
                    GroupId=group,
                    IpPermissions=described_permissions(rules),
                    **(
                        {"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": marks}]} if marks else {}
                    ),
                )
            if leaving:
                client.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=leaving)
        return {"group": group}


class EnsureClosedGroupAction(AwsAction[EnsureClosedGroup]):
    """Creates the copy, and gives it the rules of the plan and no others; cut short, it is resumed where it ended."""

    def _look(self, place: Place, steps: Sequence[EnsureClosedGroup], operations: Mapping[str, str]) -> dict[str, Look]:
        found = read_named(place, {(step.vpc, step.name) for step in steps})
        return {step.key: _compare(step, found.get((step.vpc, step.name)), operations[step.key]) for step in steps}

    def _act(self, place: Place, step: EnsureClosedGroup, operation: str, look: Look) -> dict[str, Any]:
        client, purpose = place.acting("ec2", step), f"Copy of {step.source} without what let the internet in"
        group = look.result.get("group") or create_group(client, step.vpc, step.name, purpose, operation)
        live = wait_until_visible(place, group)
        coming = [rule for rule in step.ingress if rule.bare not in live.ingress]
        surplus = [rule for rule in live.egress if rule not in _bare(step.egress)]
        going = [rule for rule in step.egress if rule.bare not in live.egress]
        if coming:
            client.authorize_security_group_ingress(GroupId=group, IpPermissions=described_permissions(coming))
        if surplus:
            client.revoke_security_group_egress(GroupId=group, IpPermissions=to_permissions(surplus))
        if going:
            client.authorize_security_group_egress(GroupId=group, IpPermissions=described_permissions(going))
        return {"group": group}


def _look_at(step: ReplaceGroupRules, rules: Sequence[GroupRule], carriers: Sequence[str], operation: str) -> Look:
    live = [rule for rule in rules if not rule.egress]
    found = {"rules": [rule.model_dump(mode="json") for rule in live]}
    going, coming = [_find(rule, live) for rule in step.removes], [_find(rule, live) for rule in step.adds]
    if not any(going) and all(coming):
        return Look(status="as-left", found=found, result={"group": step.target.id})
    if not step.undoes and all(going) and any(coming) and _are_of(operation, coming):
        return Look(status="half-done", found=found, detail=f"some rules of {step.target.id} are there already")
    surprises = list(_surprises(step, live, carriers))
    if not surprises:
        return Look(status="as-expected", found=found)
    return Look(status="drifted", found=found, detail=f"{step.target.id} {' and '.join(surprises)}")


def _surprises(step: ReplaceGroupRules, live: Sequence[GroupRule], carriers: Sequence[str]) -> Iterator[str]:
    """What is otherwise than the plan found it."""
    if missing := [rule.words for rule in step.removes if not _among(rule, live)]:
        yield f"has no {', '.join(missing)} any more"
    if step.undoes:
        # Some of it may be back already. The rest is not called half done: it opens, and no halt lets that through.
        return
    if there := [rule.words for rule in step.adds if _among(rule, live)]:
        yield f"has {', '.join(there)} by now"
    if not missing and not _unchanged(step.removes, live):
        yield "has that rule with another description or other tags, with which it would not be put back"
    if others := sorted({*carriers} - {*step.carriers}):
        yield f"is carried by {', '.join(others)} as well by now"


def _are_of(operation: str, rules: Sequence[GroupRule | None]) -> bool:
    return all(rule.tags.get(OPERATION_TAG) == operation for rule in rules if rule is not None)


def _compare(step: EnsureClosedGroup, raw: Mapping[str, Any] | None, operation: str) -> Look:
    if raw is None:
        return Look(status="as-expected", found={"group": None})
    group = to_group(raw)
    found, result = {"group": group.model_dump(mode="json")}, {"group": group.id}
    ingress, egress = _bare(step.ingress), _bare(step.egress)
    if in_order(group.ingress) == in_order(ingress) and in_order(group.egress) == in_order(egress):
        return Look(status="as-left", found=found, result=result)
    begun = all(rule in ingress for rule in group.ingress) and all(r in (*egress, *FROM_EC2) for r in group.egress)
    if tags_of(raw).get(OPERATION_TAG) == operation and begun:
        detail = f"{group.id} was made by this plan and does not have its rules yet"
        return Look(status="half-done", found=found, result=result, detail=detail)
    return Look(
        status="drifted", found=found, detail=f"{group.id} ({group.name}) does not have the rules of the plan's copy"
    )


def _by_tags(
    rules: Sequence[GroupRule], more: Mapping[str, str]
) -> Iterable[tuple[list[dict[str, str]], list[GroupRule]]]:
    """The rules by the tags they get: one call gives all of its rules the same."""

    def marks(rule: GroupRule) -> list[tuple[str, str]]:
        return sorted({**rule.tags, **more}.items())

    for values, alike in groupby(sorted(rules, key=marks), key=marks):
        yield tags(dict(values)), list(alike)


def _unchanged(expected: Sequence[GroupRule], live: Sequence[GroupRule]) -> bool:
    """Whether the rules have the descriptions and tags that they are to be put back with."""
    pairs = ((rule, _find(rule, live)) for rule in expected)
    return all(now and (now.description, now.tags) == (rule.description, rule.tags) for rule, now in pairs)


def _find(rule: GroupRule, live: Sequence[GroupRule]) -> GroupRule | None:
    return next((each for each in live if each.bare == rule.bare), None)


def _among(rule: GroupRule, others: Sequence[GroupRule]) -> bool:
    return _find(rule, others) is not None


def _bare(rules: Sequence[GroupRule]) -> tuple[Rule, ...]:
    return tuple(rule.bare for rule in rules)
