"""The steps that contain an instance, and those that put it back."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Literal

from runbooks.instance import Rule
from runbooks.steps.base import Role, Step

OPERATION_TAG = "remediation-runbooks:operation"
"""The tag that marks what an act made, with the act's operation id."""
EVERYTHING = (Rule(protocol="-1", peer="0.0.0.0/0"), Rule(protocol="-1", peer="::/0"))
"""Rules for all traffic, IPv4 and IPv6."""


class EnsureQuarantineGroup(Step):
    """Make sure that the VPC has the quarantine group, with exactly the plan's rules."""

    kind: Literal["ensure-quarantine-group"] = "ensure-quarantine-group"
    calls: ClassVar = (
        "ec2:CreateSecurityGroup",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    permissions: ClassVar = (
        "ec2:DescribeSecurityGroups",
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    role: ClassVar = Role.CONTAIN
    undo_reason: ClassVar = (
        "the group is empty of members after the release and serves the next containment in this VPC"
    )

    purpose: ClassVar = "Quarantine: nothing comes in, and only what a plan named goes out"
    ingress: ClassVar[tuple[Rule, ...]] = ()

    vpc: str
    name: str
    egress: tuple[Rule, ...]
    """The only traffic that a quarantined interface may start; there is never an ingress rule."""

    def describe(self) -> str:
        ways = ", ".join(f"{rule.protocol}/{rule.from_port} to {rule.peer}" for rule in self.egress) or "no way out"
        return f"Have security group {self.name} in {self.vpc}: nothing comes in; out: {ways}"

    def expectation(self) -> str:
        return "no group of this name in the VPC, or one with exactly these rules"


class EnsureOpenGroup(Step):
    """Make sure that the VPC has the open group: all traffic in and out, IPv4 and IPv6.

    Flows that such rules let through in both directions are not tracked, and end at once when the rules go (EC2 user
    guide, "Amazon EC2 security group connection tracking").
    """

    kind: Literal["ensure-open-group"] = "ensure-open-group"
    calls: ClassVar = (
        "ec2:CreateSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    permissions: ClassVar = (
        "ec2:DescribeSecurityGroups",
        "ec2:CreateSecurityGroup",
        "ec2:CreateTags",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
    )
    role: ClassVar = Role.CONTAIN
    undo_reason: ClassVar = "no interface stays in the group, and it serves the next containment in this VPC"
    purpose: ClassVar = "Open: interfaces pass through it so that their connections are cut, and never stay"
    ingress: ClassVar[tuple[Rule, ...]] = EVERYTHING
    egress: ClassVar[tuple[Rule, ...]] = EVERYTHING

    vpc: str
    name: str

    def describe(self) -> str:
        return (
            f"Have security group {self.name} in {self.vpc}: everything comes in and goes out; "
            "an interface only passes through it, so that its connections are cut"
        )

    def expectation(self) -> str:
        return "no group of this name in the VPC, or one with exactly these rules"


class DetachFromAutoScaling(Step):
    """Take the instance out of its Auto Scaling group before its health check can terminate it."""

    kind: Literal["detach-from-auto-scaling-group"] = "detach-from-auto-scaling-group"
    calls: ClassVar = ("autoscaling:DetachInstances",)
    permissions: ClassVar = ("autoscaling:DescribeAutoScalingInstances", "autoscaling:DetachInstances")
    role: ClassVar = Role.CONTAIN
    essential: ClassVar = False

    group: str
    decrement: bool
    """True: desired capacity falls by one. False: the group launches a replacement at once."""
    room_to_return: bool
    """Whether the group's maximum leaves room to attach the instance again."""
    on_standby: bool = False
    """Whether the group does not count the instance: it launches no replacement, and attached it would serve."""
    protected: bool = False
    """Whether it is protected from scale-in, which it loses (EC2 Auto Scaling user guide, scale-in protection)."""

    @property
    def undo(self) -> Step | None:
        return AttachToAutoScaling(
            target=self.target, cases=self.cases, group=self.group, protected=self.protected, undoes=True
        )

    def describe(self) -> str:
        then = "its desired capacity falls by one" if self.decrement else "the group launches a replacement"
        then = "it is on standby there, so nothing takes its place" if self.on_standby else then
        return f"Detach {self.target.id} from Auto Scaling group {self.group}; {then}"

    def expectation(self) -> str:
        return f"the instance is {'on standby' if self.on_standby else 'in service'} in {self.group}"


class AttachToAutoScaling(Step):
    """Put the instance back into its Auto Scaling group, as protected from scale-in as it was.

    Attached, it has the group's setting of that protection, which can be changed once it is in service (EC2 Auto
    Scaling user guide, "Use instance scale-in protection").
    """

    kind: Literal["attach-to-auto-scaling-group"] = "attach-to-auto-scaling-group"
    calls: ClassVar = ("autoscaling:AttachInstances", "autoscaling:SetInstanceProtection")
    permissions: ClassVar = (
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:AttachInstances",
        "autoscaling:SetInstanceProtection",
    )
    role: ClassVar = Role.RESTORE
    finishes_later: ClassVar = True
    undo_reason: ClassVar = "it is itself an undo"

    group: str
    protected: bool = False

    def describe(self) -> str:
        protected = ", and it is protected from scale-in" if self.protected else ""
        return (
            f"Attach {self.target.id} to Auto Scaling group {self.group} again; its desired capacity rises by one"
            f"{protected}"
        )

    def expectation(self) -> str:
        return f"the instance is in no Auto Scaling group and {self.group} is below its maximum"


class DeregisterTarget(Step):
    """Take the instance out of a load balancer's target group."""

    kind: Literal["deregister-target"] = "deregister-target"
    calls: ClassVar = ("elasticloadbalancing:DeregisterTargets",)
    permissions: ClassVar = (
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DeregisterTargets",
    )
    role: ClassVar = Role.CONTAIN
    essential: ClassVar = False

    target_group: str
    port: int
    after_detachment: bool = False
    """Leaving the Auto Scaling group deregisters the instance from the group's own target groups."""

    @property
    def follows(self) -> bool:
        return self.after_detachment

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.id}:{short_arn(self.target_group)}:{self.port}"

    @property
    def undo(self) -> Step | None:
        return RegisterTarget(
            target=self.target, cases=self.cases, target_group=self.target_group, port=self.port, undoes=True
        )

    def describe(self) -> str:
        return f"Deregister {self.target.id}:{self.port} from target group {short_arn(self.target_group)}"

    def expectation(self) -> str:
        return "the instance is registered with this port"


class RegisterTarget(Step):
    """Put the instance back into a target group."""

    kind: Literal["register-target"] = "register-target"
    calls: ClassVar = ("elasticloadbalancing:RegisterTargets",)
    permissions: ClassVar = ("elasticloadbalancing:DescribeTargetHealth", "elasticloadbalancing:RegisterTargets")
    role: ClassVar = Role.RESTORE
    undo_reason: ClassVar = "it is itself an undo"

    target_group: str
    port: int

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.id}:{short_arn(self.target_group)}:{self.port}"

    def describe(self) -> str:
        return f"Register {self.target.id}:{self.port} with target group {short_arn(self.target_group)} again"

    def expectation(self) -> str:
        return "the instance is not registered, or still draining"


class SetInstanceAttribute(Step):
    """Set one attribute of the instance that protects it as evidence."""

    kind: Literal["set-instance-attribute"] = "set-instance-attribute"
    calls: ClassVar = ("ec2:ModifyInstanceAttribute",)
    permissions: ClassVar = ("ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute")
    role: ClassVar = Role.CONTAIN
    essential: ClassVar = False
    evidence: ClassVar = True

    attribute: Literal["disableApiTermination", "instanceInitiatedShutdownBehavior"]
    expects: bool | str
    leaves: bool | str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.target.id}:{self.attribute}"

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def describe(self) -> str:
        return f"Set {self.attribute} of {self.target.id} to {in_words(self.leaves)}"

    def expectation(self) -> str:
        return f"{self.attribute} is {in_words(self.expects)}"


class SetDeleteOnTermination(Step):
    """Say for each volume whether it goes when the instance is terminated."""

    kind: Literal["set-delete-on-termination"] = "set-delete-on-termination"
    calls: ClassVar = ("ec2:ModifyInstanceAttribute",)
    permissions: ClassVar = ("ec2:DescribeInstances", "ec2:ModifyInstanceAttribute")
    role: ClassVar = Role.CONTAIN
    essential: ClassVar = False
    evidence: ClassVar = True

    expects: dict[str, bool]
    """Device name -> DeleteOnTermination."""
    leaves: dict[str, bool]

    @property
    def undo(self) -> Step | None:
        return self.exchanged()

    def of(self, devices: Collection[str]) -> SetDeleteOnTermination:
        """The same of these devices alone."""
        values = {
            name: {device: value for device, value in getattr(self, name).items() if device in devices}
            for name in ("expects", "leaves")
        }
        return self.model_copy(update=values)

    def describe(self) -> str:
        each = ", ".join(f"{device}: {'deleted' if gone else 'kept'}" for device, gone in self.leaves.items())
        return f"Volumes of {self.target.id} when it is terminated: {each}"

    def expectation(self) -> str:
        return ", ".join(f"{device}: {'deleted' if gone else 'kept'}" for device, gone in self.expects.items())


class CreateSnapshots(Step):
    """Request snapshots of all volumes, crash-consistent together; their completion is not waited for."""

    kind: Literal["create-snapshots"] = "create-snapshots"
    calls: ClassVar = ("ec2:CreateSnapshots",)
    permissions: ClassVar = ("ec2:DescribeSnapshots", "ec2:CreateSnapshots", "ec2:CreateTags")
    role: ClassVar = Role.CONTAIN
    essential: ClassVar = False
    evidence: ClassVar = True
    undo_reason: ClassVar = "snapshots are evidence; a person deletes them when the case no longer needs them"

    volumes: tuple[str, ...]

    def describe(self) -> str:
        return f"Snapshot every volume of {self.target.id} as evidence: {', '.join(self.volumes)}"

    def expectation(self) -> str:
        return "no snapshots of this operation yet"


class SwapSecurityGroups(Step):
    """Replace the ordered security groups of one interface."""

    kind: Literal["swap-security-groups"] = "swap-security-groups"
    calls: ClassVar = ("ec2:ModifyNetworkInterfaceAttribute",)
    permissions: ClassVar = (
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:ModifyNetworkInterfaceAttribute",
    )
    role: ClassVar = Role.CONTAIN

    vpc: str
    expects: tuple[str, ...]
    """Group ids, in order. `@name` stands for the group of that name in the interface's VPC."""
    leaves: tuple[str, ...]
    via: str | None = None
    """An open group to pass through, so that tracked connections become untracked and are cut; never rested on."""
    may_rest_on: str | None = None
    """Of an undo: the open group on which a swap that was cut short may have left the interface."""

    @property
    def undo(self) -> Step | None:
        return self.exchanged(via=None, may_rest_on=self.via or self.may_rest_on)

    def describe(self) -> str:
        passing = f" by way of {self.via}" if self.via else ""
        return (
            f"Interface {self.target.id}: security groups {listed(self.expects)} become {listed(self.leaves)}{passing}"
        )

    def expectation(self) -> str:
        return f"groups {listed(self.expects)}, in this order"


class StopInstance(Step):
    """Stop the instance. Memory is lost; an address that is not elastic is lost."""

    kind: Literal["stop-instance"] = "stop-instance"
    calls: ClassVar = ("ec2:StopInstances",)
    permissions: ClassVar = ("ec2:DescribeInstances", "ec2:StopInstances")
    role: ClassVar = Role.CONTAIN
    finishes_later: ClassVar = True

    @property
    def undo(self) -> Step | None:
        return StartInstance(target=self.target, cases=self.cases, undoes=True)

    def describe(self) -> str:
        return f"Stop {self.target.id}"

    def expectation(self) -> str:
        return "the instance is running"


class StartInstance(Step):
    """Start a stopped instance."""

    kind: Literal["start-instance"] = "start-instance"
    calls: ClassVar = ("ec2:StartInstances",)
    permissions: ClassVar = ("ec2:DescribeInstances", "ec2:StartInstances")
    role: ClassVar = Role.RESTORE
    finishes_later: ClassVar = True
    undo_reason: ClassVar = "it is itself an undo"

    def describe(self) -> str:
        return f"Start {self.target.id}"

    def expectation(self) -> str:
        return "the instance is stopped"


def short_arn(arn: str) -> str:
    """The name part of an ARN, for reading: `targetgroup/web/0123` -> `web`."""
    parts = arn.rsplit(":", maxsplit=1)[-1].split("/")
    return parts[1] if len(parts) > 1 else parts[0]


def listed(groups: tuple[str, ...]) -> str:
    return "[" + ", ".join(group.removeprefix("@") for group in groups) + "]"


def in_words(value: bool | str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value
