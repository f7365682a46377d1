"""What is set on an instance to keep it as evidence, and stopping and starting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from runbooks.steps.containment import SetDeleteOnTermination, SetInstanceAttribute, StartInstance, StopInstance
from tasks.gateways.actions.base import AwsAction, Look, Place, compare, gone, spoken
from tasks.gateways.aws_errors import code_of
from tasks.gateways.bulk import each
from tasks.gateways.ec2_instances import ENDED, read_raw_instances, to_volumes

_MEMBERS = {
    "disableApiTermination": "DisableApiTermination",
    "instanceInitiatedShutdownBehavior": "InstanceInitiatedShutdownBehavior",
}
_UNKNOWN_INSTANCE = ("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed")

PowerStepT = TypeVar("PowerStepT", StopInstance, StartInstance)


class SetInstanceAttributeAction(AwsAction[SetInstanceAttribute]):
    """Sets one attribute. EC2 tells attributes of one instance at a time only."""

    def _look(
        self, place: Place, steps: Sequence[SetInstanceAttribute], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        client = place.reading("ec2")
        by_key = {step.key: step for step in steps}
        return each(lambda key: self._look_at(client, by_key[key]), list(by_key))

    def _look_at(self, client: Any, step: SetInstanceAttribute) -> Look:
        try:
            answer = client.describe_instance_attribute(InstanceId=step.target.id, Attribute=step.attribute)
        except ClientError as error:
            if code_of(error) in _UNKNOWN_INSTANCE:
                return gone(f"instance {step.target.id}")
            raise
        live = answer[_MEMBERS[step.attribute]].get("Value")
        return compare(live, step.expects, step.leaves, step.attribute)

    def _act(self, place: Place, step: SetInstanceAttribute, operation: str, look: Look) -> dict[str, Any]:
        request: dict[str, Any] = {_MEMBERS[step.attribute]: {"Value": step.leaves}}
        place.acting("ec2", step).modify_instance_attribute(InstanceId=step.target.id, **request)
        return {}


class SetDeleteOnTerminationAction(AwsAction[SetDeleteOnTermination]):
    """Says for each volume whether it goes with the instance."""

    def _look(
        self, place: Place, steps: Sequence[SetDeleteOnTermination], operations: Mapping[str, str]
    ) -> dict[str, Look]:
        raws = read_raw_instances(place.reading("ec2"), [step.target.id for step in steps])
        return {step.key: _volumes(step, raws.get(step.target.id)) for step in steps}

    def _act(self, place: Place, step: SetDeleteOnTermination, operation: str, look: Look) -> dict[str, Any]:
        live = look.found["delete_on_termination"]
        changed = {device: deleted for device, deleted in step.leaves.items() if live[device] != deleted}
        mappings = [
            {"DeviceName": device, "Ebs": {"DeleteOnTermination": deleted}} for device, deleted in changed.items()
        ]
        place.acting("ec2", step).modify_instance_attribute(InstanceId=step.target.id, BlockDeviceMappings=mappings)
        # What somebody else had made so already is not this step's, and is not put back.
        return {"devices": sorted(changed)}


class StopInstanceAction(AwsAction[StopInstance]):
    """Stops."""

    def _look(self, place: Place, steps: Sequence[StopInstance], operations: Mapping[str, str]) -> dict[str, Look]:
        return _power(place, steps, expects="running", leaves="stopped")

    def _act(self, place: Place, step: StopInstance, operation: str, look: Look) -> dict[str, Any]:
        place.acting("ec2", step).stop_instances(InstanceIds=[step.target.id])
        return {}


class StartInstanceAction(AwsAction[StartInstance]):
    """Starts."""

    def _look(self, place: Place, steps: Sequence[StartInstance], operations: Mapping[str, str]) -> dict[str, Look]:
        return _power(place, steps, expects="stopped", leaves="running")

    def _act(self, place: Place, step: StartInstance, operation: str, look: Look) -> dict[str, Any]:
        place.acting("ec2", step).start_instances(InstanceIds=[step.target.id])
        return {}


def _power(place: Place, steps: Sequence[PowerStepT], *, expects: str, leaves: str) -> dict[str, Look]:
    raws = read_raw_instances(place.reading("ec2"), [step.target.id for step in steps])
    looks: dict[str, Look] = {}
    for step in steps:
        raw = raws.get(step.target.id)
        state = raw["State"]["Name"] if raw else "terminated"
        if state in ENDED:
            looks[step.key] = gone(f"instance {step.target.id}")
        elif state in ("pending", "stopping"):
            looks[step.key] = Look(status="in-progress", found={"state": state}, detail=f"the instance is {state}")
        else:
            looks[step.key] = compare(state, expects, leaves, "state")
    return looks


def _volumes(step: SetDeleteOnTermination, raw: Mapping[str, Any] | None) -> Look:
    if raw is None or raw["State"]["Name"] in ENDED:
        return gone(f"instance {step.target.id}")
    live = {volume.device: volume.delete_on_termination for volume in to_volumes(raw)}
    absent = [device for device in step.leaves if device not in live]
    if absent:
        detail = f"no volume is attached as {spoken(absent)} any more"
        return Look(status="drifted", found={"delete_on_termination": live}, detail=detail)
    named = {device: live[device] for device in step.leaves}
    if named not in (step.leaves, step.expects) and all(
        live[device] in (step.expects.get(device), step.leaves[device]) for device in named
    ):
        detail = "some volumes are as wanted already"
        return Look(status="half-done", found={"delete_on_termination": live}, detail=detail)
    return compare(named, step.expects, step.leaves, "delete_on_termination")
