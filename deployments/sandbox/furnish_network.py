"""Builds a believable world around an instance with a port open to the internet.

With no finding given, one is made up. Of a finding that is given, the instance, its ids and addresses and the ports are
kept exactly; the ids along the path are those of the world that is built.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.sandbox import events, network_building, network_scanning
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish import furnish
from deployments.sandbox.furnish_options import FurnishOptions
from deployments.sandbox.payload import Subject, read_subject
from deployments.sandbox.world import Finding, World

_LONG_AGO = timedelta(days=1)
_LAST_SCAN = timedelta(minutes=10)
_OFFICE = "198.51.100.0/24"
_IPV6 = "2001:db8:20:1::10"
_EVERYBODY = {"CidrIp": "0.0.0.0/0"}, {"CidrIpv6": "::/0"}


class NetworkOptions(BaseModel):
    """What the world is like, beyond what a finding says.

    Attributes:
        ports: the first and the last port that is open.
        all_traffic: by a rule for all traffic, so that the finding is about every port.
        ipv6: it has an IPv6 address, and the rule is there for ::/0 as well.
        office: an office has a rule of its own for the same ports.
        shared: so many other interfaces carry the group.
        referenced: a rule of another group names it.
        description, rule_tags: of the rule that opens the ports.
        tags: more tags of the instance.
        scan_seconds: sandbox seconds between two network scans; 12 hours as on AWS, where nothing is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(default="210987654321", pattern=r"^\d{12}$")
    region: str = "eu-central-1"
    instance_id: str = "i-0c1d2e3f4a5b6c7d8"
    protocol: Literal["tcp", "udp"] = "tcp"
    ports: tuple[int, int] = (22, 22)
    all_traffic: bool = False
    ipv6: bool = False
    office: bool = True
    shared: int = Field(default=0, ge=0, le=20)
    referenced: bool = False
    description: str | None = "temporary, for the migration"
    rule_tags: dict[str, str] = Field(default_factory=lambda: {"owner": "payments"})
    tags: dict[str, str] = Field(default_factory=dict)
    scan_seconds: float | None = None


def furnish_network(
    cloud: Cloud, options: NetworkOptions | None = None, payload: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build the world around an open port; of what a payload says, the options say nothing.

    Returns:
        What was built, by id, and under `event` the EventBridge event of the finding.

    Raises:
        NotAnInstanceFinding: the payload is not about an EC2 instance.
    """
    chosen = options or NetworkOptions()
    given = payload or _made_up(chosen)
    subject = read_subject(given)
    ports, protocol = _opened(subject, chosen)
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(subject.account, subject.region)
        sent = list(world.events)
        built = _instance(cloud, world, given, chosen)
        group = world.instance(built["instance_id"]).nics[0].group_set[0]  # type: ignore[union-attr]
        _open(world, group, chosen, ports, protocol)
        others = _others(world, subject, group, chosen)
        network_scanning.start(world, chosen.scan_seconds)
        network_scanning.scan(world)
        finding = _finding(world, subject, ports, protocol)
        # All of this was long ago: nobody is told of it now.
        world.events.clear()
        world.events.extend(sent)
        return (
            built
            | others
            | {
                "group_id": group.id,
                "rules": [rule.id for rule in group.ingress_rules],
                "finding_arn": finding.arn,
                "event": events.finding_event(world, finding),
            }
        )


def _made_up(options: NetworkOptions) -> dict[str, Any]:
    details = {"ipV4Addresses": ["10.20.1.10", "203.0.113.20"], "platform": "UBUNTU_22_04", "type": "t3.small"}
    resource = {
        "type": "AWS_EC2_INSTANCE",
        "id": options.instance_id,
        "region": options.region,
        "tags": {"Name": "bastion-1"},
        "details": {"awsEc2Instance": details},
    }
    return {"awsAccountId": options.account, "type": network_scanning.NETWORK, "resources": [resource]}


def _opened(subject: Subject, options: NetworkOptions) -> tuple[tuple[int, int], str]:
    """The ports and the protocol of the finding, or of the options where it says nothing."""
    details = subject.finding.get("networkReachabilityDetails")
    if details:
        ports = details["openPortRange"]
        return (ports["begin"], ports["end"]), details["protocol"].lower()
    return ((0, 65535) if options.all_traffic else options.ports), options.protocol


def _instance(cloud: Cloud, world: World, payload: dict[str, Any], options: NetworkOptions) -> dict[str, Any]:
    """The instance alone, with two groups that nothing from outside passes, and no finding yet."""
    advisories = list(world.advisories)
    built = furnish(
        cloud,
        payload,
        FurnishOptions(
            interfaces=1,
            groups=(("web", "base"),),
            volumes=1,
            ssm_endpoints=False,
            package_mirror=False,
            patched_image=False,
            elastic_address=True,
            tags=options.tags,
        ),
    )
    del world.findings[built["finding_arn"]]
    world.advisories[:] = advisories
    if options.ipv6:
        _add_ipv6(world, built)
    names = ("account", "region", "instance_id", "vpc_id", "subnet_id", "interfaces")
    return {name: built[name] for name in names}


def _add_ipv6(world: World, built: dict[str, Any]) -> None:
    world.instance(built["instance_id"]).nics[0].ipv6_addresses = [_IPV6]  # type: ignore[union-attr]
    table = network_building.main_route_table(world, built["vpc_id"])
    gateway = next(route.gateway for route in table.routes if route.destination_cidr_block == "0.0.0.0/0")
    world.ec2.create_route(table.id, None, destination_ipv6_cidr_block="::/0", gateway_id=gateway.id)
    acl = next(one for one in world.ec2.network_acls.values() if one.vpc_id == built["vpc_id"])
    for egress in (False, True):
        world.ec2.create_network_acl_entry(acl.id, 101, "-1", "allow", egress, None, None, None, None, None, "::/0")  # type: ignore[arg-type]


def _open(world: World, group: Any, options: NetworkOptions, ports: tuple[int, int], protocol: str) -> None:
    whole = options.all_traffic
    described = {"Description": options.description} if options.description else {}
    for everybody in _EVERYBODY[: 2 if options.ipv6 else 1]:
        world.ec2.authorize_security_group_ingress(
            group.id,
            "-1" if whole else protocol,
            "-1" if whole else str(ports[0]),
            "-1" if whole else str(ports[1]),
            [everybody | described],
            sgrule_tags=dict(options.rule_tags),
        )
    if options.office:
        office = [{"CidrIp": _OFFICE, "Description": "the office"}]
        world.ec2.authorize_security_group_ingress(group.id, protocol, str(ports[0]), str(ports[1]), office)


def _others(world: World, subject: Subject, group: Any, options: NetworkOptions) -> dict[str, Any]:
    """Those that live by the same group."""
    subnet = next(zone[subject.subnet_id] for zone in world.ec2.subnets.values() if subject.subnet_id in zone)
    shared = [
        world.ec2.create_network_interface(
            subnet, network_building.free_address(world, subnet), group_ids=[group.id]
        ).id
        for _ in range(options.shared)
    ]
    naming = None
    if options.referenced:
        other = network_building.security_group(world, group.vpc_id, "database")
        pairs = [{"GroupId": group.id}]
        world.ec2.authorize_security_group_ingress(other.id, "tcp", "5432", "5432", [], source_groups=pairs)
        naming = other.id
    return {"others": shared, "referenced_by": naming}


def _finding(world: World, subject: Subject, ports: tuple[int, int], protocol: str) -> Finding:
    """The finding that the scan has made of these ports, under the payload's ARN where it has one."""
    found = network_scanning.findings_of(world, subject.instance_id)
    finding = next(each for key, each in found.items() if key[2:] == (protocol, *ports))
    if subject.arn:
        del world.findings[finding.arn]
        finding.arn = subject.arn
        world.findings[finding.arn] = finding
    finding.status = "SUPPRESSED" if subject.finding.get("status") == "SUPPRESSED" else "ACTIVE"
    finding.first_observed_at = world.now - _LONG_AGO
    finding.last_observed_at = finding.updated_at = world.now - _LAST_SCAN
    world.nodes[subject.instance_id].network_scanned_at = world.now - _LAST_SCAN
    return finding
