"""What Inspector and ECR send to EventBridge about container images and findings.

The forms are those of the Inspector user guide ("Amazon EventBridge event schema for Amazon Inspector events") and of
the ECR user guide ("Sample events from Amazon ECR"): times within a finding in words, the repository of a scan event by
its ARN. The sandbox delivers nothing by itself: what was sent is kept in the world, for whoever stands in for a rule.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.finding_body import describe_finding
from deployments.sandbox.world import Finding, World

_COUNTED = ("CRITICAL", "HIGH", "MEDIUM")


def send_finding(world: World, finding: Finding) -> None:
    """A finding was opened, closed or reopened."""
    world.events.append(finding_event(world, finding))


def send_scan_complete(world: World, image: ContainerImage) -> None:
    """The initial scan of an image is complete."""
    repository = image.resource_id.rpartition("/")[0]
    severities = Counter(
        finding.advisory.body["severity"]
        for finding in world.findings.values()
        if finding.resource_id == image.resource_id and finding.status == "ACTIVE"
    )
    detail = {
        "scan-status": "INITIAL_SCAN_COMPLETE",
        "repository-name": repository,
        "finding-severity-counts": {name: severities[name] for name in _COUNTED} | {"TOTAL": severities.total()},
        "image-digest": image.digest,
        "image-tags": list(image.tags),
        "version": "1.0",
    }
    world.events.append(_event(world, "aws.inspector2", "Inspector2 Scan", detail, [repository]))


def send_image_action(world: World, image: ContainerImage, action: str, **more: str) -> None:
    """An image was pushed, deleted, archived or restored (PUSH, DELETE, UPDATE_STORAGE_CLASS)."""
    detail = {
        "result": "SUCCESS",
        "repository-name": image.repository,
        "image-digest": image.digest,
        "action-type": action,
    } | {name.replace("_", "-"): value for name, value in more.items()}
    world.events.append(_event(world, "aws.ecr", "ECR Image Action", detail, []))


def finding_event(world: World, finding: Finding) -> dict[str, Any]:
    """The event of a finding as it is now."""
    detail = _in_words(describe_finding(world, finding))
    return _event(world, "aws.inspector2", "Inspector2 Finding", detail, [finding.resource_id])


def _event(world: World, source: str, kind: str, detail: dict[str, Any], resources: list[str]) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": world.account,
        "time": world.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": world.region,
        "resources": resources,
        "detail": detail,
    }


def _in_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_words(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_in_words(one) for one in value]
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return f"{moment:%a %b %d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC {moment:%Y}"
    return value
