"""How Systems Manager and Inspector follow what happens to the instances.

EC2 changes first. `observe` notices it: agents come and go, new instances are inventoried, and Inspector evaluates what
inventory says. The association InspectorInventoryCollection-do-not-delete collects inventory of every managed node, by
itself every so often, and at once when it is started by hand (StartAssociationsOnce).
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable
from datetime import timedelta

from moto.ec2.models.instances import Instance

from deployments.sandbox import inspector, reachability
from deployments.sandbox.platforms import Platform
from deployments.sandbox.world import Association, AssociationRun, Image, Node, World

INVENTORY_ASSOCIATION = "InspectorInventoryCollection-do-not-delete"
_DOCUMENT = "AWS-GatherSoftwareInventory"
_UNKNOWN_IMAGE = Image(Platform("AMAZON_LINUX_2023"), ())


def found(world: World) -> None:
    """Give a new account and region what Inspector sets up in it, and start its rhythm."""
    association = Association(str(uuid.uuid4()), INVENTORY_ASSOCIATION, _DOCUMENT)
    world.associations[association.id] = association
    _keep_collecting(world, association)


def observe(world: World) -> None:
    """Bring the nodes up to what EC2 shows now. Called after everything that may have changed EC2."""
    paths: dict[Hashable, bool] = {}
    for instance in list(world.instances()):
        node = world.nodes.get(instance.id) or _discover(world, instance)
        if node.state != instance.state:
            _follow(world, node, instance)
        if instance.state == "running":
            connected = is_managed_by_role(instance) and _has_control_path(world, instance, paths)
            node.lost_at = None if connected else node.lost_at or world.now
            if connected and node.registered_at is None:
                world.clock.after(world.settings.boot, lambda node=node: _register(world, node))
    inspector.follow_lifecycle(world)


def is_managed_by_role(instance: Instance) -> bool:
    """Whether the instance has a profile to speak to Systems Manager with."""
    return bool(instance.iam_instance_profile)


def is_online(world: World, node: Node) -> bool:
    """Whether the agent answers right now."""
    booted = node.agent_from is not None and node.agent_from <= world.now
    return node.registered_at is not None and booted and node.lost_at is None


def ping_status(world: World, node: Node) -> str:
    """What DescribeInstanceInformation says: a lost connection is noticed only after a while."""
    if is_online(world, node):
        return "Online"
    noticed = timedelta(seconds=world.settings.ping_loss)
    if node.state == "running" and node.lost_at and world.now < node.lost_at + noticed:
        return "Online"
    return "ConnectionLost"


def reboot(world: World, node: Node) -> None:
    """Restart the node's operating system: its agent is away for the time of a boot."""
    node.pending_reboot.clear()
    node.agent_from = world.now + timedelta(seconds=world.settings.boot)


def run_association(world: World, association: Association) -> AssociationRun:
    """Start the association for all of its targets; inventory is there a moment later."""
    run = AssociationRun(str(uuid.uuid4()), world.now)
    association.runs.append(run)
    world.clock.after(world.settings.inventory, lambda: _collect(world, run))
    return run


def _keep_collecting(world: World, association: Association) -> None:
    def again() -> None:
        run_association(world, association)
        world.clock.after(world.settings.inventory_interval, again)

    world.clock.after(world.settings.inventory_interval, again)


def _collect(world: World, run: AssociationRun) -> None:
    online = [node for node in world.nodes.values() if is_online(world, node)]
    for node in online:
        _take_inventory(world, node)
    run.status, run.ended_at, run.node_count = "Success", world.now, len(online)


def _take_inventory(world: World, node: Node) -> None:
    node.inventory = dict(node.packages)
    node.inventory_at = world.now
    world.clock.after(world.settings.evaluation, lambda: inspector.evaluate(world, node))


def _has_control_path(world: World, instance: Instance, known: dict[Hashable, bool]) -> bool:
    # Hundreds of instances share a few subnets and groups: each such place is judged once.
    place = tuple(
        (nic.subnet.id, bool(nic.public_ip), *(g.id for g in nic.group_set)) for nic in instance.nics.values()
    )
    if place not in known:
        known[place] = reachability.has_control_path(world, instance)
    return known[place]


def _discover(world: World, instance: Instance) -> Node:
    image = world.images.get(instance.image_id, _UNKNOWN_IMAGE)
    node = Node(instance.id, image.platform, {package.key: package for package in image.packages})
    world.nodes[instance.id] = node
    instance.launch_time = world.now
    return node


def _follow(world: World, node: Node, instance: Instance) -> None:
    node.state = instance.state
    if instance.state == "running":
        node.agent_from = world.now + timedelta(seconds=world.settings.boot)
        node.pending_reboot.clear()
    else:
        node.agent_from = None
    if instance.state == "terminated":
        _leave_behind(world, instance)


def _leave_behind(world: World, instance: Instance) -> None:
    """Free the interfaces a terminated instance leaves behind; moto keeps them attached."""
    for interface in instance.nics.values():
        if interface.id in world.ec2.enis:
            interface.instance, interface.attachment_id, interface.attach_time = None, None, None
            interface.status = "available"


def _register(world: World, node: Node) -> None:
    if node.registered_at is not None or node.lost_at is not None or node.state != "running":
        return
    node.registered_at = world.now
    world.clock.after(world.settings.inventory, lambda: _take_inventory(world, node))
