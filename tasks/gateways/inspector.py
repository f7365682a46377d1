"""Amazon Inspector: findings as they are now, what is known of exploits, and what its coverage says."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from runbooks import timestamps
from runbooks.delivery import ScanType
from runbooks.errors import BadInput
from runbooks.finding import Finding, FindingStatus, ResourceType
from runbooks.inspector import read_finding
from runbooks.instance import Exploitation
from runbooks.steps.base import Role
from runbooks.verdict import Coverage
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import HUNDRED, TEN, TWO_HUNDRED, pages, portions

Members = Mapping[str, Any]

_log = logging.getLogger(__name__)
_DETAILED = re.compile(r"arn:aws[\w-]*:inspector2:[\w-]+:\d{12}:finding/[a-f0-9]{32}", re.ASCII)
"""What BatchGetFindingDetails takes; an ARN of another form would fail the whole batch (on-demand scans make such)."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class InspectorGateway:
    """Reads Inspector in bulk: ten values of a filter, ten ARNs of a batch, and whole pages where that is less."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def findings(
        self, account: str, region: str, arns: Sequence[str], vulnerabilities: Mapping[str, str | None] | None = None
    ) -> dict[str, Finding | None]:
        """Each finding as it is now, whatever its status; None for one that Inspector no longer has.

        Args:
            vulnerabilities: ARN -> the vulnerability that the finding may be about: many findings of one are listed a
                hundred in a call. A hint: what does not stand there is asked for by its ARN before it is called absent.
        """
        found: dict[str, Finding | None] = dict.fromkeys(arns)
        for finding in self._of_vulnerabilities(account, region, found, vulnerabilities or {}):
            found[finding.arn] = finding
        for portion in portions([arn for arn, finding in found.items() if finding is None], TEN):
            for finding in self._list(account, region, "findingArn", portion):
                found[finding.arn] = finding
        return found

    @reads()
    def findings_of(self, account: str, region: str, resource_id: str) -> tuple[Finding, ...]:
        """Every finding on the resource, whatever its status, by ARN."""
        found = self._list(account, region, "resourceId", [resource_id])
        return tuple(sorted(found, key=lambda finding: finding.arn))

    @reads()
    def updated(self, account: str, region: str, since: datetime, until: datetime) -> tuple[Finding, ...]:
        """Every active finding that was updated in that time, of all accounts that this one sees.

        What is no finding in AWS, or cannot be read as one, is left out, and the log says so.
        """
        found: list[Finding] = []
        client = self._client(account, region)
        criteria = {
            "findingStatus": _equals([FindingStatus.ACTIVE]),
            "updatedAt": [{"startInclusive": since, "endInclusive": until}],
        }
        # Inspector does not sort by the update; by the first observation a finding keeps its page while it is listed.
        order = {"field": "FIRST_OBSERVED_AT", "sortOrder": "ASC"}
        size = {"PageSize": HUNDRED}
        for raw in pages(
            client, "list_findings", "findings", filterCriteria=criteria, sortCriteria=order, PaginationConfig=size
        ):
            try:
                found.append(read_finding(raw))
            except BadInput as error:
                _log.warning("%s is left out: %s", raw.get("findingArn"), error.detail)
        return tuple(found)

    @reads()
    def exploitation(
        self, account: str, region: str, arns: Sequence[str], vulnerabilities: Mapping[str, str | None] | None = None
    ) -> dict[str, Exploitation | None]:
        """What is publicly known of exploits for each finding; None where Inspector did not say.

        None is not "no exploit is known": the look-up failed for this finding, and the log says why.

        Args:
            vulnerabilities: ARN -> the vulnerability that Inspector says the finding is about. The details are the
                vulnerability's (Inspector API reference, FindingDetail), so that one finding of each is asked about;
                the others are only where that fails.
        """
        alike: dict[str, list[str]] = {}
        for arn in dict.fromkeys(arns):
            alike.setdefault((vulnerabilities or {}).get(arn) or arn, []).append(arn)
        first = self._details(account, region, [members[0] for members in alike.values()])
        failed = [arn for members in alike.values() if members[0] not in first for arn in members[1:]]
        known = first | self._details(account, region, failed)
        found: dict[str, Exploitation | None] = {}
        for members in alike.values():
            found |= {arn: known.get(arn, first.get(members[0])) for arn in members}
        return found

    def _details(self, account: str, region: str, arns: Sequence[str]) -> dict[str, Exploitation]:
        found: dict[str, Exploitation] = {}
        client = self._client(account, region)
        for portion in portions([arn for arn in arns if _DETAILED.fullmatch(arn)], TEN):
            try:
                answer = client.batch_get_finding_details(findingArns=list(portion))
            except ClientError as error:
                _log.warning("details of %d findings are not known: %s", len(portion), code_of(error))
                continue
            found |= {raw["findingArn"]: _exploitation(raw) for raw in answer.get("findingDetails") or ()}
            for failed in answer.get("errors") or ():
                _log.warning("details of %s are not known: %s", failed["findingArn"], failed["errorCode"])
        return found

    @reads()
    def coverage(
        self,
        account: str,
        region: str,
        resource_ids: Sequence[str],
        scan_type: ScanType = "PACKAGE",
    ) -> dict[str, Coverage | None]:
        """Inspector's view of its scans of each resource, of this type; None where it has none.

        With hybrid scanning a resource has a row for each scan mode: the active one counts, then the latest.
        """
        rows: dict[str, list[Members]] = {one: [] for one in dict.fromkeys(resource_ids)}
        for row in self._all_coverage(account, region, rows, scan_type) or self._coverage_of(
            account, region, list(rows), scan_type
        ):
            if row["resourceId"] in rows:
                rows[row["resourceId"]].append(row)
        return {one: _coverage(max(found, key=_weight)) if found else None for one, found in rows.items()}

    @reads()
    def images(self, account: str, region: str, digest: str) -> tuple[str, ...]:
        """The ARNs of the account's container images of this digest: one for each repository that has it."""
        criteria = {"accountId": _equals([account]), "resourceType": _equals([ResourceType.ECR_IMAGE])}
        size = {"PageSize": TWO_HUNDRED}
        client = self._client(account, region)
        rows = pages(client, "list_coverage", "coveredResources", filterCriteria=criteria, PaginationConfig=size)
        return tuple(sorted({row["resourceId"] for row in rows if row["resourceId"].endswith(f"/{digest}")}))

    def _all_coverage(self, account: str, region: str, wanted: Collection[str], scan_type: str) -> list[Members] | None:
        """The rows of every resource of the account; None where asking by id takes fewer calls.

        All or nothing: the rows of one resource may stand on different pages.
        """
        most = len(wanted) // TEN
        if most == 0:
            return None
        rows: list[Members] = []
        criteria = {"accountId": _equals([account]), "scanType": _equals([scan_type])}
        listed = self._client(account, region).get_paginator("list_coverage")
        size = {"PageSize": TWO_HUNDRED}
        for number, page in enumerate(listed.paginate(filterCriteria=criteria, PaginationConfig=size), 1):
            here = page["coveredResources"]
            rows += here
            if not page.get("nextToken"):
                return rows
            if number >= most or sum(row["resourceId"] in wanted for row in here) <= TEN:
                return None
        return None

    def _coverage_of(self, account: str, region: str, ids: Sequence[str], scan_type: str) -> Iterator[Members]:
        client = self._client(account, region)
        for portion in portions(ids, TEN):
            criteria = {"resourceId": _equals(portion), "scanType": _equals([scan_type])}
            yield from pages(client, "list_coverage", "coveredResources", filterCriteria=criteria)

    def _of_vulnerabilities(
        self, account: str, region: str, wanted: Collection[str], vulnerabilities: Mapping[str, str | None]
    ) -> Iterator[Finding]:
        """Those of the wanted findings that whole pages bring, for as long as a page brings more than asking by ARN."""
        named = Counter(vulnerability for arn in wanted if (vulnerability := vulnerabilities.get(arn)))
        listed = self._client(account, region).get_paginator("list_findings")
        size = {"PageSize": HUNDRED}
        for portion in portions([name for name, _ in named.most_common()], TEN):
            if sum(named[name] for name in portion) <= TEN:
                return
            criteria = {"vulnerabilityId": _equals(portion)}
            for page in listed.paginate(filterCriteria=criteria, PaginationConfig=size):
                here = [raw for raw in page["findings"] if raw["findingArn"] in wanted]
                yield from map(read_finding, here)
                if page.get("nextToken") and len(here) <= TEN:
                    return

    def _list(self, account: str, region: str, key: str, values: Sequence[str]) -> list[Finding]:
        client = self._client(account, region)
        raws = pages(client, "list_findings", "findings", filterCriteria={key: _equals(values)})
        return [read_finding(raw) for raw in raws]

    def _client(self, account: str, region: str) -> Any:
        return self._sessions.client("inspector2", account, region, Role.READ)


def partition_of(region: str) -> str:
    """The partition a region belongs to (AWS General Reference, "Partitions"): aws, aws-cn, aws-us-gov."""
    return next((f"aws-{start}" for start in ("cn", "us-gov") if region.startswith(f"{start}-")), "aws")


def _equals(values: Sequence[str]) -> list[dict[str, str]]:
    return [{"comparison": "EQUALS", "value": value} for value in values]


def _exploitation(raw: Members) -> Exploitation:
    listed = raw.get("cisaData") or {}
    return Exploitation(
        exploit_available=bool(raw.get("exploitObserved")),
        epss=raw.get("epssScore"),
        known_exploited_since=_moment(listed.get("dateAdded")),
        known_exploited_due=_moment(listed.get("dateDue")),
    )


def _weight(row: Members) -> tuple[bool, datetime]:
    return row.get("scanStatus", {}).get("statusCode") == "ACTIVE", row.get("lastScannedAt") or _NEVER


def _coverage(row: Members) -> Coverage:
    status = row.get("scanStatus") or {}
    return Coverage(
        status=status.get("statusCode", ""),
        reason=status.get("reason", ""),
        last_scanned_at=_moment(row.get("lastScannedAt")),
    )


def _moment(value: datetime | None) -> datetime | None:
    """In UTC: botocore gives times in the zone of the machine it runs on."""
    return None if value is None else timestamps.read(value)
