"""Amazon Inspector's API: findings, their details, and coverage."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from deployments.sandbox.container_images import RunningImage
from deployments.sandbox.finding_body import describe_finding
from deployments.sandbox.inspector_filters import COVERAGE_KEYS, FINDING_KEYS, Entry, matching, sort
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.scanned import KINDS, Kind, coverage
from deployments.sandbox.wire import AwsError

_FINDING_ARN = re.compile(r"^arn:(aws[a-zA-Z-]*)?:inspector2:[a-z-]+-\d:\d{12}:finding/[a-f0-9]{32}$")
_NEWEST_LAST = {"field": "FIRST_OBSERVED_AT", "sortOrder": "ASC"}


@operation("inspector2", "ListFindings")
def list_findings(call: Call) -> dict[str, Any]:
    """The findings that match every given key, any of a key's values; in the asked order; by pages of at most 100."""
    _check_page_size(call)
    entries = [describe_finding(call.world, finding) for finding in call.world.findings.values()]
    chosen = matching(entries, call.params.get("filterCriteria") or {}, FINDING_KEYS)
    sort(chosen, call.params.get("sortCriteria") or _NEWEST_LAST)
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
    """What is scanned, with its status and when it was scanned last: a row for each way it is scanned."""
    _check_page_size(call, most=200)
    return _page(call, _covered(call), "coveredResources", most=200)


@operation("inspector2", "ListCoverageStatistics")
def list_coverage_statistics(call: Call) -> dict[str, Any]:
    """How many resources match."""
    return {"totalCounts": len(_covered(call)), "countsByGroup": []}


@operation("inspector2", "GetClustersForImage")
def get_clusters_for_image(call: Call) -> dict[str, Any]:
    """The ECS and EKS clusters in which an image runs or ran; of a repository's ARN, those of all its images."""
    _check_page_size(call)
    wanted = call.params["filter"]["resourceId"]
    digests = {
        image.digest
        for arn, image in call.world.container_images.items()
        if arn == wanted or arn.startswith(f"{wanted}/sha256:")
    }
    clusters: dict[str, list[Entry]] = {}
    for digest in sorted(digests):
        for place in call.world.running_images.get(digest, []):
            clusters.setdefault(place.cluster_arn, []).append(_cluster_details(place))
    entries = [{"clusterArn": arn, "clusterDetails": details} for arn, details in clusters.items()]
    return _page(call, entries, "cluster")


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


def _covered(call: Call) -> list[Entry]:
    entries = [entry for kind in KINDS.values() for entry in _coverage_rows(call, kind)]
    return matching(entries, call.params.get("filterCriteria") or {}, COVERAGE_KEYS)


def _coverage_rows(call: Call, kind: Kind) -> Iterable[Entry]:
    for scanned in kind.all(call.world):
        code, reason = coverage(call.world, scanned)
        row: Entry = {
            "accountId": call.account,
            "resourceId": scanned.resource_id,
            "resourceType": kind.resource_type,
            "scanStatus": {"statusCode": code, "reason": reason},
        }
        if scanned.scanned_at:
            row["lastScannedAt"] = scanned.scanned_at
        yield from (row | own for own in kind.rows(call.world, scanned))


def _cluster_details(place: RunningImage) -> Entry:
    ecs = {"detailsGroup": place.group, "taskDefinitionArn": place.workload}
    eks = {"namespace": place.group, "workloadInfoList": [{"name": place.workload, "type": "Deployment"}]}
    return {
        "lastInUse": place.last_used_at,
        "runningUnitCount": place.running,
        "stoppedUnitCount": place.stopped,
        "clusterMetadata": {"awsEcsMetadataDetails": ecs} if place.kind == "ECS" else {"awsEksMetadataDetails": eks},
    }


def _detail_error(arn: str, code: str) -> Entry:
    return {"findingArn": arn, "errorCode": code, "errorMessage": code.replace("_", " ").capitalize()}
