"""What is known of an EC2 instance when decisions are made about it: facts read from AWS, in our words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runbooks.model import Model


class Rule(Model):
    """One security group rule towards one peer. Ports are inclusive; None means every port of the protocol."""

    protocol: str
    """tcp, udp, icmp, icmpv6, a protocol number, or -1 for all."""
    from_port: int | None = None
    to_port: int | None = None
    peer: str
    """A CIDR (IPv4 or IPv6), a security group id (sg-...) or a prefix list id (pl-...)."""

    def covers(self, port: int) -> bool:
        """Whether a TCP connection to `port` fits this rule."""
        if self.protocol not in ("tcp", "6", "-1"):
            return False
        return self.from_port is None or self.to_port is None or self.from_port <= port <= self.to_port


class SecurityGroup(Model):
    id: str
    name: str
    vpc: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()


class AclEntry(Model):
    """One network ACL entry; the lowest number that matches decides."""

    number: int
    allow: bool
    egress: bool
    protocol: str
    from_port: int | None = None
    to_port: int | None = None
    cidr: str


class Subnet(Model):
    """A subnet with what decides whether the internet reaches into it."""

    id: str
    vpc: str
    internet_gateway: str | None = None
    """The internet gateway that its default IPv4 route leads to."""
    internet_gateway_ipv6: str | None = None
    nat_gateway: str | None = None
    """The NAT gateway (or other way out) that its default IPv4 route leads to."""
    acl: tuple[AclEntry, ...] = ()


class Interface(Model):
    """One network interface; `groups` in the order AWS gives them."""

    id: str
    device_index: int
    subnet: str
    vpc: str
    groups: tuple[str, ...]
    private_address: str | None = None
    public_address: str | None = None
    elastic: bool = False
    """Whether the public address is an Elastic IP (it survives a stop)."""
    ipv6_addresses: tuple[str, ...] = ()


class Volume(Model):
    id: str
    device: str
    delete_on_termination: bool


class AutoScalingMembership(Model):
    """The instance's place in an Auto Scaling group, and what a replacement would be made from."""

    group: str
    lifecycle_state: str
    minimum: int
    maximum: int
    desired: int
    in_service: int | None = None
    """How many of the group's instances are in service; None where nobody counted."""
    protected_from_scale_in: bool = False
    launch_template: str | None = None
    launch_template_version: str | None = None
    template_followers: tuple[str, ...] = ()
    """Other groups that take every new version of the launch template by themselves (`$Latest`)."""
    image: str | None = None
    """The AMI a replacement would start from."""
    target_groups: tuple[str, ...] = ()
    """ARNs of the target groups in which the group registers its instances, and from which it takes them."""


class TargetRegistration(Model):
    target_group: str
    """Target group ARN."""
    port: int
    load_balancer: str | None = None
    """ARN of a load balancer that sends to this target group."""
    internet_facing: bool = False
    """Whether one of its load balancers has the scheme `internet-facing`."""
    instances: int = 0
    """How many instances the target group sends to; 0 where nobody counted."""


class Endpoint(Model):
    """A VPC endpoint: a private way to an AWS service."""

    id: str
    service: str
    """Short service name: ssm, ssmmessages, ec2messages, s3, ..."""
    kind: Literal["Interface", "Gateway"]
    groups: tuple[str, ...] = ()
    prefix_list: str | None = None


class ManagedNode(Model):
    """What Systems Manager says of the instance."""

    ping_status: str
    """Online, ConnectionLost or Inactive (DescribeInstanceInformation)."""
    platform_name: str | None = None
    platform_version: str | None = None


class InstalledPackage(Model):
    name: str
    version: str
    """Full version as the package manager writes it: [epoch:]version[-release]."""
    architecture: str | None = None


class Inventory(Model):
    """The instance's packages, as SSM inventory last captured them."""

    packages: tuple[InstalledPackage, ...]
    captured_at: datetime | None = None

    def version_of(self, name: str) -> str | None:
        return next((package.version for package in self.packages if package.name == name), None)


class Instance(Model):
    """An EC2 instance as DescribeInstances and its neighbours show it."""

    account: str
    region: str
    id: str
    state: str
    image: str
    type: str
    architecture: str = "x86_64"
    availability_zone: str | None = None
    platform: str = "linux"
    profile: str | None = None
    """Instance profile ARN."""
    metadata_tokens: str = "optional"
    """IMDS HttpTokens: `required` means IMDSv2 only."""
    lifecycle: str = "on-demand"
    termination_protection: bool = False
    shutdown_behavior: str = "stop"
    tags: dict[str, str] = Field(default_factory=dict)
    interfaces: tuple[Interface, ...] = ()
    volumes: tuple[Volume, ...] = ()
    auto_scaling: AutoScalingMembership | None = None
    targets: tuple[TargetRegistration, ...] = ()

    @property
    def vpc(self) -> str | None:
        return self.interfaces[0].vpc if self.interfaces else None

    @property
    def name(self) -> str:
        return self.tags.get("Name", self.id)


class Exploitation(Model):
    """What is publicly known of exploits of the vulnerability; says nothing of this very host."""

    exploit_available: bool = False
    epss: float | None = None
    known_exploited_since: datetime | None = None
    """Date added to CISA's KEV catalogue (BatchGetFindingDetails cisaData)."""
    known_exploited_due: datetime | None = None


class InstanceFacts(Model):
    """Everything triage and planning read of one instance."""

    kind: Literal["instance"] = "instance"
    instance: Instance | None
    """None when the instance is gone."""
    groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    node: ManagedNode | None = None
    inventory: Inventory | None = None
    platform: str = ""
    """Inspector's platform of the resource, such as UBUNTU_22_04."""
    replacement_image: str | None = None
    """The newest patched AMI the runbook's source names, when it was looked up."""
    environment_size: int | None = None
    """Running instances with the same environment tag in the account and region; None where nobody counted."""

    def group(self, group_id: str) -> SecurityGroup | None:
        return next((group for group in self.groups if group.id == group_id), None)

    def subnet(self, subnet_id: str) -> Subnet | None:
        return next((subnet for subnet in self.subnets if subnet.id == subnet_id), None)
