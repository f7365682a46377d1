"""Taking an instance out of a load balancer's target group, and putting it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from runbooks.steps.containment import DeregisterTarget, RegisterTarget
from tasks.gateways.actions.base import AwsAction, Look, Place, gone
from tasks.gateways.aws_errors import code_of
from tasks.gateways.load_balancing import NOT_REGISTERED, serves

Health = Mapping[str, Any]
TargetStepT = TypeVar("TargetStepT", DeregisterTarget, RegisterTarget)

_ABSENT: Health = {"State": "unused", "Reason": NOT_REGISTERED}


class DeregisterTargetAction(AwsAction[DeregisterTarget]):
    """Deregisters. A target that drains counts as out: it gets no new connection."""

    def _look(self, place: Place, steps: Sequence[DeregisterTarget], operations: Mapping[str, str]) -> dict[str, Look]:
        looks: dict[str, Look] = {}
        for step, health in _read(place, steps):
            found = {"health": None if health is None else health.get("State")}
            status = "as-expected" if health is not None and serves(health) else "as-left"
            looks[step.key] = Look(status=status, found=found)
        return looks

    def _act(self, place: Place, step: DeregisterTarget, operation: str, look: Look) -> dict[str, Any]:
        place.acting("elbv2", step).deregister_targets(TargetGroupArn=step.target_group, Targets=[_target(step)])
        # What only followed from leaving the Auto Scaling group has no result.
        return {"deregistered": step.port}


class RegisterTargetAction(AwsAction[RegisterTarget]):
    """Registers again, with the port it had."""

    def _look(self, place: Place, steps: Sequence[RegisterTarget], operations: Mapping[str, str]) -> dict[str, Look]:
        looks: dict[str, Look] = {}
        for step, health in _read(place, steps):
            if health is None:
                looks[step.key] = gone(f"target group {step.target_group}")
            else:
                status = "as-left" if serves(health) else "as-expected"
                looks[step.key] = Look(status=status, found={"health": health.get("State")})
        return looks

    def _act(self, place: Place, step: RegisterTarget, operation: str, look: Look) -> dict[str, Any]:
        place.acting("elbv2", step).register_targets(TargetGroupArn=step.target_group, Targets=[_target(step)])
        return {}


def _read(place: Place, steps: Sequence[TargetStepT]) -> list[tuple[TargetStepT, Health | None]]:
    """Each step with its target's health, None when the target group is gone; one call for each target group."""
    found: list[tuple[TargetStepT, Health | None]] = []
    client = place.reading("elbv2")
    for group, of_group in groupby(sorted(steps, key=lambda step: step.target_group), lambda step: step.target_group):
        members = list(of_group)
        try:
            answer = client.describe_target_health(TargetGroupArn=group, Targets=[_target(step) for step in members])
        except ClientError as error:
            if code_of(error) != "TargetGroupNotFound":
                raise
            found += [(step, None) for step in members]
            continue
        health = {
            (one["Target"]["Id"], one["Target"]["Port"]): one["TargetHealth"]
            for one in answer["TargetHealthDescriptions"]
        }
        found += [(step, health.get((step.target.id, step.port), _ABSENT)) for step in members]
    return found


def _target(step: DeregisterTarget | RegisterTarget) -> dict[str, Any]:
    return {"Id": step.target.id, "Port": step.port}
