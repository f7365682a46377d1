"""The operations of Amazon ECR on lifecycle policies, on the registry, and on how images are scanned."""

from __future__ import annotations

from collections import Counter
from typing import Any

from moto.ecr.exceptions import LifecyclePolicyNotFoundException

from deployments.sandbox import inspector, lifecycle, registry
from deployments.sandbox.container_images import ContainerImage
from deployments.sandbox.finding_body import describe_finding
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import Answer, AwsError

_SCAN_STATUS = {
    "SUCCESSFUL": "ACTIVE",
    "PENDING_INITIAL_SCAN": "PENDING",
    "PENDING_REVIVAL_SCAN": "PENDING",
    "SCAN_ELIGIBILITY_EXPIRED": "SCAN_ELIGIBILITY_EXPIRED",
    "IMAGE_ARCHIVED": "IMAGE_ARCHIVED",
    "UNSUPPORTED_MEDIA_TYPE": "UNSUPPORTED_IMAGE",
}


@operation("ecr", "PutLifecyclePolicy")
def put_lifecycle_policy(call: Call) -> dict[str, Any]:
    """Replace the repository's policy. It acts within a day."""
    text = _checked(call.params["lifecyclePolicyText"])
    repository = registry.repository_of(call.world, call.params["repositoryName"])
    repository.lifecycle_policy = text
    lifecycle.keep_applying(call.world, repository.name, text)
    return _repository(call) | {"lifecyclePolicyText": text}


@operation("ecr", "StartLifecyclePolicyPreview")
def start_lifecycle_policy_preview(call: Call) -> dict[str, Any]:
    """Preview a policy, the repository's own unless another is given. Nothing is changed by it."""
    repository = registry.repository_of(call.world, call.params["repositoryName"])
    text = call.params.get("lifecyclePolicyText") or repository.lifecycle_policy
    if not text:
        raise LifecyclePolicyNotFoundException(repository.name, call.account)
    running = call.world.previews.get(repository.name)
    if running and running.results is None:
        raise AwsError("LifecyclePolicyPreviewInProgressException", "The previous preview has not completed.")
    preview = lifecycle.start_preview(call.world, repository.name, _checked(text))
    return _repository(call) | {"lifecyclePolicyText": preview.text, "status": "IN_PROGRESS"}


@operation("ecr", "GetLifecyclePolicyPreview")
def get_lifecycle_policy_preview(call: Call) -> dict[str, Any]:
    """The preview, with the images the policy would expire or archive once it is complete."""
    repository = registry.repository_of(call.world, call.params["repositoryName"])
    preview = call.world.previews.get(repository.name)
    if preview is None:
        raise AwsError("LifecyclePolicyPreviewNotFoundException", f"There is no preview for '{repository.name}'.")
    answer = _repository(call) | {"lifecyclePolicyText": preview.text}
    if preview.results is None:
        return answer | {"status": "IN_PROGRESS"}
    wanted, tagged = call.params.get("imageIds"), (call.params.get("filter") or {}).get("tagStatus", "ANY")
    shown = [
        decision
        for decision in preview.results
        if (not wanted or any(registry.find([decision.image], one) for one in wanted))
        and tagged in ("ANY", "TAGGED" if decision.image.tags else "UNTAGGED")
    ]
    results = page(
        call,
        [_preview_result(one) for one in shown],
        result="previewResults",
        token="nextToken",
        limit="maxResults",
        most=100,
        invalid_token="InvalidParameterException",
    )
    return answer | {"status": "COMPLETE", "summary": _summary(preview.results)} | results


@operation("ecr", "CreateRepository", "GetRegistryScanningConfiguration", "BatchGetRepositoryScanningConfiguration")
def by_moto(call: Call) -> Answer:
    """moto's, in a registry with enhanced scanning of everything: to name the world is to have it made so."""
    registry.backend(call.world)
    return call.forward()


@operation("ecr", "PutRegistryPolicy")
def put_registry_policy(call: Call) -> dict[str, Any]:
    """Replace the registry's policy, whatever actions of ECR it is about: moto takes two of them."""
    text = call.params["policyText"]
    registry.backend(call.world).registry_policy = text
    return {"registryId": call.account, "policyText": text}


@operation("ecr", "StartImageScan")
def start_image_scan(call: Call) -> dict[str, Any]:
    """Refused: enhanced scanning cannot be asked for a scan."""
    registry.get(call.world, call.params["repositoryName"], call.params["imageId"])
    raise AwsError("ValidationException", "This feature is disabled")


@operation("ecr", "DescribeImageScanFindings")
def describe_image_scan_findings(call: Call) -> dict[str, Any]:
    """What Inspector found, as ECR shows it: active findings only."""
    image = registry.get(call.world, call.params["repositoryName"], call.params["imageId"])
    if image.first_scanned_at is None:
        raise AwsError("ScanNotFoundException", f"Image scan does not exist for the image with '{image.digest}'.")
    reason = inspector.coverage(call.world, image)[1]
    status = {"status": _SCAN_STATUS.get(reason, "FINDINGS_UNAVAILABLE"), "description": reason}
    return _repository(call) | {
        "imageId": {"imageDigest": image.digest},
        "imageScanStatus": status,
        "imageScanFindings": _scan_findings(call, image),
    }


def _checked(text: str) -> str:
    try:
        lifecycle.read_policy(text)
    except lifecycle.InvalidPolicy as error:
        raise AwsError(
            "InvalidParameterException",
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: "
            f"'Lifecycle policy validation failure: {error}'",
        ) from error
    return text


def _repository(call: Call) -> dict[str, Any]:
    return {"registryId": call.account, "repositoryName": call.params["repositoryName"]}


def _preview_result(decision: lifecycle.Decision) -> dict[str, Any]:
    action = decision.rule.action
    archives = {"targetStorageClass": "ARCHIVE"} if action.type == "transition" else {}
    return {
        "imageTags": list(decision.image.tags),
        "imageDigest": decision.image.digest,
        "imagePushedAt": decision.image.pushed_at,
        "action": {"type": action.type.upper()} | archives,
        "appliedRulePriority": decision.rule.rule_priority,
        "storageClass": "ARCHIVE" if decision.image.status == "ARCHIVED" else "STANDARD",
    }


def _summary(results: list[lifecycle.Decision]) -> dict[str, Any]:
    counts = Counter(one.rule.action.type for one in results)
    return {
        "expiringImageTotalCount": counts["expire"],
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": counts["transition"]}],
    }


def _scan_findings(call: Call, image: ContainerImage) -> dict[str, Any]:
    entries = [
        describe_finding(call.world, finding)
        for finding in call.world.findings.values()
        if finding.resource_id == image.resource_id and finding.status == "ACTIVE"
    ]
    return {
        "imageScanCompletedAt": image.scanned_at,
        "vulnerabilitySourceUpdatedAt": image.scanned_at,
        "findingSeverityCounts": dict(Counter(entry["severity"] for entry in entries)),
        "enhancedFindings": [entry | {"score": entry.get("inspectorScore")} for entry in entries],
    }
