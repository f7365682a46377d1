"""How long things take in the sandbox. All times are sandbox seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SandboxSettings:
    """Durations, short enough for a demo.

    Attributes:
        invocation_visible: how long a command's invocations cannot be seen after SendCommand.
        command: how long a command runs on a node.
        slow_command: how long it runs on a node furnished as slow.
        boot: from the start of an instance (or a reboot) until its agent answers.
        ping_loss: from the loss of the control path until Systems Manager says ConnectionLost.
        inventory: from the start of the inventory association until the inventory is there.
        evaluation: from new inventory until Inspector has evaluated it.
        inventory_interval: how often the inventory association runs by itself.
        stale_inventory: age at which Inspector calls inventory stale.
        snapshot: from CreateSnapshots until the snapshots are completed.
        draining: how long a deregistered target drains.
        health_check: how long an Auto Scaling group takes to replace an unhealthy instance.
        refresh_stage: how long an instance refresh takes from one checkpoint to the next.
    """

    invocation_visible: float = 0.2
    command: float = 3.0
    slow_command: float = 60.0
    boot: float = 1.0
    ping_loss: float = 30.0
    inventory: float = 1.0
    evaluation: float = 1.0
    inventory_interval: float = 1800.0
    stale_inventory: float = 7 * 86400.0
    snapshot: float = 2.0
    draining: float = 3.0
    health_check: float = 30.0
    refresh_stage: float = 4.0
