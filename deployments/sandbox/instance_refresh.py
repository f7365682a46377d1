"""Instance refreshes: a group's instances replaced in stages, with checkpoints between them.

EC2 Auto Scaling user guide, "Use an instance refresh to update instances in an Auto Scaling group": one at a time per
group; at a checkpoint it waits; when it succeeded the group's launch template is the desired one.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState

from deployments.sandbox import autoscaling, inventory
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import World

_UNDER_WAY = ("Pending", "InProgress", "Cancelling", "RollbackInProgress")
_CHECKPOINT_DELAY = 3600
_STALL = 3600.0


@dataclass
class Refresh:
    """One instance refresh of a group.

    Attributes:
        before: the group's launch template and version before it, for a rollback.
        targets: the instances to replace.
        replaced: the instances that took their places.
    """

    id: str
    group_name: str
    started_at: datetime
    preferences: dict[str, Any]
    desired: dict[str, Any]
    before: tuple[Any, str]
    targets: frozenset[str] = frozenset()
    status: str = "Pending"
    reason: str = ""
    ended_at: datetime | None = None
    replaced: list[str] = field(default_factory=list)

    @property
    def under_way(self) -> bool:
        """Whether it still changes the group."""
        return self.status in _UNDER_WAY


@operation("autoscaling", "StartInstanceRefresh")
def start_instance_refresh(call: Call) -> dict[str, Any]:
    """Begin to replace the group's instances."""
    world = call.world
    group = autoscaling.find_group(world, call.params["AutoScalingGroupName"])
    if _current(world, group.name):
        raise AwsError(
            "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution."
        )
    preferences = call.params.get("Preferences") or {}
    desired = (call.params.get("DesiredConfiguration") or {}).get("LaunchTemplate") or {}
    _check(preferences, desired)
    refresh = Refresh(
        id=str(uuid.uuid4()),
        group_name=group.name,
        started_at=call.now,
        preferences=preferences,
        desired=call.params.get("DesiredConfiguration") or {},
        before=(group.ec2_launch_template, group.launch_template_version),
    )
    _adopt(world, group, desired)
    refresh.targets = frozenset(state.instance.id for state in _to_update(group, preferences))
    world.refreshes.append(refresh)
    percentages = preferences.get("CheckpointPercentages") or [100]
    stages = percentages if percentages[-1] == 100 else [*percentages, 100]
    _schedule(world, group, refresh, stages)
    return {"InstanceRefreshId": refresh.id}


@operation("autoscaling", "DescribeInstanceRefreshes")
def describe_instance_refreshes(call: Call) -> dict[str, Any]:
    """The group's refreshes, newest first."""
    group = autoscaling.find_group(call.world, call.params["AutoScalingGroupName"])
    wanted = call.params.get("InstanceRefreshIds") or []
    entries = [
        _describe(call.world, one)
        for one in reversed(call.world.refreshes)
        if one.group_name == group.name and (not wanted or one.id in wanted)
    ]
    return page(call, entries, result="InstanceRefreshes", limit="MaxRecords")


@operation("autoscaling", "CancelInstanceRefresh")
def cancel_instance_refresh(call: Call) -> dict[str, Any]:
    """Stop replacing; what was replaced stays so."""
    refresh = _current_or_error(call)
    refresh.status = "Cancelling"

    def end() -> None:
        group = autoscaling.find_group(call.world, refresh.group_name)
        group.ec2_launch_template, group.launch_template_version = refresh.before
        group.provided_launch_template_version = refresh.before[1]
        _end(call.world, refresh, "Cancelled", "Cancelled due to user request.")

    call.world.clock.after(call.world.settings.refresh_stage / 4, end)
    return {"InstanceRefreshId": refresh.id}


@operation("autoscaling", "RollbackInstanceRefresh")
def rollback_instance_refresh(call: Call) -> dict[str, Any]:
    """Put the group back to its former launch template, and what was replaced with it."""
    refresh = _current_or_error(call)
    if not refresh.desired:
        raise AwsError("IrreversibleInstanceRefresh", "The instance refresh has no desired configuration.")
    roll_back(call.world, refresh)
    return {"InstanceRefreshId": refresh.id}


def roll_back(world: World, refresh: Refresh) -> None:
    """Begin the way back."""
    group = autoscaling.find_group(world, refresh.group_name)
    refresh.status = "RollbackInProgress"
    group.ec2_launch_template, group.launch_template_version = refresh.before
    group.provided_launch_template_version = refresh.before[1]

    def undo() -> None:
        states = [state for state in group.active_instances() if state.instance.id in refresh.replaced]
        _replace(world, group, states)
        _end(world, refresh, "RollbackSuccessful", "Rolled back.")

    world.clock.after(world.settings.refresh_stage, undo)


def _schedule(world: World, group: FakeAutoScalingGroup, refresh: Refresh, stages: list[int]) -> None:
    """Carry out the first of the stages after its time, and have the others follow."""

    def stage() -> None:
        if refresh.status not in ("Pending", "InProgress"):
            return
        refresh.status = "InProgress"
        goal = math.ceil(len(refresh.targets) * stages[0] / 100) - len(refresh.replaced)
        ready = [state for state in _outdated(group, refresh) if not _waits(refresh, state)]
        refresh.replaced += _replace(world, group, ready[: max(goal, 0)])
        if stages[1:]:
            refresh.reason = f"Checkpoint of {stages[0]}% reached."
            delay = float(refresh.preferences.get("CheckpointDelay", _CHECKPOINT_DELAY))
            world.clock.after(delay, lambda: _schedule(world, group, refresh, stages[1:]))
        else:
            _finish(world, group, refresh)

    world.clock.after(world.settings.refresh_stage, stage)


def _finish(world: World, group: FakeAutoScalingGroup, refresh: Refresh) -> None:
    if not _outdated(group, refresh):
        _end(world, refresh, "Successful", "")
        return
    refresh.reason = "Waiting for protected or standby instances."
    world.clock.after(_STALL, lambda: _give_up(world, refresh))


def _give_up(world: World, refresh: Refresh) -> None:
    if refresh.status != "InProgress":
        return
    if refresh.preferences.get("AutoRollback"):
        roll_back(world, refresh)
    else:
        _end(world, refresh, "Failed", "Waited too long for protected or standby instances.")


def _outdated(group: FakeAutoScalingGroup, refresh: Refresh) -> list[InstanceState]:
    """The instances that are yet to be replaced."""
    return [state for state in group.instance_states if state.instance.id in refresh.targets]


def _to_update(group: FakeAutoScalingGroup, preferences: dict[str, Any]) -> list[InstanceState]:
    """The instances a refresh that starts now is about."""
    states = [state for state in group.instance_states if state.lifecycle_state in ("InService", "Standby")]
    return [
        state
        for state in states
        if not _is_ignored(preferences, state) and not (preferences.get("SkipMatching") and _matches(group, state))
    ]


def _matches(group: FakeAutoScalingGroup, state: InstanceState) -> bool:
    template = group.ec2_launch_template
    launched = state.launch_template
    if template is None or launched is None:
        return False
    wanted = template.get_version(group.launch_template_version).number
    return launched["LaunchTemplateId"] == template.id and launched["Version"] == str(wanted)


def _is_ignored(preferences: dict[str, Any], state: InstanceState) -> bool:
    protected = state.protected_from_scale_in and preferences.get("ScaleInProtectedInstances") == "Ignore"
    standby = state.lifecycle_state == "Standby" and preferences.get("StandbyInstances") == "Ignore"
    return bool(protected or standby)


def _waits(refresh: Refresh, state: InstanceState) -> bool:
    protected = state.protected_from_scale_in and refresh.preferences.get("ScaleInProtectedInstances") != "Refresh"
    standby = state.lifecycle_state == "Standby" and refresh.preferences.get("StandbyInstances") != "Terminate"
    return bool(protected or standby)


def _replace(world: World, group: FakeAutoScalingGroup, states: list[InstanceState]) -> list[str]:
    """Replace these instances; the ids of the new ones."""
    known = {state.instance.id for state in group.instance_states}
    for state in states:
        autoscaling.terminate(world, group, state)
    autoscaling.launch(group, len(states), group.get_propagated_tags())
    inventory.observe(world)
    return [state.instance.id for state in group.instance_states if state.instance.id not in known]


def _adopt(world: World, group: FakeAutoScalingGroup, desired: dict[str, Any]) -> None:
    """Launch from the desired template's version from now on."""
    if not desired:
        return
    template_id = desired.get("LaunchTemplateId")
    name = desired.get("LaunchTemplateName") or ""
    ec2 = world.ec2
    template = ec2.get_launch_template(template_id) if template_id else ec2.get_launch_template_by_name(name)
    template.get_version(desired.get("Version") or "$Default")
    group.ec2_launch_template = template
    group.launch_template_version = group.provided_launch_template_version = desired.get("Version") or "$Default"


def _check(preferences: dict[str, Any], desired: dict[str, Any]) -> None:
    percentages = preferences.get("CheckpointPercentages") or []
    if percentages != sorted(set(percentages)) or any(not 1 <= one <= 100 for one in percentages):
        raise AwsError("ValidationError", "CheckpointPercentages must be unique, ascending and between 1 and 100.")
    pinned = str(desired.get("Version") or "").isdigit()
    if preferences.get("AutoRollback") and not pinned:
        raise AwsError("ValidationError", "AutoRollback needs a desired configuration with a numbered version.")


def _current(world: World, group_name: str) -> Refresh | None:
    return next((one for one in world.refreshes if one.group_name == group_name and one.under_way), None)


def _current_or_error(call: Call) -> Refresh:
    group = autoscaling.find_group(call.world, call.params["AutoScalingGroupName"])
    refresh = _current(call.world, group.name)
    if refresh is None:
        raise AwsError(
            "ActiveInstanceRefreshNotFound", f"No in progress or pending Instance Refresh found for {group.name}"
        )
    return refresh


def _end(world: World, refresh: Refresh, status: str, reason: str) -> None:
    refresh.status, refresh.reason, refresh.ended_at = status, reason, world.now


def _describe(world: World, refresh: Refresh) -> dict[str, Any]:
    total, done = len(refresh.targets), len(refresh.replaced)
    entry: dict[str, Any] = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group_name,
        "Status": refresh.status,
        "StartTime": refresh.started_at,
        "PercentageComplete": 100 if refresh.status == "Successful" else min(99, 100 * done // max(total, 1)),
        "InstancesToUpdate": max(total - done, 0),
        "Preferences": refresh.preferences,
        "DesiredConfiguration": refresh.desired,
    }
    if refresh.reason:
        entry["StatusReason"] = refresh.reason
    if refresh.ended_at:
        entry["EndTime"] = refresh.ended_at
    return entry
