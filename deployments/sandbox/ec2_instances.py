"""EC2's instances as AWS documents them, where moto differs: ids, client tokens, images, attributes."""

from __future__ import annotations

import re
from typing import Any

from moto.ec2.models.instances import Instance

from deployments.sandbox.ec2_network import groups_for
from deployments.sandbox.operations import Call, operation
from deployments.sandbox.wire import Answer, AwsError

_INSTANCE_ID = re.compile(r"^i-([0-9a-f]{8}|[0-9a-f]{17})$")


@operation(
    "ec2",
    "DescribeInstances",
    "DescribeInstanceStatus",
    "StartInstances",
    "StopInstances",
    "RebootInstances",
    "TerminateInstances",
    "ModifyInstanceMetadataOptions",
)
def with_instance_ids(call: Call) -> Answer:
    """Refuse what cannot be an instance id before looking for it; for the rest these calls are moto's."""
    _check_ids(call)
    return call.forward()


@operation("ec2", "DescribeInstanceAttribute")
def describe_instance_attribute(call: Call) -> dict[str, Any] | Answer:
    """One attribute of an instance; its block devices, which moto leaves out, too."""
    _check_ids(call)
    if call.params["Attribute"] != "blockDeviceMapping":
        return call.forward()
    instance = call.world.ec2.get_instance(call.params["InstanceId"])
    devices = [
        {
            "DeviceName": path,
            "Ebs": {
                "VolumeId": device.volume_id,
                "Status": "attached",
                "AttachTime": device.attach_time,
                "DeleteOnTermination": device.delete_on_termination,
            },
        }
        for path, device in instance.get_block_device_mapping
    ]
    return {"InstanceId": instance.id, "BlockDeviceMappings": devices}


@operation("ec2", "ModifyInstanceAttribute")
def modify_instance_attribute(call: Call) -> dict[str, Any] | Answer:
    """Groups only on an instance with one interface; the shutdown behaviour, which moto lacks; the rest is moto's."""
    _check_ids(call)
    instance = call.world.ec2.get_instance(call.params["InstanceId"])
    if call.params.get("Groups"):
        _set_groups(call, instance)
        return {}
    behaviour = call.params.get("InstanceInitiatedShutdownBehavior")
    if behaviour:
        instance.instance_initiated_shutdown_behavior = _shutdown_behaviour(behaviour)
        return {}
    for mapping in call.params.get("BlockDeviceMappings") or []:
        if mapping.get("DeviceName") not in instance.block_device_mapping:
            raise AwsError(
                "InvalidInstanceAttributeValue", f"No device is currently mapped at {mapping.get('DeviceName')}"
            )
    return call.forward()


@operation("ec2", "RunInstances")
def run_instances(call: Call) -> dict[str, Any] | Answer:
    """The same client token gives the same instances, and other parameters with it are refused."""
    request = {name: value for name, value in call.params.items() if name != "ClientToken"}
    token = call.params.get("ClientToken")
    if token and token in call.world.launch_tokens:
        reservation_id, first_request = call.world.launch_tokens[token]
        if request != first_request:
            raise AwsError(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            )
        return _reservation(call, reservation_id)
    image_id = call.params.get("ImageId")
    if image_id and image_id not in call.world.ec2.amis:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    launched = call.moto()
    if token:
        call.world.launch_tokens[token] = (launched["ReservationId"], request)
    return launched


def _check_ids(call: Call) -> None:
    ids = call.params.get("InstanceIds") or [call.params.get("InstanceId")]
    for one in ids:
        if one and not _INSTANCE_ID.match(one) and call.world.instance(one) is None:
            raise AwsError("InvalidInstanceID.Malformed", f'Invalid id: "{one}"')


def _set_groups(call: Call, instance: Instance) -> None:
    if len(instance.nics) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance.id}'."
            " Please specify an interface ID for the operation instead.",
        )
    instance.security_groups = groups_for(call, call.params["Groups"], instance.vpc_id or "")


def _shutdown_behaviour(given: Any) -> str:
    value = given.get("Value") if isinstance(given, dict) else given
    if value not in ("stop", "terminate"):
        raise AwsError(
            "InvalidParameterValue", f"Value ({value}) for parameter instanceInitiatedShutdownBehavior is invalid."
        )
    return value


def _reservation(call: Call, reservation_id: str) -> dict[str, Any]:
    reservation = call.world.ec2.reservations[reservation_id]
    return {
        "ReservationId": reservation.id,
        "OwnerId": call.account,
        "Instances": [_launched(instance) for instance in reservation.instances],
    }


def _launched(instance: Instance) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "ImageId": instance.image_id,
        "InstanceType": instance.instance_type,
        "State": {"Code": instance.state_code, "Name": instance.state},
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "LaunchTime": instance.launch_time,
        "PrivateIpAddress": instance.private_ip_address,
        "SecurityGroups": [{"GroupId": group.id, "GroupName": group.name} for group in instance.security_groups],
        "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in instance.get_tags()],
    }
