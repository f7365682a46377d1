"""Replacing the instances of an Auto Scaling group by ones of another launch template version."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.steps.replacement import RefreshInstances
from tasks.gateways.actions.base import AwsAction, Look, Place
from tasks.gateways.autoscaling import read_groups, read_version, template_of
from tasks.gateways.bulk import pages

Members = Mapping[str, Any]

_RUNNING = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")
_BY_THE_PLAN = "@operation"
_MAKES_A_VERSION = "create-launch-template-version"


class RefreshInstancesAction(AwsAction[RefreshInstances]):
    """Starts a refresh. A group runs one at a time, and a refresh names its version: by that it is found again."""

    def _look(self, place: Place, steps: Sequence[RefreshInstances], operations: Mapping[str, str]) -> dict[str, Look]:
        groups = read_groups(place.reading("autoscaling"), [step.target.id for step in steps])
        looks: dict[str, Look] = {}
        for step in steps:
            group = groups.get(step.target.id)
            if group is None:
                looks[step.key] = Look(status="drifted", detail=f"{step.target.id} does not exist any more")
            else:
                looks[step.key] = _look_at(place, step, group, operations)
        return looks

    def _act(self, place: Place, step: RefreshInstances, operation: str, look: Look) -> dict[str, Any]:
        preferences: dict[str, Any] = {
            "MinHealthyPercentage": step.minimum_healthy_percentage,
            "SkipMatching": True,
            # Both would otherwise be waited for, an hour long, and a quarantined one must not be ended.
            "ScaleInProtectedInstances": "Ignore",
            "StandbyInstances": "Ignore",
        }
        if step.checkpoints:
            preferences |= {
                "CheckpointPercentages": list(step.checkpoints),
                "CheckpointDelay": step.checkpoint_delay_seconds,
            }
        answer = place.acting("autoscaling", step).start_instance_refresh(
            AutoScalingGroupName=step.target.id,
            Strategy="Rolling",
            DesiredConfiguration=look.result["configuration"],
            Preferences=preferences,
        )
        return {"refresh": answer["InstanceRefreshId"], "version": look.result["version"]}


def _look_at(place: Place, step: RefreshInstances, group: Members, operations: Mapping[str, str]) -> Look:
    template = template_of(group)
    if template is None or template["LaunchTemplateId"] != step.launch_template:
        detail = f"{step.target.id} does not use launch template {step.launch_template} any more"
        return Look(status="drifted", detail=detail)
    version = _number(place, step, step.version, operations)
    if version is None:
        return Look(status="drifted", detail=f"{step.launch_template} has no version for {step.describe()}")
    current = _current(place, template)
    found = {"version": current, "desired": group["DesiredCapacity"]}
    refreshes = place.reading("autoscaling").describe_instance_refreshes(AutoScalingGroupName=step.target.id)
    latest = next(iter(refreshes.get("InstanceRefreshes") or ()), None)
    ours = latest is not None and _target_version(latest) == version
    if latest is not None and latest["Status"] in _RUNNING:
        return _under_way(step, found, latest, ours)
    replaced = _from_version(group, version)
    remaining = sorted(one["InstanceId"] for one in group.get("Instances") or () if one["InstanceId"] not in replaced)
    if current == version and (not remaining or (ours and latest is not None and latest["Status"] == "Successful")):
        detail = f"left as they were, for they are protected or in standby: {', '.join(remaining)}" if remaining else ""
        result = _result(latest if ours else None, version) | {"instances": replaced}
        return Look(status="as-left", found=found, detail=detail, result=result)
    if ours and latest is not None:
        detail = f"the refresh ended as {latest['Status']}: {latest.get('StatusReason', 'no reason given')}"
        return Look(status="failed", found=found, detail=detail, result=_result(latest, version))
    previous = _number(place, step, step.previous_version, operations)
    if current in (previous, version) or (previous is None and step.undoes):
        configuration = _with_version(group, version)
        return Look(status="as-expected", found=found, result={"version": version, "configuration": configuration})
    detail = f"{step.target.id} uses version {current}, and the plan found {previous or step.previous_version}"
    return Look(status="drifted", found=found, detail=detail)


def _under_way(step: RefreshInstances, found: dict[str, Any], latest: Members, ours: bool) -> Look:
    percentage = latest.get("PercentageComplete", 0)
    if ours:
        detail = f"{percentage} % replaced, {latest['Status']}"
        result = _result(latest, _target_version(latest)) | {"percentage": percentage}
        return Look(status="in-progress", found=found, detail=detail, result=result)
    detail = f"another refresh of {step.target.id} is {latest['Status']}, {percentage} % complete"
    # What puts back waits for its turn: a group runs one refresh at a time.
    return Look(status="in-progress" if step.undoes else "drifted", found=found, detail=detail)


def _number(place: Place, step: RefreshInstances, version: str, operations: Mapping[str, str]) -> str | None:
    """The number of a version: the one of the plan's own step is found by the operation in its description."""
    if version != _BY_THE_PLAN:
        return version
    operation = operations.get(f"{_MAKES_A_VERSION}:{step.launch_template}")
    versions = pages(
        place.reading("ec2"),
        "describe_launch_template_versions",
        "LaunchTemplateVersions",
        LaunchTemplateId=step.launch_template,
    )
    return next((str(one["VersionNumber"]) for one in versions if one.get("VersionDescription") == operation), None)


def _current(place: Place, template: Members) -> str | None:
    """The number of the version that the group uses, $Default and $Latest resolved."""
    version = str(template.get("Version", "$Default"))
    if version.isdigit():
        return version
    found = read_version(place.reading("ec2"), template["LaunchTemplateId"], version)
    return None if found is None else str(found["VersionNumber"])


def _from_version(group: Members, version: str) -> list[str]:
    """The group's instances that were launched from this version."""
    return sorted(
        one["InstanceId"]
        for one in group.get("Instances") or ()
        if str((one.get("LaunchTemplate") or {}).get("Version")) == version
    )


def _target_version(refresh: Members) -> str | None:
    specification = template_of(refresh.get("DesiredConfiguration") or {})
    return None if specification is None else str(specification.get("Version"))


def _with_version(group: Members, version: str) -> dict[str, Any]:
    """The group's own configuration with another version of its launch template."""
    template = template_of(group) or {}
    specification = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": version}
    if "MixedInstancesPolicy" not in group:
        return {"LaunchTemplate": specification}
    policy = copy.deepcopy(dict(group["MixedInstancesPolicy"]))
    policy["LaunchTemplate"]["LaunchTemplateSpecification"] = specification
    return {"MixedInstancesPolicy": policy}


def _result(refresh: Members | None, version: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {"version": version}
    return result if refresh is None else result | {"refresh": refresh["InstanceRefreshId"]}
