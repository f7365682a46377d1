"""Requesting snapshots as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.steps.containment import OPERATION_TAG, CreateSnapshots
from tasks.gateways.actions.base import CASE_TAG, AwsAction, Look, Place, spoken, tags
from tasks.gateways.bulk import described, tags_of

Members = Mapping[str, Any]


class CreateSnapshotsAction(AwsAction[CreateSnapshots]):
    """One call for all volumes of an instance. Their point in time is the request; completion is not waited for."""

    def _look(self, place: Place, steps: Sequence[CreateSnapshots], operations: Mapping[str, str]) -> dict[str, Look]:
        wanted = [operations[step.key] for step in steps]
        found: dict[str, list[Members]] = {operation: [] for operation in wanted}
        for raw in described(place.reading("ec2"), "describe_snapshots", "Snapshots", f"tag:{OPERATION_TAG}", wanted):
            found[tags_of(raw)[OPERATION_TAG]].append(raw)
        return {step.key: _look_at(step, found[operations[step.key]]) for step in steps}

    def _act(self, place: Place, step: CreateSnapshots, operation: str, look: Look) -> dict[str, Any]:
        answer = place.acting("ec2", step).create_snapshots(
            InstanceSpecification={"InstanceId": step.target.id},
            Description=f"Evidence of {step.target.id}, {', '.join(step.cases)}, {operation}"[:255],
            # The volumes' own tags, Name among them, come along: no other Name is given here.
            CopyTagsFromSource="volume",
            TagSpecifications=[
                {
                    "ResourceType": "snapshot",
                    "Tags": tags({OPERATION_TAG: operation, CASE_TAG: " ".join(step.cases)[:256]}),
                }
            ],
        )
        return {"snapshots": {raw["VolumeId"]: raw["SnapshotId"] for raw in answer["Snapshots"]}}


def _look_at(step: CreateSnapshots, raws: Sequence[Members]) -> Look:
    if not raws:
        return Look(status="as-expected", found={"snapshots": {}})
    good = {raw["VolumeId"]: raw["SnapshotId"] for raw in raws if raw["State"] != "error"}
    states = {raw["SnapshotId"]: raw["State"] for raw in raws}
    missing = [volume for volume in step.volumes if volume not in good]
    if missing:
        detail = f"there is no good snapshot of {spoken(missing)}"
        return Look(status="failed", found={"snapshots": states}, detail=detail, result={"snapshots": good})
    return Look(status="as-left", found={"snapshots": states}, result={"snapshots": good})
