"""When Inspector scans container images: some time after the push, after the archive, and until they expire."""

from __future__ import annotations

from datetime import timedelta

from deployments.sandbox import events, inspector
from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.scanned_images import scanned_until
from deployments.sandbox.world import World

_PENDING = ("PENDING_INITIAL_SCAN", "PENDING_REVIVAL_SCAN")


def queue_scan(world: World, image: ContainerImage) -> None:
    """Have a pushed or restored image scanned, as enhanced scanning does by itself; it cannot be asked to."""
    world.clock.after(world.settings.image_scan, lambda: scan(world, image))


def scan(world: World, image: ContainerImage) -> None:
    """Scan an image that waits for it; any other is left alone."""
    if inspector.coverage(world, image)[1] not in _PENDING:
        return
    inspector.evaluate(world, image)
    events.send_scan_complete(world, image)
    _await_expiry(world, image)


def _await_expiry(world: World, image: ContainerImage) -> None:
    remaining = scanned_until(world, image) - world.now + timedelta(seconds=1)
    world.clock.after(remaining.total_seconds(), lambda: _expire(world, image))


def _expire(world: World, image: ContainerImage) -> None:
    """Close the findings of an image that is no longer scanned; look again later if it was used in between."""
    if world.now <= scanned_until(world, image):
        _await_expiry(world, image)
    else:
        inspector.follow_lifecycle(world)
