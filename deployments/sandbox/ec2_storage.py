"""EC2's volumes and snapshots as AWS documents them, where moto differs (EC2 API Reference, CreateSnapshots)."""

from __future__ import annotations

from typing import Any

from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import AwsError


@operation("ec2", "CreateSnapshots")
def create_snapshots(call: Call) -> dict[str, Any]:
    """One snapshot of each volume that is not excluded, pending at first."""
    specification = call.params["InstanceSpecification"]
    instance = call.world.ec2.get_instance(specification["InstanceId"])
    excluded = set(specification.get("ExcludeDataVolumeIds") or [])
    attached = {device.volume_id: path for path, device in instance.get_block_device_mapping}
    root = next((volume for volume, path in attached.items() if path == instance.root_device_name), None)
    if root in excluded or not excluded <= set(attached):
        raise AwsError("InvalidParameterValue", "ExcludeDataVolumeIds must hold data volumes attached to the instance.")
    if specification.get("ExcludeBootVolume") and root:
        excluded.add(root)
    chosen = [volume for volume in attached if volume not in excluded]
    if not chosen:
        raise AwsError("InvalidParameterCombination", "There are no volumes to take snapshots of.")
    snapshots = [_snapshot(call, volume_id) for volume_id in chosen]
    if call.partial:
        snapshots[-1].fails_later = True  # type: ignore[attr-defined]
    return {"Snapshots": [_describe(snapshot) for snapshot in snapshots]}


@operation("ec2", "CreateSnapshot")
def create_snapshot(call: Call) -> dict[str, Any]:
    """A snapshot of one volume, pending at first."""
    created = call.moto()
    _begin(call, call.world.ec2.get_snapshot(created["SnapshotId"]))
    return created | {"State": "pending", "Progress": ""}


def _snapshot(call: Call, volume_id: str) -> Any:
    ec2 = call.world.ec2
    snapshot = ec2.create_snapshot(volume_id, call.params.get("Description") or "")
    if call.params.get("CopyTagsFromSource") == "volume":
        snapshot.add_tags({tag["key"]: tag["value"] for tag in ec2.get_volume(volume_id).get_tags()})
    for specification in call.params.get("TagSpecifications") or []:
        if specification.get("ResourceType") == "snapshot":
            snapshot.add_tags({tag["Key"]: tag["Value"] for tag in specification.get("Tags") or []})
    _begin(call, snapshot)
    return snapshot


def _begin(call: Call, snapshot: Any) -> None:
    snapshot.status = "pending"
    snapshot.start_time = call.now

    def complete() -> None:
        snapshot.status = "error" if getattr(snapshot, "fails_later", False) else "completed"

    call.world.clock.after(call.world.settings.snapshot, complete)


def _describe(snapshot: Any) -> dict[str, Any]:
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "VolumeSize": snapshot.volume_size,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "OwnerId": snapshot.owner_id,
        "State": snapshot.status,
        "Progress": "",
        "StartTime": snapshot.start_time,
        "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in snapshot.get_tags()],
    }
