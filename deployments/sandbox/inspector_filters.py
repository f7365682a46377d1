"""The filters and orders of Inspector's lists: any of a key's values, every key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.wire import AwsError

_MOST_CRITERIA = 10
_SEVERITIES = ("INFORMATIONAL", "UNTRIAGED", "LOW", "MEDIUM", "HIGH", "CRITICAL")

Entry = dict[str, Any]
Criteria = list[dict[str, Any]]


def matching(
    entries: list[Entry], criteria: dict[str, Criteria], keys: dict[str, Callable[[Entry], Any]]
) -> list[Entry]:
    """The entries that fulfil the criteria.

    Raises:
        AwsError: a key is not known here, or holds too many conditions.
    """
    for key, wanted in criteria.items():
        if key not in keys:
            raise AwsError("ValidationException", f"The sandbox does not filter by {key}.")
        if not 1 <= len(wanted) <= _MOST_CRITERIA:
            raise AwsError("ValidationException", f"{key} must hold between 1 and 10 conditions.")
    return [
        entry
        for entry in entries
        if all(any(_holds(keys[key](entry), one) for one in wanted) for key, wanted in criteria.items())
    ]


def sort(entries: list[Entry], order: dict[str, str]) -> None:
    """Put findings in the asked order.

    Raises:
        AwsError: the field is not known here.
    """
    key = _SORTS.get(order["field"])
    if key is None:
        raise AwsError("ValidationException", f"The sandbox does not sort by {order['field']}.")
    entries.sort(key=key, reverse=order["sortOrder"] == "DESC")


def _holds(value: Any, condition: dict[str, Any]) -> bool:
    if isinstance(value, list):
        return any(_holds(one, condition) for one in value)
    if "key" in condition:
        return value == (condition["key"], condition.get("value"))
    if "comparison" in condition:
        text = "" if value is None else str(value)
        match condition["comparison"]:
            case "PREFIX":
                return text.startswith(condition["value"])
            case "NOT_EQUALS":
                return text != condition["value"]
            case _:
                return text == condition["value"]
    if value is None:
        return False
    low = condition.get("lowerInclusive", condition.get("startInclusive"))
    high = condition.get("upperInclusive", condition.get("endInclusive"))
    return (low is None or value >= _aware(low)) and (high is None or value <= _aware(high))


def _aware(limit: Any) -> Any:
    return limit.replace(tzinfo=UTC) if isinstance(limit, datetime) and limit.tzinfo is None else limit


def _resource(entry: Entry) -> Entry:
    return entry["resources"][0]


def _instance(entry: Entry) -> Entry:
    return (_resource(entry).get("details") or {}).get("awsEc2Instance") or {}


def _image(entry: Entry) -> Entry:
    return (_resource(entry).get("details") or {}).get("awsEcrContainerImage") or {}


def _function(entry: Entry) -> Entry:
    return (_resource(entry).get("details") or {}).get("awsLambdaFunction") or {}


def _packages(entry: Entry) -> Entry:
    return entry.get("packageVulnerabilityDetails") or {}


def _covered_image(entry: Entry) -> Entry:
    return entry["resourceMetadata"].get("ecrImage") or {}


def _covered_function(entry: Entry) -> Entry:
    return entry["resourceMetadata"].get("lambdaFunction") or {}


def _covered_repository(entry: Entry) -> str | None:
    _, repository, name = entry["resourceId"].partition(":repository/")
    return name.rpartition("/")[0] if repository else None


FINDING_KEYS: dict[str, Callable[[Entry], Any]] = {
    "findingArn": lambda e: e["findingArn"],
    "awsAccountId": lambda e: e["awsAccountId"],
    "findingStatus": lambda e: e["status"],
    "findingType": lambda e: e["type"],
    "severity": lambda e: e["severity"],
    "title": lambda e: e.get("title"),
    "firstObservedAt": lambda e: e["firstObservedAt"],
    "lastObservedAt": lambda e: e["lastObservedAt"],
    "updatedAt": lambda e: e["updatedAt"],
    "fixAvailable": lambda e: e.get("fixAvailable"),
    "exploitAvailable": lambda e: e.get("exploitAvailable"),
    "inspectorScore": lambda e: e.get("inspectorScore"),
    "epssScore": lambda e: (e.get("epss") or {}).get("score"),
    "vulnerabilityId": lambda e: _packages(e).get("vulnerabilityId"),
    "vulnerabilitySource": lambda e: _packages(e).get("source"),
    "relatedVulnerabilities": lambda e: _packages(e).get("relatedVulnerabilities") or [],
    "resourceId": lambda e: _resource(e)["id"],
    "resourceType": lambda e: _resource(e)["type"],
    "resourceTags": lambda e: list((_resource(e).get("tags") or {}).items()),
    "ec2InstanceImageId": lambda e: _instance(e).get("imageId"),
    "ec2InstanceVpcId": lambda e: _instance(e).get("vpcId"),
    "ec2InstanceSubnetId": lambda e: _instance(e).get("subnetId"),
    "ecrImageHash": lambda e: _image(e).get("imageHash"),
    "ecrImageRepositoryName": lambda e: _image(e).get("repositoryName"),
    "ecrImageRegistry": lambda e: _image(e).get("registry"),
    "ecrImageTags": lambda e: _image(e).get("imageTags") or [],
    "ecrImageArchitecture": lambda e: _image(e).get("architecture"),
    "ecrImagePushedAt": lambda e: _image(e).get("pushedAt"),
    "ecrImageInUseCount": lambda e: _image(e).get("inUseCount"),
    "ecrImageLastInUseAt": lambda e: _image(e).get("lastInUseAt"),
    "lambdaFunctionName": lambda e: _function(e).get("functionName"),
    "lambdaFunctionLayers": lambda e: _function(e).get("layers") or [],
    "lambdaFunctionRuntime": lambda e: _function(e).get("runtime"),
    "lambdaFunctionLastModifiedAt": lambda e: _function(e).get("lastModifiedAt"),
    "lambdaFunctionExecutionRoleArn": lambda e: _function(e).get("executionRoleArn"),
}

COVERAGE_KEYS: dict[str, Callable[[Entry], Any]] = {
    "accountId": lambda e: e["accountId"],
    "resourceId": lambda e: e["resourceId"],
    "resourceType": lambda e: e["resourceType"],
    "scanType": lambda e: e["scanType"],
    "scanMode": lambda e: e.get("scanMode"),
    "scanStatusCode": lambda e: e["scanStatus"]["statusCode"],
    "scanStatusReason": lambda e: e["scanStatus"]["reason"],
    "lastScannedAt": lambda e: e.get("lastScannedAt"),
    "ec2InstanceTags": lambda e: list((e["resourceMetadata"].get("ec2") or {}).get("tags", {}).items()),
    "ecrRepositoryName": _covered_repository,
    "ecrImageTags": lambda e: _covered_image(e).get("tags") or [],
    "ecrImageInUseCount": lambda e: _covered_image(e).get("inUseCount"),
    "ecrImageLastInUseAt": lambda e: _covered_image(e).get("lastInUseAt"),
    "imagePulledAt": lambda e: _covered_image(e).get("imagePulledAt"),
    "lambdaFunctionName": lambda e: _covered_function(e).get("functionName"),
    "lambdaFunctionTags": lambda e: list((_covered_function(e).get("functionTags") or {}).items()),
    "lambdaFunctionRuntime": lambda e: _covered_function(e).get("runtime"),
}

_SORTS: dict[str, Callable[[Entry], Any]] = {
    "AWS_ACCOUNT_ID": lambda e: e["awsAccountId"],
    "FINDING_TYPE": lambda e: e["type"],
    "SEVERITY": lambda e: _SEVERITIES.index(e["severity"]),
    "FIRST_OBSERVED_AT": lambda e: e["firstObservedAt"],
    "LAST_OBSERVED_AT": lambda e: e["lastObservedAt"],
    "FINDING_STATUS": lambda e: e["status"],
    "RESOURCE_TYPE": lambda e: _resource(e)["type"],
    "ECR_IMAGE_REPOSITORY_NAME": lambda e: _image(e).get("repositoryName") or "",
    "INSPECTOR_SCORE": lambda e: e.get("inspectorScore") or 0.0,
    "VULNERABILITY_ID": lambda e: _packages(e).get("vulnerabilityId") or "",
    "EPSS_SCORE": lambda e: (e.get("epss") or {}).get("score") or 0.0,
}
