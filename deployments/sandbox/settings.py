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
        network_scan: how often Inspector evaluates which ports can be reached, in a world that was furnished for it.
        stale_inventory: age at which Inspector calls inventory stale.
        snapshot: from CreateSnapshots until the snapshots are completed.
        draining: how long a deregistered target drains.
        health_check: how long an Auto Scaling group takes to replace an unhealthy instance.
        refresh_stage: how long an instance refresh takes from one checkpoint to the next.
        task_start: from the placement of an ECS task until it runs, or cannot.
        task_backoff: how long ECS waits between tasks that again and again cannot start.
        deployment_look: how often a service deployment looks at its tasks and alarms.
        deployment_stage: how long a stage of a service deployment takes that waits for nothing.
        deployment_minute: how long each minute takes that a deployment was told to wait or bake.
        rolling_bake: how long a rolling update with alarms bakes, when nothing was said of it.
        function_update: how long the creation or an update of a Lambda function takes.
        function_publish: from the publication of a version until it can be invoked.
        function_provisioning: how long an alias with provisioned concurrency still serves its former version.
        function_scan: from the end of that until Inspector has scanned the function.
        image_scan: from the push (or the restoring) of an image until Inspector has scanned it.
        image_scan_duration: how long Inspector scans an image that is neither pushed nor used.
        image_restoring: from the archive back until an image can be pulled.
        lifecycle: how often ECR applies lifecycle policies.
        lifecycle_preview: how long the preview of a lifecycle policy takes.
        build: how long a build, or a workflow's run, takes from first to last phase.
        workflow_listed: from the dispatch of a workflow until its run is listed.
    """

    invocation_visible: float = 0.2
    command: float = 3.0
    slow_command: float = 60.0
    boot: float = 1.0
    ping_loss: float = 30.0
    inventory: float = 1.0
    evaluation: float = 1.0
    inventory_interval: float = 1800.0
    network_scan: float = 43200.0
    stale_inventory: float = 7 * 86400.0
    snapshot: float = 2.0
    draining: float = 3.0
    health_check: float = 30.0
    refresh_stage: float = 4.0
    task_start: float = 3.0
    task_backoff: float = 30.0
    deployment_look: float = 2.0
    deployment_stage: float = 2.0
    deployment_minute: float = 60.0
    rolling_bake: float = 60.0
    function_update: float = 3.0
    function_publish: float = 2.0
    function_provisioning: float = 8.0
    function_scan: float = 3.0
    image_scan: float = 3.0
    image_scan_duration: float = 14 * 86400.0
    image_restoring: float = 3.0
    lifecycle: float = 86400.0
    lifecycle_preview: float = 1.0
    build: float = 6.0
    workflow_listed: float = 1.0
