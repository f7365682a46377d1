"""What there is to see of a house afterwards: the instance, what was made, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runbooks.case import response_stream
from runbooks.chain import UnknownRecord
from runbooks.plan import Plan
from runbooks.records import Record
from runbooks.steps import AnyStep
from tests.tasks.gateways.aws_world import INSTANCE
from tests.tasks.harness import House

DESCRIBED = (
    "interfaces: the ordered security groups of each",
    "disableApiTermination and instanceInitiatedShutdownBehavior",
    "DeleteOnTermination of each volume",
    "targets: port and whether it is served, by target group",
    "Auto Scaling: the group, its minimum, desired and maximum, and its members",
)
"""What `described` compares: everything of an instance that containing it changes and releasing it puts back."""


def described(house: House, instance: str = INSTANCE) -> dict[str, Any]:
    """The instance as AWS describes it now, read by the test's own clients."""
    ec2, elb, scaling = (house.client(each) for each in ("ec2", "elbv2", "autoscaling"))
    raw = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    attached = [{"Name": "attachment.instance-id", "Values": [instance]}]
    interfaces = ec2.describe_network_interfaces(Filters=attached)["NetworkInterfaces"]
    targets = [group["TargetGroupArn"] for group in elb.describe_target_groups()["TargetGroups"]]
    healths = {arn: elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] for arn in targets}
    return {
        "interfaces": {each["NetworkInterfaceId"]: [one["GroupId"] for one in each["Groups"]] for each in interfaces},
        "disableApiTermination": _attribute(ec2, instance, "disableApiTermination"),
        "instanceInitiatedShutdownBehavior": _attribute(ec2, instance, "instanceInitiatedShutdownBehavior"),
        "volumes": {each["DeviceName"]: each["Ebs"]["DeleteOnTermination"] for each in raw["BlockDeviceMappings"]},
        "targets": {
            arn: sorted(
                (one["Target"]["Port"], one["TargetHealth"]["State"] not in ("draining", "unused"))
                for one in of
                if one["Target"]["Id"] == instance
            )
            for arn, of in healths.items()
        },
        "auto_scaling": {
            group["AutoScalingGroupName"]: (
                group["MinSize"],
                group["DesiredCapacity"],
                group["MaxSize"],
                sorted((one["InstanceId"], one["LifecycleState"]) for one in group["Instances"]),
            )
            for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        },
    }


def effects(house: House) -> dict[str, dict[str, int]]:
    """How often each thing was made of which there may be one: by volume, by operation, by name in its VPC."""
    ec2, ssm = house.client("ec2"), house.client("ssm")
    snapshots = ec2.describe_snapshots(Filters=[{"Name": "tag-key", "Values": ["remediation-runbooks:operation"]}])
    groups = ec2.describe_security_groups()["SecurityGroups"]
    name = house.runbook.contain.quarantine.group_name
    return {
        "snapshots": _counted(each["VolumeId"] for each in snapshots["Snapshots"]),
        "commands": _counted(
            each["Comment"]
            for each in ssm.list_commands()["Commands"]
            if each["DocumentName"] == "AWS-RunPatchBaseline"
        ),
        "groups": _counted(
            f"{each['VpcId']}/{each['GroupName']}" for each in groups if each["GroupName"].startswith(name)
        ),
    }


def intents_open(house: House) -> list[AnyStep]:
    """The steps that were written down as intended and have no outcome yet."""
    history = house.history()
    return [
        step
        for plan in history.plans.values()
        for step in plan.steps
        if plan.operation(step) in history.intents and plan.operation(step) not in history.outcomes
    ]


def of_kind(plan: Plan, kind: str) -> tuple[AnyStep, ...]:
    return next(stage for stage in plan.stages() if stage[0].kind == kind)


def statuses_of(house: House, plan: Plan) -> dict[str, str]:
    return {key: outcome.status for key, outcome in house.history().step_outcomes(plan).items()}


def records_of(house: House) -> list[Record | UnknownRecord]:
    return [entry.record() for entry in house.ledger.entries(response_stream(house.response))]


def _attribute(ec2: Any, instance: str, name: str) -> Any:
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    return answer[name[0].upper() + name[1:]]["Value"]


def _counted(keys: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts
