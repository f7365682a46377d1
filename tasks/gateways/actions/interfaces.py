"""Swapping the security groups of a network interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from runbooks.steps.containment import SwapSecurityGroups
from tasks.gateways.actions.base import AwsAction, Look, Place, compare, gone, spoken
from tasks.gateways.actions.quarantine_group import read_named
from tasks.gateways.aws_session import closing
from tasks.gateways.bulk import described
from tasks.gateways.ec2_instances import groups_in_order

Named = Mapping[tuple[str, str], Mapping[str, Any]]


class SwapSecurityGroupsAction(AwsAction[SwapSecurityGroups]):
    """Replaces an interface's ordered groups, by way of an open group where the plan says so.

    ModifyNetworkInterfaceAttribute, for each interface: on an instance ModifyInstanceAttribute fails as soon as there
    are two interfaces.
    """

    def _look(
        self, place: Place, steps: Sequence[SwapSecurityGroups], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        ids = [step.target.id for step in steps]
        raws = described(
            place.reading("ec2"), "describe_network_interfaces", "NetworkInterfaces", "network-interface-id", ids
        )
        live = {raw["NetworkInterfaceId"]: groups_in_order(raw) for raw in raws}
        named = read_named(place, {(step.vpc, name) for step in steps for name in (*_names(step), *_perhaps(step))})
        return {step.key: _look_at(step, live.get(step.target.id), named) for step in steps}

    def _act(self, place: Place, step: SwapSecurityGroups, operation: str, look: Look) -> dict[str, Any]:
        change = partial(
            place.acting("ec2", step).modify_network_interface_attribute, NetworkInterfaceId=step.target.id
        )
        half_done = look.status == "half-done"
        if step.via is not None and not half_done:
            change(Groups=[look.result["via"]])
        with closing() if step.via is not None or half_done else nullcontext():
            change(Groups=look.result["groups"])
        return {"groups": look.result["groups"]}


def _look_at(step: SwapSecurityGroups, live: tuple[str, ...] | None, named: Named) -> Look:
    if live is None:
        return gone(f"interface {step.target.id}")
    if live == step.leaves:
        # As it was before, though the groups that the step names may be gone.
        return Look(status="as-left", found={"groups": list(live)}, result={"groups": list(live)})
    missing = [name for name in _names(step) if (step.vpc, name) not in named]
    if missing:
        detail = f"{step.vpc} has no security group named {spoken(missing)}"
        return Look(status="drifted", found={"groups": list(live)}, detail=detail)
    expects, leaves = _ids(step, step.expects, named), _ids(step, step.leaves, named)
    result: dict[str, Any] = {"groups": list(leaves)}
    if step.via is not None:
        (result["via"],) = _ids(step, (step.via,), named)
    if live == _open_group(step, named) != leaves:
        detail = f"the interface rests on the open group {live[0]}"
        return Look(status="half-done", found={"groups": list(live)}, result=result, detail=detail)
    return compare(live, expects, leaves, "groups", result)


def _open_group(step: SwapSecurityGroups, named: Named) -> tuple[str, ...]:
    """The group that the interface must not be left on; none where nobody passes through one, or it is gone."""
    name = step.via or step.may_rest_on
    known = name is not None and (not name.startswith("@") or (step.vpc, name[1:]) in named)
    return _ids(step, (name,), named) if name is not None and known else ()


def _ids(step: SwapSecurityGroups, groups: Sequence[str], named: Named) -> tuple[str, ...]:
    return tuple(named[step.vpc, group[1:]]["GroupId"] if group.startswith("@") else group for group in groups)


def _perhaps(step: SwapSecurityGroups) -> list[str]:
    """The group that the step names and can do without."""
    return [step.may_rest_on[1:]] if step.may_rest_on and step.may_rest_on.startswith("@") else []


def _names(step: SwapSecurityGroups) -> list[str]:
    """The groups that the step names instead of giving their ids, and needs."""
    groups = (*step.expects, *step.leaves, *((step.via,) if step.via else ()))
    return [group[1:] for group in groups if group.startswith("@")]
