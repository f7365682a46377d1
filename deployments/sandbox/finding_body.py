"""A finding as Inspector's API tells it, from a payload of any origin and from what the instance is now."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import get_session
from moto.ec2.models.instances import Instance

from deployments.sandbox.world import Finding, World

_JAVA_DATE = re.compile(r"^\w{3} (\w{3} \d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)?) UTC (\d{4})$")
_US_DATE = "%b %d, %Y, %I:%M:%S %p"
_OF_THE_INSTANCE = ("findingArn", "awsAccountId", "status", "resources")
_TIMES = ("firstObservedAt", "lastObservedAt", "updatedAt")


def advisory_body(finding: dict[str, Any]) -> dict[str, Any]:
    """The members of a finding that do not depend on the instance, as the API's model has them."""
    model = get_session().get_service_model("inspector2")
    body = _as_modelled(model.shape_for("Finding"), finding)
    for name in (*_OF_THE_INSTANCE, *_TIMES):
        body.pop(name, None)
    body.setdefault("severity", "HIGH")
    body.setdefault("type", "PACKAGE_VULNERABILITY")
    body.setdefault("description", "")
    body.setdefault("remediation", {"recommendation": {"text": "None Provided"}})
    return body


def describe_finding(world: World, finding: Finding) -> dict[str, Any]:
    """The finding as ListFindings shows it now."""
    entry = copy.deepcopy(finding.advisory.body)
    entry |= {
        "findingArn": finding.arn,
        "awsAccountId": world.account,
        "status": finding.status,
        "firstObservedAt": finding.first_observed_at,
        "lastObservedAt": finding.last_observed_at,
        "updatedAt": finding.updated_at,
        "resources": [_resource(world, finding)],
    }
    return entry


def instance_details(entry: dict[str, Any]) -> dict[str, Any]:
    """The EC2 details of a finding's resource."""
    return (entry["resources"][0].get("details") or {}).get("awsEc2Instance") or {}


def parse_time(text: str) -> datetime:
    """A moment in any of the forms Inspector's events and samples use, taken as UTC.

    Raises:
        ValueError: it is none of these forms.
    """
    java = _JAVA_DATE.match(text)
    if java:
        form = "%b %d %H:%M:%S.%f %Y" if "." in java[1] else "%b %d %H:%M:%S %Y"
        return datetime.strptime(f"{java[1]} {java[2]}", form).replace(tzinfo=UTC)
    if text[:3].isalpha():
        return datetime.strptime(text.replace("\u202f", " "), _US_DATE).replace(tzinfo=UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _resource(world: World, finding: Finding) -> dict[str, Any]:
    instance = world.instance(finding.instance_id)
    resource: dict[str, Any] = {
        "id": finding.instance_id,
        "type": "AWS_EC2_INSTANCE",
        "partition": "aws",
        "region": world.region,
    }
    if instance is not None:
        resource["tags"] = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        resource["details"] = {"awsEc2Instance": _details(instance, world.nodes[instance.id].platform.code)}
    return resource


def _details(instance: Instance, platform: str) -> dict[str, Any]:
    nics = list(instance.nics.values())
    addresses = [nic.private_ip_address for nic in nics] + [nic.public_ip for nic in nics if nic.public_ip]
    details: dict[str, Any] = {
        "type": instance.instance_type,
        "imageId": instance.image_id,
        "vpcId": instance.vpc_id,
        "subnetId": instance.subnet_id,
        "platform": platform,
        "launchedAt": instance.launch_time,
        "ipV4Addresses": addresses,
        "ipV6Addresses": [address for nic in nics for address in nic.ipv6_addresses],
    }
    if instance.iam_instance_profile:
        details["iamInstanceProfileArn"] = instance.iam_instance_profile["Arn"]
    if instance.key_name:
        details["keyName"] = instance.key_name
    return details


def _as_modelled(shape: Shape, value: Any) -> Any:
    """The value with only the members the model knows, and its times as times."""
    if isinstance(shape, StructureShape):
        members = value if isinstance(value, dict) else {}
        return {name: _as_modelled(shape.members[name], one) for name, one in members.items() if name in shape.members}
    if isinstance(shape, ListShape):
        return [_as_modelled(shape.member, one) for one in value or []]
    if isinstance(shape, MapShape):
        return dict(value or {})
    if shape.type_name == "timestamp":
        return _as_time(value)
    return value


def _as_time(value: str | float | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    return parse_time(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
