"""Taking an instance out of its Auto Scaling group, and putting it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.steps.containment import AttachToAutoScaling, DetachFromAutoScaling
from tasks.gateways.actions.base import AwsAction, Look, Place, spoken
from tasks.gateways.autoscaling import read_groups, read_places

Members = Mapping[str, Any]

_LEAVING = ("Detaching", "Detached")
_DETACHABLE = ("InService", "Standby")
"""States from which DetachInstances takes an instance (Auto Scaling user guide, "Detach or attach instances")."""
_COMING = ("Pending", "Pending:Wait", "Pending:Proceed", "EnteringStandby")


class DetachFromAutoScalingAction(AwsAction[DetachFromAutoScaling]):
    """Detaches. An instance on its way out counts as out: the group looks after it no more, it drains by itself."""

    def _look(
        self, place: Place, steps: Sequence[DetachFromAutoScaling], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        places = read_places(place.reading("autoscaling"), [step.target.id for step in steps])
        return {step.key: _membership(step, places.get(step.target.id)) for step in steps}

    def _act(self, place: Place, step: DetachFromAutoScaling, operation: str, look: Look) -> dict[str, Any]:
        answer = place.acting("autoscaling", step).detach_instances(
            AutoScalingGroupName=step.group,
            InstanceIds=[step.target.id],
            ShouldDecrementDesiredCapacity=step.decrement,
        )
        return {
            "activities": [activity["ActivityId"] for activity in answer.get("Activities") or ()],
            # As it is lost now, which may be later than the plan's reading.
            "protected": bool(look.found["protected_from_scale_in"]),
        }


class AttachToAutoScalingAction(AwsAction[AttachToAutoScaling]):
    """Attaches, where the group's maximum leaves room; its desired capacity rises by one.

    In service, the instance has the group's setting of scale-in protection; where it had another, that is set.
    """

    def _look(
        self, place: Place, steps: Sequence[AttachToAutoScaling], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client = place.reading("autoscaling")
        places = read_places(client, [step.target.id for step in steps])
        groups = read_groups(client, sorted({step.group for step in steps}))
        room = Counter({name: group["MaxSize"] - group["DesiredCapacity"] for name, group in groups.items()})
        looks: dict[str, Look] = {}
        for step in steps:
            looks[step.key] = _return(step, places.get(step.target.id), groups.get(step.group), room[step.group])
            # Those that return together share the room.
            room[step.group] -= looks[step.key].status == "as-expected"
        return looks

    def _act(self, place: Place, step: AttachToAutoScaling, operation: str, look: Look) -> dict[str, Any]:
        client, which = place.acting("autoscaling", step), {"AutoScalingGroupName": step.group}
        if look.status == "half-done":
            client.set_instance_protection(**which, InstanceIds=[step.target.id], ProtectedFromScaleIn=step.protected)
        else:
            client.attach_instances(**which, InstanceIds=[step.target.id])
        return {"group": step.group}


def _membership(step: DetachFromAutoScaling, place: Members | None) -> Look:
    if place is None:
        return Look(status="as-left", found=_found(place))
    group, state = place["AutoScalingGroupName"], place["LifecycleState"]
    if state in _LEAVING:
        return Look(status="as-left", found=_found(place), detail=f"the instance is on its way out of {group}")
    if group != step.group:
        detail = f"the instance is in {group}, and the plan found it in {step.group}"
        return Look(status="drifted", found=_found(place), detail=detail)
    if state in _DETACHABLE:
        return Look(status="as-expected", found=_found(place))
    detail = f"the instance is {state} in {group}, and the plan found it in service"
    return Look(status="drifted", found=_found(place), detail=detail)


def _return(step: AttachToAutoScaling, place: Members | None, group: Members | None, room: int) -> Look:
    found = _found(place)
    if place is not None:
        name, state = place["AutoScalingGroupName"], place["LifecycleState"]
        if state in _LEAVING:
            return Look(status="in-progress", found=found, detail=f"the instance is still leaving {name}")
        if name != step.group:
            return Look(status="drifted", found=found, detail=f"the instance is in {name}, not in {step.group}")
        if state in _COMING:
            return Look(status="in-progress", found=found, detail=f"the instance is {state} in {name}")
        return _as_protected_as_before(step, place, group, found)
    if group is None:
        return Look(status="drifted", found=found, detail=f"{step.group} does not exist any more")
    found |= {"desired": group["DesiredCapacity"], "maximum": group["MaxSize"]}
    if room < 1:
        detail = f"{step.group} has no room: it wants {group['DesiredCapacity']} of at most {group['MaxSize']}"
        return Look(status="drifted", found=found, detail=detail)
    return Look(status="as-expected", found=found)


def _as_protected_as_before(
    step: AttachToAutoScaling, place: Members, group: Members | None, found: dict[str, Any]
) -> Look:
    """An instance in its group: what it was given there is made what it was, what somebody set since is left."""
    live = bool(place.get("ProtectedFromScaleIn", False))
    if live == step.protected or place["LifecycleState"] != "InService":
        return Look(status="as-left", found=found)
    if group is not None and live == bool(group.get("NewInstancesProtectedFromScaleIn", False)):
        detail = f"it is attached, and its scale-in protection is {spoken(live)}, as {step.group} gives it"
        return Look(status="half-done", found=found, detail=detail)
    detail = f"somebody else set its scale-in protection to {spoken(live)}, and it is left so"
    return Look(status="as-left", found=found, detail=detail)


def _found(place: Members | None) -> dict[str, Any]:
    if place is None:
        return {"group": None}
    return {
        "group": place["AutoScalingGroupName"],
        "lifecycle_state": place["LifecycleState"],
        "protected_from_scale_in": place.get("ProtectedFromScaleIn", False),
    }
