"""The sandbox with the instances of one response in it, as they are described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House
from tests.tasks.reversibility.descriptions import QUARANTINED, Course, Owned, Size

SUSPECTED = "remediation:compromise-suspected"
QUARANTINE = "remediation-quarantine-0123abcd"
NETWORKS = (("vpc-0feedc0de", "subnet-0feedc0de"), ("vpc-0feedc1de", "subnet-0feedc1de"))
PORTS = {"front": 443, "back": 8443}


def instance_id(number: int) -> str:
    return f"i-{number:017x}"


def build(house: House, instances: Sequence[Owned], course: Course) -> list[str]:
    """Furnish them all; gives their ids."""
    ids = [instance_id(number) for number, _ in enumerate(instances, start=1)]
    members = Counter(name for each in instances if (name := scaling_group(each)) and not _on_standby(each))
    for number, each in enumerate(instances, start=1):
        event = _event(number, each)
        house.furnish(event, **_options(each, course, members))
    _take_out_by_hand(house, instances, ids)
    return ids


def scaling_group(each: Owned) -> str | None:
    """An Auto Scaling group is in one VPC."""
    return f"{each.scaling.group}-{each.network}" if each.scaling is not None else None


def _on_standby(each: Owned) -> bool:
    return each.scaling is not None and each.scaling.standby


def _event(number: int, each: Owned) -> dict[str, Any]:
    event = an_event(instance_id(number), number, in_group=True)
    resource = event["detail"]["resources"][0]
    details = resource["details"]["awsEc2Instance"]
    details["vpcId"], details["subnetId"] = NETWORKS[each.network]
    if each.address != "none":
        details["ipV4Addresses"].append(f"198.51.100.{number}")
    del resource["tags"]["aws:autoscaling:groupName"]
    if group := scaling_group(each):
        resource["tags"]["aws:autoscaling:groupName"] = group
    return event


def _options(each: Owned, course: Course, members: Counter[str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tags": {SUSPECTED: "the test"},
        "exposed": each.address != "none",
        "elastic_address": each.address == "elastic",
        "interfaces": len(each.interfaces),
        "groups": tuple(
            (QUARANTINE,) if groups == (QUARANTINED,) else tuple(f"group-{number}" for number in groups)
            for groups in each.interfaces
        ),
        "elsewhere": each.elsewhere,
        "volumes": len(each.volumes),
        "deleted_volumes": each.volumes,
        "termination_protection": each.protected,
        "shutdown_behavior": each.shutdown,
        "stopped": each.stopped,
        "more_targets": {
            name: tuple(port for group, port in each.targets if group == name)
            for name in dict.fromkeys(name for name, _ in each.targets)
        },
        "target_group": False,
    }
    if each.scaling is not None:
        size = course.sizes[each.scaling.group]
        options |= {
            "auto_scaling": _size(size, members[scaling_group(each) or ""], counted=not each.scaling.standby)
            | {"protected": each.scaling.protected, "standby": each.scaling.standby},
            "target_group": size.balanced,
            "port": PORTS[each.scaling.group],
        }
    return options


def _size(size: Size, members: int, *, counted: bool) -> dict[str, Any]:
    """The group when its last member has joined: it wants them all, and the others."""
    return {
        "minimum": min(size.minimum, members),
        "desired": counted + size.others,
        "maximum": members + size.others + size.room,
        "protects_new": size.protects_new,
    }


def _take_out_by_hand(house: House, instances: Sequence[Owned], ids: Sequence[str]) -> None:
    balancer = house.client("elbv2")
    for one, each, built in zip(ids, instances, house.built, strict=True):
        scaling, group = each.scaling, built["target_group_arn"]
        if scaling is not None and group and not scaling.registered and not scaling.standby:
            target = {"Id": one, "Port": PORTS[scaling.group]}
            balancer.deregister_targets(TargetGroupArn=group, Targets=[target])
