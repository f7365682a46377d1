"""Run Command: how a command travels to its nodes, runs there, and ends.

Delivery needs the control path; without it the invocation waits until its delivery timeout. A parent command is as good
as its worst delivered invocation (Systems Manager user guide, "Understanding command statuses").
"""

from __future__ import annotations

from datetime import timedelta

from deployments.sandbox import inventory
from deployments.sandbox.patching import Outcome, run_patch_baseline
from deployments.sandbox.world import Command, Invocation, Node, World

DOCUMENTS: dict[str, tuple[str, ...]] = {
    "AWS-RunPatchBaseline": ("PatchWindows", "PatchLinux", "PatchMacOS"),
    "AWS-RunShellScript": ("aws:runShellScript",),
    "AWS-RunPowerShellScript": ("aws:runPowerShellScript",),
    "AWS-UpdateSSMAgent": ("aws:updateSsmAgent",),
}


def dispatch(world: World, command: Command, fail_on: frozenset[str] = frozenset()) -> None:
    """Set a command on its way to every node.

    Args:
        fail_on: nodes on which it is made to fail.
    """
    world.commands[command.id] = command
    for invocation in command.invocations.values():
        _deliver(world, command, invocation, fail_on)
        world.clock.after(command.timeout_seconds, lambda one=invocation: _time_out(world, one))


def step_of(document: str, node: Node) -> str:
    """The step of a document that runs on a node."""
    steps = DOCUMENTS[document]
    return node.platform.patch_step if node.platform.patch_step in steps else steps[0]


def is_visible(world: World, command: Command) -> bool:
    """Whether the command's invocations can be seen yet: the API is eventually consistent."""
    return world.now >= command.requested_at + timedelta(seconds=world.settings.invocation_visible)


def cancel(world: World, command: Command, instance_ids: list[str]) -> None:
    """Cancel what has not started on these nodes, on all when none is named. What runs there, runs on."""
    command.cancelled = not instance_ids
    for invocation in command.invocations.values():
        if invocation.status == "Pending" and (not instance_ids or invocation.instance_id in instance_ids):
            _end(world, invocation, "Cancelled", "Cancelled")


def overall(command: Command) -> tuple[str, str]:
    """The parent command's status and its details, from its invocations."""
    invocations = list(command.invocations.values())
    if any(not one.is_over for one in invocations):
        started = any(one.status != "Pending" for one in invocations)
        return ("InProgress", "InProgress") if started else ("Pending", "Pending")
    for status in ("Failed", "TimedOut", "Cancelled"):
        worst = [one for one in invocations if one.status == status]
        if worst:
            return status, worst[0].details
    return "Success", "Success"


def _deliver(world: World, command: Command, invocation: Invocation, fail_on: frozenset[str]) -> None:
    def arrive() -> None:
        if invocation.is_over:
            return
        node = world.nodes[invocation.instance_id]
        if not inventory.is_online(world, node):
            world.clock.after(world.settings.command, arrive)
            return
        invocation.status = invocation.details = "InProgress"
        invocation.started_at = world.now
        duration = world.settings.slow_command if node.slow else world.settings.command
        world.clock.after(duration, lambda: _finish(world, command, invocation, node, fail_on))

    world.clock.after(world.settings.invocation_visible, arrive)


def _finish(world: World, command: Command, invocation: Invocation, node: Node, fail_on: frozenset[str]) -> None:
    if node.state != "running":
        _end(world, invocation, "Failed", "Undeliverable")
        return
    outcome = _run(world, command, invocation, node, fail_on)
    invocation.stdout, invocation.stderr = outcome.stdout, outcome.stderr
    if outcome.reboots:
        inventory.reboot(world, node)
        world.clock.after(world.settings.boot, lambda: _conclude(world, invocation, outcome.succeeded))
    else:
        _conclude(world, invocation, outcome.succeeded)


def _run(world: World, command: Command, invocation: Invocation, node: Node, fail_on: frozenset[str]) -> Outcome:
    if node.instance_id in fail_on:
        return Outcome(stderr="failed to run commands: exit status 1")
    if command.document == "AWS-RunPatchBaseline":
        return run_patch_baseline(world, node, command, invocation.started_at or world.now)
    return Outcome(stdout="ok\n")


def _conclude(world: World, invocation: Invocation, succeeded: bool) -> None:
    invocation.response_code = 0 if succeeded else 1
    status = "Success" if succeeded else "Failed"
    _end(world, invocation, status, status)


def _time_out(world: World, invocation: Invocation) -> None:
    if invocation.status == "Pending":
        _end(world, invocation, "TimedOut", "Delivery Timed Out")


def _end(world: World, invocation: Invocation, status: str, details: str) -> None:
    invocation.status, invocation.details, invocation.ended_at = status, details, world.now
