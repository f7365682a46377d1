"""The same work as a response by boto3 alone: batched, one call after the other, and nothing written down.

It asks of each instance what AWS tells of one at a time only, as often as a response does: before anything is decided,
before it is changed, and before it is put back. Everything else is read once, in bulk, and believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import boto3

from runbooks.finding import Finding

Wait = Callable[[], None]


def bare(region: str, role: str, findings: Sequence[Finding], bucket: str, wait: Wait) -> None:
    """Contain, patch, verify and release every instance of the findings.

    Args:
        role: the ARN of the one role it acts under.
        wait: called while something is waited for.
    """
    given = boto3.client("sts", region_name=region).assume_role(RoleArn=role, RoleSessionName="bare")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region)
    clients = {name: session.client(name) for name in ("ec2", "ssm", "s3", "inspector2")}
    ids = [each.resource.id for each in findings]
    found = list(_instances(clients["ec2"], ids))
    if len(found) != len(ids):
        raise SystemExit(f"the bare script found {len(found)} of {len(ids)} instances")
    _packages(clients["ssm"], ids)
    protected = {one: _attribute(clients["ec2"], one, "disableApiTermination") for one in ids}
    for one in ids:
        _attribute(clients["ec2"], one, "instanceInitiatedShutdownBehavior")
    quarantine = _contain(clients["ec2"], found)
    _patch(clients["ssm"], clients["s3"], ids, bucket, wait)
    _verify(clients, [each.arn for each in findings], ids, wait)
    _release(clients["ec2"], found, protected, quarantine)


def _instances(ec2: Any, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for portion in _portions(ids, 200):
        filters = [{"Name": "instance-id", "Values": portion}]
        for page in ec2.get_paginator("describe_instances").paginate(Filters=filters):
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]


def _attribute(ec2: Any, one: str, name: str) -> Any:
    answer = ec2.describe_instance_attribute(InstanceId=one, Attribute=name)
    return answer[name[0].upper() + name[1:]].get("Value")


def _packages(ssm: Any, ids: Sequence[str]) -> None:
    for one in ids:
        ssm.list_inventory_entries(InstanceId=one, TypeName="AWS:Application", MaxResults=50)


def _contain(ec2: Any, found: Sequence[dict[str, Any]]) -> str:
    group = ec2.create_security_group(GroupName="bare-quarantine", Description="-", VpcId=found[0]["VpcId"])["GroupId"]
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    web = [
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        for port in (80, 443)
    ]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything])
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=web)
    for each in found:
        one = each["InstanceId"]
        _attribute(ec2, one, "disableApiTermination")
        ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
        ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=_mappings(each, deleted=False))
        marks = [{"ResourceType": "snapshot", "Tags": [{"Key": "evidence", "Value": one}]}]
        ec2.create_snapshots(InstanceSpecification={"InstanceId": one}, TagSpecifications=marks)
        for interface in each["NetworkInterfaces"]:
            ec2.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=[group])
    return str(group)


def _patch(ssm: Any, s3: Any, ids: Sequence[str], bucket: str, wait: Wait) -> None:
    s3.put_object(Bucket=bucket, Key="bare.yaml", Body=b"patches:\n- id: libssl3.arm64\n  title: '*'\n")
    commands = []
    for portion in _portions(ids, 50):
        parameters = {"Operation": ["Install"], "InstallOverrideList": [f"s3://{bucket}/bare.yaml"]}
        answer = ssm.send_command(InstanceIds=portion, DocumentName="AWS-RunPatchBaseline", Parameters=parameters)
        commands.append(answer["Command"]["CommandId"])
    wait()
    for command in commands:
        while not _ended(ssm, command):
            wait()


def _ended(ssm: Any, command: str) -> bool:
    found = {each["Status"] for each in ssm.list_command_invocations(CommandId=command)["CommandInvocations"]}
    if "Failed" in found:
        raise SystemExit("the bare script's patch failed")
    return found == {"Success"}


def _verify(clients: dict[str, Any], arns: Sequence[str], ids: Sequence[str], wait: Wait) -> None:
    ssm, inspector = clients["ssm"], clients["inspector2"]
    association = ssm.list_associations()["Associations"][0]["AssociationId"]
    ssm.start_associations_once(AssociationIds=[association])
    wait()
    while any(status == "ACTIVE" for status in _statuses(inspector, arns)):
        wait()
    for portion in _portions(ids, 10):
        inspector.list_coverage(filterCriteria={"resourceId": _equals(portion)})
    _packages(ssm, ids)


def _statuses(inspector: Any, arns: Sequence[str]) -> Iterator[str]:
    for portion in _portions(arns, 10):
        answer = inspector.list_findings(filterCriteria={"findingArn": _equals(portion)})
        yield from (each["status"] for each in answer["findings"])


def _release(ec2: Any, found: Sequence[dict[str, Any]], protected: dict[str, Any], quarantine: str) -> None:
    for each in found:
        one = each["InstanceId"]
        for interface in each["NetworkInterfaces"]:
            groups = [group["GroupId"] for group in interface["Groups"] if group["GroupId"] != quarantine]
            ec2.modify_network_interface_attribute(NetworkInterfaceId=interface["NetworkInterfaceId"], Groups=groups)
        ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=_mappings(each, deleted=True))
        _attribute(ec2, one, "disableApiTermination")
        ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": protected[one]})


def _mappings(each: dict[str, Any], *, deleted: bool) -> list[dict[str, Any]]:
    going = [one["DeviceName"] for one in each["BlockDeviceMappings"] if one["Ebs"]["DeleteOnTermination"]]
    return [{"DeviceName": device, "Ebs": {"DeleteOnTermination": deleted}} for device in going]


def _equals(values: Sequence[str]) -> list[dict[str, str]]:
    return [{"comparison": "EQUALS", "value": value} for value in values]


def _portions(items: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
