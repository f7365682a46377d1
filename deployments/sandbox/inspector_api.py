"""Amazon Inspector's API: findings, their details, and coverage."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox import inspector
from deployments.sandbox.finding_body import describe_finding, instance_details
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError
from deployments.sandbox.world import Node

_FINDING_ARN = re.compile(r"^arn:(aws[a-zA-Z-]*)?:inspector2:[a-z-]+-\d:\d{12}:finding/[a-f0-9]{32}$")
_MOST_CRITERIA = 10
_SEVERITIES = ("INFORMATIONAL", "UNTRIAGED", "LOW", "MEDIUM", "HIGH", "CRITICAL")

Entry = dict[str, Any]
Criteria = list[dict[str, Any]]


@operation("inspector2", "ListFindings")
def list_findings(call: Call) -> dict[str, Any]:
    """The findings that match every given key, any of a key's values; in the asked order; by pages of at most 100."""
    _check_page_size(call)
    entries = [describe_finding(call.world, finding) for finding in call.world.findings.values()]
    chosen = _matching(entries, call.params.get("filterCriteria") or {}, _FINDING_KEYS)
    sort = call.params.get("sortCriteria") or {"field": "FIRST_OBSERVED_AT", "sortOrder": "ASC"}
    key = _SORTS.get(sort["field"])
    if key is None:
        raise AwsError("ValidationException", f"The sandbox does not sort by {sort['field']}.")
    chosen.sort(key=key, reverse=sort["sortOrder"] == "DESC")
    return _page(call, chosen, "findings")


@operation("inspector2", "BatchGetFindingDetails")
def batch_get_finding_details(call: Call) -> dict[str, Any]:
    """What Inspector knows beyond the finding: CISA's catalogue, EPSS, exploitation; an error for each unknown ARN."""
    arns = call.params["findingArns"]
    if not 1 <= len(arns) <= 10:
        raise AwsError("ValidationException", "findingArns must hold between 1 and 10 ARNs.")
    details, errors = [], []
    for position, arn in enumerate(arns):
        finding = call.world.findings.get(arn)
        if not _FINDING_ARN.match(arn):
            errors.append(_detail_error(arn, "INVALID_INPUT"))
        elif finding is None:
            errors.append(_detail_error(arn, "FINDING_DETAILS_NOT_FOUND"))
        elif call.partial and position % 2 == 1:
            errors.append(_detail_error(arn, "INTERNAL_ERROR"))
        else:
            details.append({"findingArn": arn} | finding.advisory.details)
    return {"findingDetails": details, "errors": errors}


@operation("inspector2", "ListCoverage")
def list_coverage(call: Call) -> dict[str, Any]:
    """What is scanned, with its status and when it was scanned last: one row for packages, one for the network."""
    _check_page_size(call, most=200)
    entries = [entry for node in call.world.nodes.values() for entry in _coverage_rows(call, node)]
    chosen = _matching(entries, call.params.get("filterCriteria") or {}, _COVERAGE_KEYS)
    return _page(call, chosen, "coveredResources", most=200)


@operation("inspector2", "ListCoverageStatistics")
def list_coverage_statistics(call: Call) -> dict[str, Any]:
    """How many resources match."""
    entries = [entry for node in call.world.nodes.values() for entry in _coverage_rows(call, node)]
    chosen = _matching(entries, call.params.get("filterCriteria") or {}, _COVERAGE_KEYS)
    return {"totalCounts": len(chosen), "countsByGroup": []}


@operation("inspector2", "BatchGetAccountStatus")
def batch_get_account_status(call: Call) -> dict[str, Any]:
    """Inspector is on in every account of the sandbox."""
    enabled = {"status": "ENABLED", "errorCode": "ALREADY_ENABLED", "errorMessage": ""}
    resources = ("ec2", "ecr", "lambda", "lambdaCode")
    accounts = [
        {"accountId": one, "state": enabled, "resourceState": dict.fromkeys(resources, enabled)}
        for one in call.params.get("accountIds") or [call.account]
    ]
    return {"accounts": accounts, "failedAccounts": []}


def _page(call: Call, entries: list[Entry], result: str, most: int = 100) -> dict[str, Any]:
    return page(
        call,
        entries,
        result=result,
        token="nextToken",
        limit="maxResults",
        most=most,
        invalid_token="ValidationException",
    )


def _check_page_size(call: Call, most: int = 100) -> None:
    if not 1 <= int(call.params.get("maxResults") or 1) <= most:
        raise AwsError("ValidationException", f"maxResults must be between 1 and {most}.")


def _coverage_rows(call: Call, node: Node) -> Iterable[Entry]:
    instance = call.world.instance(node.instance_id)
    if instance is None or (instance.state == "terminated" and node.first_scanned_at is None):
        return
    code, reason = inspector.coverage(call.world, node)
    for scan_type in ("PACKAGE", "NETWORK"):
        row: Entry = {
            "accountId": call.account,
            "resourceId": node.instance_id,
            "resourceType": "AWS_EC2_INSTANCE",
            "scanType": scan_type,
            "scanMode": "EC2_SSM_AGENT_BASED",
            "scanStatus": {"statusCode": code, "reason": reason},
            "resourceMetadata": {
                "ec2": {
                    "amiId": instance.image_id,
                    "platform": "WINDOWS" if node.platform.is_windows else "LINUX",
                    "tags": {tag["key"]: tag["value"] for tag in instance.get_tags()},
                }
            },
        }
        if node.scanned_at:
            row["lastScannedAt"] = node.scanned_at
        yield row


def _detail_error(arn: str, code: str) -> Entry:
    return {"findingArn": arn, "errorCode": code, "errorMessage": code.replace("_", " ").capitalize()}


def _matching(
    entries: list[Entry], criteria: dict[str, Criteria], keys: dict[str, Callable[[Entry], Any]]
) -> list[Entry]:
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


def _holds(value: Any, condition: dict[str, Any]) -> bool:
    if isinstance(value, (list, set, tuple)):
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


def _package_details(entry: Entry) -> Entry:
    return entry.get("packageVulnerabilityDetails") or {}


def _severity_rank(entry: Entry) -> int:
    return _SEVERITIES.index(entry["severity"])


_FINDING_KEYS: dict[str, Callable[[Entry], Any]] = {
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
    "vulnerabilityId": lambda e: _package_details(e).get("vulnerabilityId"),
    "vulnerabilitySource": lambda e: _package_details(e).get("source"),
    "relatedVulnerabilities": lambda e: _package_details(e).get("relatedVulnerabilities") or [],
    "resourceId": lambda e: _resource(e)["id"],
    "resourceType": lambda e: _resource(e)["type"],
    "resourceTags": lambda e: list((_resource(e).get("tags") or {}).items()),
    "ec2InstanceImageId": lambda e: instance_details(e).get("imageId"),
    "ec2InstanceVpcId": lambda e: instance_details(e).get("vpcId"),
    "ec2InstanceSubnetId": lambda e: instance_details(e).get("subnetId"),
}

_COVERAGE_KEYS: dict[str, Callable[[Entry], Any]] = {
    "accountId": lambda e: e["accountId"],
    "resourceId": lambda e: e["resourceId"],
    "resourceType": lambda e: e["resourceType"],
    "scanType": lambda e: e["scanType"],
    "scanMode": lambda e: e["scanMode"],
    "scanStatusCode": lambda e: e["scanStatus"]["statusCode"],
    "scanStatusReason": lambda e: e["scanStatus"]["reason"],
    "lastScannedAt": lambda e: e.get("lastScannedAt"),
    "ec2InstanceTags": lambda e: list(e["resourceMetadata"]["ec2"]["tags"].items()),
}

_SORTS: dict[str, Callable[[Entry], Any]] = {
    "AWS_ACCOUNT_ID": lambda e: e["awsAccountId"],
    "FINDING_TYPE": lambda e: e["type"],
    "SEVERITY": _severity_rank,
    "FIRST_OBSERVED_AT": lambda e: e["firstObservedAt"],
    "LAST_OBSERVED_AT": lambda e: e["lastObservedAt"],
    "FINDING_STATUS": lambda e: e["status"],
    "RESOURCE_TYPE": lambda e: _resource(e)["type"],
    "INSPECTOR_SCORE": lambda e: e.get("inspectorScore") or 0.0,
    "VULNERABILITY_ID": lambda e: _package_details(e).get("vulnerabilityId") or "",
    "EPSS_SCORE": lambda e: (e.get("epss") or {}).get("score") or 0.0,
}
