"""A finding in the Open Cybersecurity Schema Framework (OCSF), put into Amazon Inspector's own words.

Security Hub sends them as "Findings Imported V2". Sources: class 2002, Vulnerability Finding, and its objects in the
OCSF schema (schema.ocsf.io); "OCSF findings in Security Hub" (Security Hub user guide), for which a finding whose
activity is Close is closed. Inspector's ARN is `finding_info.uid`. A time is in milliseconds, and a text in its twin
that ends in `_dt`.
"""

from __future__ import annotations

from pydantic.alias_generators import to_camel

from runbooks.finding import FindingStatus, FindingType
from runbooks.inspector_terms import Members, other_product, provider_name, renamed, resource_name
from runbooks.strict_json import entries_of, members_of

MARKS = frozenset({"class_uid", "metadata"})
"""Members that every event of the schema has."""


def product_of(finding: Members) -> str | None:
    """The product whose finding it is; None for Amazon Inspector's."""
    product = members_of(members_of(finding.get("metadata")).get("product"))
    return other_product(product.get("uid"), product.get("name"), members_of(finding.get("finding_info")).get("uid"))


def as_detail(finding: Members) -> Members:
    """The finding as Inspector would write it. What has no place there is kept, as sent, in `ocsf`.

    Nothing is checked: what is missing or of the wrong kind is so in the result. The severity is the vendor's own, not
    what somebody made of it in Security Hub.
    """
    left = dict(finding)
    info = left["finding_info"] = dict(members_of(finding.get("finding_info")))
    cloud = members_of(finding.get("cloud"))
    kind = _type(finding)
    vendors = members_of(finding.get("vendor_attributes"))
    last_seen = _moment(info, "last_seen_time") or _moment(info, "modified_time", taken=False)
    detail: Members = {
        "findingArn": info.pop("uid", None),
        "awsAccountId": members_of(cloud.get("account")).get("uid") or _owner(finding),
        "type": kind,
        "status": _status(finding),
        "severity": _upper(vendors.get("severity") or finding.get("severity")),
        "title": info.pop("title", None),
        "description": info.pop("desc", None),
        "resources": [_resource(entry, cloud) for entry in entries_of(left.pop("resources", None))],
        "firstObservedAt": _moment(info, "first_seen_time") or _moment(info, "created_time"),
        "lastObservedAt": last_seen,
        "updatedAt": _moment(info, "modified_time") or last_seen,
    }
    if kind == FindingType.PACKAGE:
        first, *others = entries_of(left.pop("vulnerabilities"))
        vulnerability = dict(members_of(first))
        detail |= _vulnerability(vulnerability)
        left["vulnerabilities"] = [vulnerability, *others]
    return {name: member for name, member in detail.items() if member is not None} | {"ocsf": left}


_STATUSES = {
    1: FindingStatus.ACTIVE,
    2: FindingStatus.ACTIVE,
    3: FindingStatus.SUPPRESSED,
    4: FindingStatus.CLOSED,
    5: FindingStatus.CLOSED,
    6: FindingStatus.CLOSED,
}
"""By `status_id`: new, in progress, suppressed, resolved, archived, deleted."""
_CLOSE = 3
"""`activity_id` of a finding that is closed."""
_PARTIAL = 2
"""`fix_coverage_id` where only some of the packages have a fix."""
_PACKAGE = {"architecture": "arch", "path": "filePath"}
_CVSS = {"vectorString": "scoringVector", "vendorName": "source"}


def _type(finding: Members) -> object:
    """Inspector's type of finding, told by what it has; for none of them what its producer calls the type."""
    vulnerabilities = [members_of(entry) for entry in entries_of(finding.get("vulnerabilities"))]
    if any("affected_code" in each for each in vulnerabilities):
        return FindingType.CODE
    if vulnerabilities:
        return FindingType.PACKAGE
    types = entries_of(members_of(finding.get("finding_info")).get("types"))
    if any(isinstance(each, str) and "Network Reachability" in each for each in types):
        return FindingType.NETWORK
    return types[0] if types else "UNKNOWN"


def _status(finding: Members) -> object:
    """Inspector's status; one that nobody knows is kept as it is, and taken by nothing for an active one."""
    if finding.get("activity_id") == _CLOSE or finding.get("activity_name") == "Close":
        return FindingStatus.CLOSED
    status, word = finding.get("status_id"), finding.get("status")
    if status is None and word is None:
        return FindingStatus.ACTIVE
    known = _STATUSES.get(status) if isinstance(status, int) else None
    return known or _upper(word) or f"OCSF {status}"


def _owner(finding: Members) -> object:
    first = members_of(next(iter(entries_of(finding.get("resources"))), None))
    return members_of(members_of(first.get("owner")).get("account")).get("uid")


def _resource(value: object, cloud: Members) -> Members:
    left = dict(members_of(value))
    data = members_of(left.pop("data", None))
    digest = members_of(data.get("awsEcrContainerImageDetails")).get("imageHash")
    name, partition = left.pop("uid", None), left.pop("cloud_partition", None)
    known: Members = {
        **resource_name(left.pop("type", None), name, left.get("uid_alt"), f"{name}/{digest}"),
        "provider": provider_name(left.pop("provider", None) or cloud.get("provider"), partition),
        "region": left.pop("region", None) or cloud.get("region"),
        "partition": partition,
        "tags": _tags(left.pop("tags", None)),
        "details": {each.removesuffix("Details"): members_of(form) for each, form in data.items()},
    }
    return left | {each: member for each, member in known.items() if member is not None}


def _tags(value: object) -> Members:
    """Tags are objects with a name and a value; one that has no name is none."""
    pairs = [(tag.get("name"), tag.get("value")) for tag in map(members_of, entries_of(value))]
    return {name: value if isinstance(value, str) else "" for name, value in pairs if isinstance(name, str)}


def _vulnerability(left: Members) -> Members:
    """Takes out of `left` what Inspector has a member for."""
    cve = left["cve"] = dict(members_of(left.get("cve")))
    return {
        "fixAvailable": _fix(left),
        "exploitAvailable": _yes_or_no(left.get("is_exploit_available")),
        "epss": renamed(cve.pop("epss", None), to_camel),
        "exploitabilityDetails": {"lastKnownExploitAt": _moment(left, "exploit_last_seen_time")},
        "packageVulnerabilityDetails": {
            "vulnerabilityId": cve.pop("uid", None) or members_of(left.get("advisory")).get("uid"),
            "vulnerablePackages": [_package(entry) for entry in entries_of(left.pop("affected_packages", None))],
            "cvss": renamed(cve.pop("cvss", None), to_camel, _CVSS),
            "vendorSeverity": left.pop("severity", None),
            "vendorCreatedAt": _moment(cve, "created_time"),
            "vendorUpdatedAt": _moment(cve, "modified_time"),
            "referenceUrls": left.pop("references", None),
            "relatedVulnerabilities": left.pop("related_vulnerabilities", None),
        },
    }


def _fix(vulnerability: Members) -> str | None:
    known = _yes_or_no(vulnerability.get("is_fix_available"))
    return "PARTIAL" if known == "YES" and vulnerability.get("fix_coverage_id") == _PARTIAL else known


def _yes_or_no(flag: object) -> str | None:
    return ("YES" if flag else "NO") if isinstance(flag, bool) else None


def _package(value: object) -> Members:
    package = renamed(members_of(value), to_camel, _PACKAGE)
    remediation = members_of(package.get("remediation"))
    return package | ({"remediation": remediation.get("desc")} if remediation else {})


def _moment(members: Members, name: str, *, taken: bool = True) -> object:
    """The time under `name`, which is told twice: as a text, and in milliseconds. Taken, both are gone."""
    millis, text = members.get(name), members.get(f"{name}_dt")
    if taken:
        members.pop(name, None)
        members.pop(f"{name}_dt", None)
    if text is not None or isinstance(millis, bool):
        return text if text is not None else millis
    return millis / 1000 if isinstance(millis, int | float) else millis


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value
