"""Load balancers: in which target groups an instance is registered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from runbooks.instance import TargetRegistration
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import pages, portions

NOT_REGISTERED = "Target.NotRegistered"
"""Reason that DescribeTargetHealth gives for a target that was asked about by name and is not there."""
DRAINING = "draining"
_BALANCERS = 20
"""ARNs that DescribeLoadBalancers takes in one call."""


class LoadBalancingGateway:
    """Reads the target groups of application and network load balancers."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def registrations(
        self, account: str, region: str, vpcs: Collection[str], ids: Collection[str]
    ) -> dict[str, tuple[TargetRegistration, ...]]:
        """The target groups each instance serves; a draining target serves no more.

        ELB does not say where an instance is registered, so each group is asked about its targets: only groups of
        these VPCs whose targets are instances.
        """
        found: dict[str, list[TargetRegistration]] = {one: [] for one in ids}
        if not vpcs:
            return dict.fromkeys(ids, ())
        client = self._sessions.client("elbv2", account, region, Role.READ)
        groups = [
            group
            for group in pages(client, "describe_target_groups", "TargetGroups")
            if group.get("TargetType") == "instance" and group.get("VpcId") in vpcs
        ]
        facing = _internet_facing(client, groups)
        for group in sorted(groups, key=lambda group: group["TargetGroupArn"]):
            balancers = sorted(group.get("LoadBalancerArns") or (), key=lambda arn: (arn not in facing, arn))
            targets = _targets(client, group["TargetGroupArn"])
            instances = len({target["Id"] for target in targets})
            for target in targets:
                if target["Id"] in found:
                    registration = TargetRegistration(
                        target_group=group["TargetGroupArn"],
                        port=target["Port"],
                        load_balancer=next(iter(balancers), None),
                        internet_facing=any(arn in facing for arn in balancers),
                        instances=instances,
                    )
                    found[target["Id"]].append(registration)
        return {
            one: tuple(sorted(registrations, key=lambda each: (each.target_group, each.port)))
            for one, registrations in found.items()
        }


def serves(health: Mapping[str, Any]) -> bool:
    """Whether a target of this TargetHealth is registered and not on its way out."""
    return health.get("State") != DRAINING and health.get("Reason") != NOT_REGISTERED


def _internet_facing(client: Any, groups: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The load balancers before these target groups that the internet reaches."""
    arns = sorted({arn for group in groups for arn in group.get("LoadBalancerArns") or ()})
    return frozenset(
        balancer["LoadBalancerArn"]
        for portion in portions(arns, _BALANCERS)
        for balancer in pages(client, "describe_load_balancers", "LoadBalancers", LoadBalancerArns=list(portion))
        if balancer.get("Scheme") == "internet-facing"
    )


def _targets(client: Any, group: str) -> list[Mapping[str, Any]]:
    try:
        descriptions = client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    except ClientError as error:
        if code_of(error) == "TargetGroupNotFound":
            return []
        raise
    return [one["Target"] for one in descriptions if serves(one.get("TargetHealth") or {})]
