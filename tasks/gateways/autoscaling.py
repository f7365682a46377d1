"""Auto Scaling groups: whose member an instance is, and what a replacement would be made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from runbooks.instance import AutoScalingMembership
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import FIFTY, pages, portions

Members = Mapping[str, Any]

TEMPLATE_IS_GONE = (
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.NotFoundException",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
)
"""Codes of EC2 for a launch template, or a version of it, that does not exist."""


@dataclass(frozen=True)
class _Source:
    """What a group makes instances from."""

    template: str | None = None
    version: str | None = None
    image: str | None = None


class AutoScalingGateway:
    """Reads Auto Scaling groups in bulk."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def memberships(self, account: str, region: str, ids: Sequence[str]) -> dict[str, AutoScalingMembership]:
        """The membership of each instance that is in a group; the others are absent."""
        client = self._sessions.client("autoscaling", account, region, Role.READ)
        places = read_places(client, ids)
        groups = read_groups(client, sorted({place["AutoScalingGroupName"] for place in places.values()}))
        sources = {name: self._source(account, region, client, group) for name, group in groups.items()}
        followers = read_followers(client) if any(source.template for source in sources.values()) else {}
        return {
            one: _membership(
                place, groups[place["AutoScalingGroupName"]], sources[place["AutoScalingGroupName"]], followers
            )
            for one, place in places.items()
            if place["AutoScalingGroupName"] in groups
        }

    def _source(self, account: str, region: str, client: Any, group: Members) -> _Source:
        template = template_of(group)
        if template is None:
            name = group.get("LaunchConfigurationName")
            found = (
                list(
                    pages(
                        client,
                        "describe_launch_configurations",
                        "LaunchConfigurations",
                        LaunchConfigurationNames=[name],
                    )
                )
                if name
                else []
            )
            return _Source(image=found[0]["ImageId"] if found else None)
        ec2 = self._sessions.client("ec2", account, region, Role.READ)
        version = read_version(ec2, template["LaunchTemplateId"], template.get("Version", "$Default"))
        if version is None:
            return _Source(template=template["LaunchTemplateId"])
        return _Source(
            template=template["LaunchTemplateId"],
            version=str(version["VersionNumber"]),
            image=version["LaunchTemplateData"].get("ImageId"),
        )


def read_places(client: Any, ids: Sequence[str]) -> dict[str, Members]:
    """What DescribeAutoScalingInstances says of each instance that is in a group."""
    return {
        raw["InstanceId"]: raw
        for portion in portions(ids, FIFTY)
        for raw in pages(client, "describe_auto_scaling_instances", "AutoScalingInstances", InstanceIds=list(portion))
    }


def read_groups(client: Any, names: Sequence[str]) -> dict[str, Members]:
    """The groups of these names that exist."""
    return {
        raw["AutoScalingGroupName"]: raw
        for portion in portions(names, FIFTY)
        for raw in pages(
            client, "describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=list(portion)
        )
    }


def read_followers(client: Any) -> dict[str, frozenset[str]]:
    """Launch template id -> the groups that take its newest version by themselves (`$Latest`).

    A new version is not the default one until somebody makes it so (EC2 API, CreateLaunchTemplateVersion): groups that
    follow `$Default` are left as they are.
    """
    found: dict[str, set[str]] = {}
    for group in pages(client, "describe_auto_scaling_groups", "AutoScalingGroups"):
        for template in _templates(group):
            if template.get("Version") == "$Latest" and "LaunchTemplateId" in template:
                found.setdefault(template["LaunchTemplateId"], set()).add(group["AutoScalingGroupName"])
    return {template: frozenset(groups) for template, groups in found.items()}


def _templates(group: Members) -> Iterator[Members]:
    """Every launch template specification of a group, those for single instance types included."""
    if (template := template_of(group)) is not None:
        yield template
    for override in group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides") or ():
        if "LaunchTemplateSpecification" in override:
            yield override["LaunchTemplateSpecification"]


def template_of(group: Members) -> Members | None:
    """The launch template specification of a group, its mixed instances policy's where it has one."""
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    return group.get("LaunchTemplate") or mixed


def read_version(client: Any, template: str, version: str) -> Members | None:
    """One version of a launch template, $Default and $Latest resolved, its AMI alias too; None when there is none."""
    try:
        answer = client.describe_launch_template_versions(
            LaunchTemplateId=template, Versions=[version], ResolveAlias=True
        )
    except ClientError as error:
        if code_of(error) in TEMPLATE_IS_GONE:
            return None
        raise
    return next(iter(answer["LaunchTemplateVersions"]), None)


def _membership(
    place: Members, group: Members, source: _Source, followers: Mapping[str, frozenset[str]]
) -> AutoScalingMembership:
    name = group["AutoScalingGroupName"]
    return AutoScalingMembership(
        group=name,
        lifecycle_state=place["LifecycleState"],
        minimum=group["MinSize"],
        maximum=group["MaxSize"],
        desired=group["DesiredCapacity"],
        in_service=sum(each["LifecycleState"] == "InService" for each in group.get("Instances") or ()),
        protected_from_scale_in=place.get("ProtectedFromScaleIn", False),
        launch_template=source.template,
        launch_template_version=source.version,
        template_followers=tuple(sorted(followers.get(source.template or "", frozenset()) - {name})),
        image=source.image,
        target_groups=tuple(sorted(group.get("TargetGroupARNs") or ())),
    )
