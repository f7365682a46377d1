"""Builds a believable world around any Inspector finding about an EC2 instance.

Every id, address and version the finding holds is kept exactly. What it does not hold (groups, volumes, endpoints, a
load balancer, a newer AMI) is made up as the options say. Furnishing a second finding of the same instance adds to its
world.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from moto.ec2.models import instances
from moto.ec2.models.instances import Instance
from moto.ec2.utils import random_ami_id
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from deployments.sandbox import inspector, inventory, network_building
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.furnish_advisory import ensure_advisory
from deployments.sandbox.furnish_group import build_group
from deployments.sandbox.furnish_options import FurnishOptions
from deployments.sandbox.images import ensure_image
from deployments.sandbox.network_building import next_id
from deployments.sandbox.payload import Subject, read_subject
from deployments.sandbox.world import Finding, Node, Package, World

_LONG_AGO = timedelta(days=1)
_LAST_SCAN = timedelta(minutes=10)
_TRUST = '{"Version":"2012-10-17","Statement":[]}'


def furnish(cloud: Cloud, payload: dict[str, Any], options: FurnishOptions | None = None) -> dict[str, Any]:
    """Build the world around a finding.

    Returns:
        What was built, by id: everything a test or a demo needs in order to look at it.

    Raises:
        NotAnInstanceFinding: the payload is not about an EC2 instance.
    """
    chosen = options or FurnishOptions()
    subject = read_subject(payload)
    with cloud.lock:
        cloud.clock.catch_up()
        world = cloud.world(subject.account, subject.region)
        ensure_image(world, subject.image_id, subject.platform, subject.packages)
        patched = _patched_image(world, subject, chosen)
        instance = world.instance(subject.instance_id) or _instance(world, subject, chosen)
        node = _node(world, subject, chosen, instance)
        finding = _finding(world, node, subject, chosen)
        built = build_group(world, subject, instance, chosen)
        bucket = _bucket(world, chosen.bucket or f"remediation-{subject.account}-{subject.region}")
        inventory.observe(world)
    return built | {
        "account": subject.account,
        "region": subject.region,
        "instance_id": instance.id,
        "finding_arn": finding.arn,
        "vulnerability_id": subject.vulnerability_id,
        "vpc_id": instance.vpc_id,
        "subnet_id": instance.subnet_id,
        "image_id": subject.image_id,
        "patched_image_id": patched,
        "image_parameters": list(subject.platform.image_parameters()),
        "instance_profile_arn": subject.profile_arn,
        "interfaces": {nic.id: [group.id for group in nic.group_set] for nic in instance.nics.values()},
        "volumes": [device.volume_id for _, device in instance.get_block_device_mapping],
        "bucket": bucket,
        "mirror_services": sorted(world.mirror_services),
    }


def _patched_image(world: World, subject: Subject, options: FurnishOptions) -> str | None:
    paths = subject.platform.image_parameters()
    if not options.patched_image or not paths:
        return None
    fixes = {(one.name, one.arch): one.fixed_in for one in subject.vulnerable_packages if one.fixed_in}
    packages = tuple(
        Package(one.name, one.arch, fixes.get(one.key) or one.version, one.manager, one.file_path)
        for one in subject.packages
    )
    image_id = world.image_parameters.get(paths[0]) or random_ami_id()
    ensure_image(world, image_id, subject.platform, packages)
    world.image_parameters |= dict.fromkeys(paths, image_id)
    return image_id


def _instance(world: World, subject: Subject, options: FurnishOptions) -> Instance:
    subnet = network_building.build_subnet(world, subject)
    groups = _network(world, subject, options, subnet)
    _profile(world, subject)
    with next_id(instances, "random_instance_id", subject.instance_id):
        reservation = world.ec2.run_instances(
            subject.image_id,
            1,
            None,
            [],
            instance_type=subject.instance_type,
            is_instance_type_default=False,
            subnet_id=subnet.id,
            security_group_ids=[group.id for group in groups[0]],
            key_name=subject.key_name,
            region_name=world.region,
            associate_public_ip=bool(options.exposed),
            disable_api_termination=options.termination_protection,
            tags={"instance": {k: v for k, v in (subject.tags | options.tags).items() if not k.startswith("aws:")}},
        )
    instance = reservation.instances[0]
    instance.launch_time = world.now - _LONG_AGO
    world.ec2.associate_iam_instance_profile(instance.id, iam_instance_profile_arn=subject.profile_arn)
    _addresses(world, instance, subject, options)
    _interfaces(world, instance, options, groups)
    _volumes(world, instance, options)
    instance.instance_initiated_shutdown_behavior = options.shutdown_behavior
    if options.stopped:
        instance.stop()
    return instance


def _interfaces(world: World, instance: Instance, options: FurnishOptions, in_turns: tuple[list[Any], ...]) -> None:
    """The further interfaces, and the groups of each: those named for it, or the two others in turns."""
    own = instance.nics[0].subnet
    for index in range(1, options.interfaces):
        away = index >= options.interfaces - options.elsewhere
        subnet = network_building.second_subnet(world, own) if away else own
        address = network_building.free_address(world, subnet)
        instance.attach_eni(world.ec2.create_network_interface(subnet, address, group_ids=[]), index)
    for index, interface in instance.nics.items():
        vpc = interface.subnet.vpc_id
        names = options.groups[index] if index < len(options.groups) else ()
        if vpc != instance.vpc_id:
            names = names or ("elsewhere",)
        named = [network_building.inside_group(world, vpc, name) for name in names]
        interface._group_set = named or list(in_turns[index % 2])


def _network(world: World, subject: Subject, options: FurnishOptions, subnet: Any) -> tuple[list[Any], list[Any]]:
    """The ordered groups of the first interface, and those of the second, after the network around them."""
    vpc_id = subnet.vpc_id
    network_building.open_to_internet(world, vpc_id)
    s3 = network_building.add_s3_gateway(world, vpc_id) if options.ssm_endpoints else None
    if options.ssm_endpoints and not options.no_control_path:
        network_building.add_control_endpoints(world, subnet)
    if options.package_mirror and not options.no_package_source:
        network_building.add_package_mirror(world, subnet)
    suffix = subject.instance_id.removeprefix("i-")[-6:]
    restricted = options.no_control_path or options.no_package_source
    app = network_building.security_group(
        world,
        vpc_id,
        f"app-{suffix}" if restricted else "app",
        (options.port,),
        "0.0.0.0/0" if options.exposed else str(world.ec2.vpcs[vpc_id].cidr_block),
    )
    base = network_building.security_group(world, vpc_id, f"base-{suffix}" if restricted else "base")
    if restricted:
        _restrict(world, [app, base], options, vpc_id, s3)
    return [app, base], [base, app]


def _restrict(world: World, groups: list[Any], options: FurnishOptions, vpc_id: str, s3: str | None) -> None:
    rules: list[dict[str, Any]] = []
    if not options.no_control_path:
        rules.append({"port": 443, "CidrIp": str(world.ec2.vpcs[vpc_id].cidr_block)})
    if not options.no_package_source:
        rules.append({"port": 80, "CidrIp": "0.0.0.0/0"})
    for group in groups:
        network_building.limit_egress(world, group, rules)
    if s3 and not options.no_package_source:
        network_building.limit_egress(world, groups[0], [*rules, {"port": 443, "PrefixListId": s3}])


def _addresses(world: World, instance: Instance, subject: Subject, options: FurnishOptions) -> None:
    first = instance.nics[0]
    first.private_ip_address = subject.private_address
    first.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": subject.private_address}]
    first.ipv6_addresses = list(subject.ipv6_addresses)
    first.delete_on_termination = True
    if options.exposed and subject.public_addresses:
        first.public_ip = subject.public_addresses[0]
    if options.exposed and options.elastic_address:
        address = world.ec2.allocate_address("vpc", address=first.public_ip)
        world.ec2.associate_address(instance=instance, allocation_id=address.allocation_id)


def _volumes(world: World, instance: Instance, options: FurnishOptions) -> None:
    root = instance.block_device_mapping.pop("/dev/sda1")
    root_path = instance.root_device_name or "/dev/sda1"
    instance.block_device_mapping[root_path] = root
    world.ec2.get_volume(root.volume_id).attachment.device = root_path  # type: ignore[union-attr]
    for index in range(1, options.volumes):
        volume = world.ec2.create_volume(20, f"{world.region}a")
        world.ec2.attach_volume(volume.id, instance.id, f"/dev/sd{chr(ord('e') + index)}")
    for (_, device), deleted in zip(instance.get_block_device_mapping, options.deleted_volumes, strict=False):
        device.delete_on_termination = deleted


def _profile(world: World, subject: Subject) -> None:
    iam = iam_backends[subject.account]["aws"]
    name = subject.profile_arn.rpartition("/")[2]
    if name in {profile.name for profile in iam.instance_profiles.values()}:
        return
    path = "/" + subject.profile_arn.partition("instance-profile/")[2].removesuffix(name)
    role = iam.create_role(name, _TRUST, path, None, "", [], None)
    iam.create_instance_profile(name, path, [role.name])


def _node(world: World, subject: Subject, options: FurnishOptions, instance: Instance) -> Node:
    """The instance as an established managed node: registered long ago, inventoried and scanned a while ago."""
    node = world.nodes.get(instance.id)
    if node is None:
        since = world.now - _LONG_AGO
        node = Node(instance.id, subject.platform, {}, state=instance.state, registered_at=since, agent_from=since)
        world.nodes[instance.id] = node
    node.packages |= {package.key: package for package in subject.packages if package.key not in node.packages}
    node.inventory |= {package.key: package for package in subject.packages if package.key not in node.inventory}
    node.inventory_at = node.scanned_at = world.now - _LAST_SCAN
    node.first_scanned_at = node.first_scanned_at or world.now - _LONG_AGO
    node.patch_fails, node.slow = options.patch_fails, options.slow
    if options.no_control_path:
        node.lost_at = world.now - timedelta(hours=1)
    return node


def _finding(world: World, node: Node, subject: Subject, options: FurnishOptions) -> Finding:
    arn = subject.arn or inspector.finding_arn(world, node.instance_id, subject.vulnerability_id)
    if arn in world.findings:
        return world.findings[arn]
    advisory = ensure_advisory(
        world,
        subject,
        known_exploited=options.known_exploited,
        exploit_observed=options.exploit_observed,
        patch_available=options.patch_available,
    )
    finding = inspector.open_finding(world, node, advisory, subject.packages, arn)
    finding.status = "SUPPRESSED" if subject.finding.get("status") == "SUPPRESSED" else "ACTIVE"
    finding.first_observed_at = world.now - _LONG_AGO
    finding.last_observed_at = finding.updated_at = world.now - _LAST_SCAN
    return finding


def _bucket(world: World, name: str) -> str:
    s3 = s3_backends[world.account]["aws"]
    if name not in s3.buckets:
        s3.create_bucket(name, world.region)
    return name
