"""Inspector's network scans: every so often it works out which ports the internet reaches, and says so.

An instance needs no agent for them. A finding is about one range of ports of one interface: where the range changes, it
closes, and another one opens. Nothing hurries the next scan (Inspector user guide, "Scanning Amazon EC2 instances").
Only a world that was furnished for it is scanned, so that stories about packages hold nothing else.
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instances import Instance

from deployments.sandbox import events, inspector
from deployments.sandbox.finding_body import advisory_body
from deployments.sandbox.reachable import Way, ways_in
from deployments.sandbox.scanned import KINDS
from deployments.sandbox.world import Advisory, Finding, Node, World

NETWORK = "NETWORK_REACHABILITY"
_HIGH = {20, 21, 23, 69, 512, 513, 514, 515}
_LOW = {80, 443}
_TEXT = "You can restrict access to your instance by modifying the Security Groups or ACLs in the network path."

Key = tuple[str, str, str, int, int]


def start(world: World, every: float | None = None) -> None:
    """Scan this world's network from now on.

    Args:
        every: sandbox seconds between two scans; those of the settings, where nothing is said.
    """
    if world.network_scan_seconds is None:
        world.network_scan_seconds = every or world.settings.network_scan
        world.clock.after(world.network_scan_seconds, lambda: _keep_scanning(world))


def scan(world: World) -> None:
    """Evaluate every running instance: open, close and reopen its network findings."""
    for node in list(world.nodes.values()):
        instance, closing = world.instance(node.instance_id), KINDS[node.resource_type].closing
        if instance is not None and instance.state == "running" and inspector.coverage(world, node)[1] not in closing:
            _scan_one(world, node, instance)


def findings_of(world: World, instance_id: str) -> dict[Key, Finding]:
    """The newest network finding of each interface and range of ports of an instance."""
    own = [each for each in world.findings.values() if each.resource_id == instance_id]
    newest = sorted((each for each in own if each.advisory.body["type"] == NETWORK), key=lambda each: each.updated_at)
    return {_key(each): each for each in newest}


def _keep_scanning(world: World) -> None:
    scan(world)
    world.clock.after(world.network_scan_seconds or world.settings.network_scan, lambda: _keep_scanning(world))


def _scan_one(world: World, node: Node, instance: Instance) -> None:
    node.network_scanned_at = world.now
    known = findings_of(world, instance.id)
    open_now = {
        (instance.id, each.interface, each.protocol, each.begin, each.end): each for each in ways_in(world, instance)
    }
    for key, finding in known.items():
        if key not in open_now and finding.status == "ACTIVE" and not _leads_through_a_balancer(finding):
            inspector.close(world, finding)
    for key, way in open_now.items():
        finding = known.get(key)
        if finding is None:
            advisory = Advisory(_title(way), node.platform, (), advisory_body(_stated(instance, way)), {})
            arn = inspector.finding_arn(world, instance.id, "/".join(map(str, key)), world.now.isoformat())
            inspector.open_finding(world, node, advisory, (), arn)
            continue
        finding.last_observed_at = world.now
        if finding.status == "CLOSED":
            finding.status, finding.closed_at, finding.updated_at = "ACTIVE", None, world.now
            events.send_finding(world, finding)


def _leads_through_a_balancer(finding: Finding) -> bool:
    """Such a path is not evaluated here: its finding stays as it was put into the world."""
    steps = finding.advisory.body["networkReachabilityDetails"]["networkPath"]["steps"]
    return any("LoadBalancing" in one["componentType"] for one in steps)


def _key(finding: Finding) -> Key:
    details = finding.advisory.body["networkReachabilityDetails"]
    steps, ports = details["networkPath"]["steps"], details["openPortRange"]
    interface = next((one["componentId"] for one in steps if one["componentId"].startswith("eni-")), "")
    return (finding.resource_id, interface, details["protocol"].lower(), ports["begin"], ports["end"])


def _title(way: Way) -> str:
    return f"{_ports(way)} is reachable from an Internet Gateway - {way.protocol.upper()}"


def _ports(way: Way) -> str:
    return f"Port {way.begin}" if way.begin == way.end else f"Port range {way.begin}-{way.end}"


def _stated(instance: Instance, way: Way) -> dict[str, Any]:
    """The finding's own members, in the form Inspector sends them."""
    path = (
        ("InternetGateway", way.gateway),
        ("NetworkAcl", way.acl),
        ("SecurityGroup", way.group),
        ("NetworkInterface", way.interface),
        ("Instance", instance.id),
    )
    return {
        "type": NETWORK,
        "severity": _severity(way),
        "title": _title(way),
        "description": (
            f"On the instance {instance.id}, the port range {way.begin}-{way.end} is reachable from the "
            f"InternetGateway {way.gateway} from an attached ENI {way.interface}."
        ),
        "networkReachabilityDetails": {
            "networkPath": {
                "steps": [{"componentId": one, "componentType": f"AWS::EC2::{kind}"} for kind, one in path]
            },
            "openPortRange": {"begin": way.begin, "end": way.end},
            "protocol": way.protocol.upper(),
        },
        "remediation": {"recommendation": {"text": _TEXT}},
    }


def _severity(way: Way) -> str:
    """About as Inspector rates what listens there: by the port, and not by what it finds behind it."""
    ports = range(way.begin, way.end + 1)
    if any(port in ports for port in _HIGH):
        return "HIGH"
    return "LOW" if set(ports) <= _LOW else "MEDIUM"
