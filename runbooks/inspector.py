"""A finding in Amazon Inspector's own JSON, read into a `Finding` and written back.

EventBridge's `detail` and the API's Finding have the same members (Inspector API reference, "Finding") and differ in
how times are written, so the finding of one vulnerability reads to the same value through each door.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import cast

from pydantic import ValidationError

from runbooks import timestamps
from runbooks.errors import MalformedPayload, UnknownKind
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.inspector_json import Members, SentFinding, SentPackage
from runbooks.strict_json import member_path


def read_finding(value: object, path: str = "$") -> Finding:
    """The finding that `value` holds: the `detail` of an EventBridge event, or one finding of the API.

    A finding has one resource. Should one ever come with several, it is taken to be on the first that AWS runs, and
    the others are kept in `extra["resources"]`.

    Raises:
        MalformedPayload: (malformed-finding) A member is missing or not what the API says it is; `path` begins the
            JSON path in the message.
        UnknownKind: (other-cloud) It is on a resource of another cloud, which nothing here may touch.
    """
    try:
        sent = SentFinding.model_validate(value)
    except ValidationError as error:
        raise _malformed(error, path) from None
    place = next((index for index, resource in enumerate(sent.resources) if resource.in_aws), None)
    if place is None:
        raise UnknownKind(f"the finding is on {sent.resources[0].type[:80]!r}, not an AWS resource", code="other-cloud")
    package_details = sent.package_vulnerability_details
    return Finding(
        arn=sent.finding_arn,
        type=sent.type,
        status=sent.status,
        severity=sent.severity,
        title=sent.title if sent.title is not None else package_details.vulnerability_id or sent.type,
        description=sent.description,
        resource=_resource(sent, place, path),
        vulnerability_id=package_details.vulnerability_id,
        packages=tuple(_package(package) for package in package_details.vulnerable_packages),
        inspector_score=sent.inspector_score,
        cvss_score=package_details.highest_score,
        epss=sent.epss.score,
        exploit_available=_YES_NO.get(sent.exploit_available),
        fix_available=sent.fix_available,
        vendor_severity=package_details.vendor_severity,
        source_url=package_details.source_url,
        published_at=package_details.vendor_created_at,
        first_observed_at=sent.first_observed_at,
        last_observed_at=sent.last_observed_at,
        updated_at=sent.updated_at or sent.last_observed_at,
        last_known_exploit_at=sent.exploitability_details.last_known_exploit_at,
        extra=_extra(sent, place),
    )


def to_detail(finding: Finding) -> Members:
    """The finding as the `detail` of an EventBridge event; `read_finding` gives back an equal one."""
    extra = _with_times(finding.extra, timestamps.event_form)
    understood: Members = {
        "awsAccountId": finding.resource.account,
        "findingArn": finding.arn,
        "type": finding.type,
        "status": finding.status,
        "severity": finding.severity,
        "title": finding.title,
        "description": finding.description,
        "resources": [_resource_members(finding.resource), *extra.pop("resources", [])],
        "inspectorScore": finding.inspector_score,
        "epss": {"score": finding.epss},
        "exploitAvailable": next(word for word, known in _YES_NO.items() if known is finding.exploit_available),
        "exploitabilityDetails": {"lastKnownExploitAt": _event_time(finding.last_known_exploit_at)},
        "fixAvailable": finding.fix_available,
        "firstObservedAt": _event_time(finding.first_observed_at),
        "lastObservedAt": _event_time(finding.last_observed_at),
        "updatedAt": _event_time(finding.updated_at),
        "packageVulnerabilityDetails": {
            "vulnerabilityId": finding.vulnerability_id,
            "vulnerablePackages": [_package_members(package) for package in finding.packages],
            "cvss": [] if finding.cvss_score is None else [{"baseScore": finding.cvss_score}],
            "sourceUrl": finding.source_url,
            "vendorCreatedAt": _event_time(finding.published_at),
            "vendorSeverity": finding.vendor_severity,
        },
    }
    return _joined(_stated(understood), extra)


_YES_NO = {"YES": True, "NO": False, None: None}
_NO_FIX = ("", "notavailable")
"""What fixedInVersion says where no version fixes it, in lower case."""
_TIMES = frozenset(
    ("launchedAt", "pushedAt", "lastInUseAt", "lastModifiedAt", "creationDate", "vendorCreatedAt", "vendorUpdatedAt")
)
"""Members that are times, in the parts that are kept as sent (botocore's inspector2 model)."""


def _resource(sent: SentFinding, place: int, path: str) -> Resource:
    resource = sent.resources[place]
    region = resource.region or _arn_part(resource.id, 3) or _arn_part(sent.finding_arn, 3)
    if not region:
        raise _malformed_finding(f"{path}.resources[{place}].region is missing, and no ARN in the finding names it")
    return Resource(
        type=resource.type,
        id=resource.id,
        account=sent.aws_account_id,
        region=region,
        partition=resource.partition or _arn_part(resource.id, 1) or _arn_part(sent.finding_arn, 1) or "aws",
        tags=resource.tags,
        details=_with_times(resource.details, timestamps.iso_form),
        extra=_with_times(resource.rest, timestamps.iso_form),
    )


def _resource_members(resource: Resource) -> Members:
    understood: Members = {
        "type": resource.type,
        "id": resource.id,
        "region": resource.region,
        "partition": resource.partition,
        "tags": resource.tags,
        "details": _with_times(resource.details, timestamps.event_form),
    }
    return understood | _with_times(resource.extra, timestamps.event_form)


def _package(sent: SentPackage) -> VulnerablePackage:
    fixed_in = sent.fixed_in_version
    return VulnerablePackage(
        name=sent.name,
        version=sent.version,
        epoch=sent.epoch,
        release=sent.release,
        arch=sent.arch,
        manager=sent.package_manager,
        fixed_in=None if fixed_in.strip().lower() in _NO_FIX else fixed_in,
        remediation=sent.remediation,
        file_path=sent.file_path,
        extra=_with_times(sent.rest, timestamps.iso_form),
    )


def _package_members(package: VulnerablePackage) -> Members:
    understood: Members = {
        "name": package.name,
        "version": package.version,
        "epoch": package.epoch,
        "release": package.release,
        "arch": package.arch,
        "packageManager": package.manager,
        "fixedInVersion": package.fixed_in,
        "remediation": package.remediation,
        "filePath": package.file_path,
    }
    return _stated(understood) | _with_times(package.extra, timestamps.event_form)


def _extra(sent: SentFinding, place: int) -> Members:
    others = [other.members for index, other in enumerate(sent.resources) if index != place]
    in_part: Members = {
        "epss": sent.epss.rest,
        "exploitabilityDetails": sent.exploitability_details.rest,
        "packageVulnerabilityDetails": sent.package_vulnerability_details.rest,
        "resources": others,
        "exploitAvailable": sent.exploit_available if sent.exploit_available not in _YES_NO else None,
    }
    return _with_times(sent.rest | {name: rest for name, rest in in_part.items() if rest}, timestamps.iso_form)


def _joined(understood: Members, extra: Members) -> Members:
    """Both together. What `extra` holds of a member understood in part is the fuller form of it, and wins."""
    joined = dict(understood)
    for name, member in extra.items():
        mine = joined.get(name)
        if isinstance(mine, dict) and isinstance(member, dict):
            joined[name] = _joined(cast(Members, mine), cast(Members, member))
        else:
            joined[name] = member
    return joined


def _stated(members: Members) -> Members:
    """The members that say something: no null, and no object or list that holds nothing."""
    inner = {name: _stated(cast(Members, m)) if isinstance(m, dict) else m for name, m in members.items()}
    return {name: member for name, member in inner.items() if member not in (None, {}, [])}


def _with_times(members: Members, form: Callable[[datetime], str]) -> Members:
    """A copy with the times in it written in one form; what only looks like a time by its name stays as it is."""

    def written(name: str, value: object) -> object:
        if isinstance(value, dict):
            members = cast(Members, value)
            return members if name == "tags" else _with_times(members, form)  # a tag may be named like a time
        if isinstance(value, list):
            return [written("", entry) for entry in cast(list[object], value)]
        if not isinstance(value, datetime) and name not in _TIMES:
            return value
        try:
            return form(timestamps.read(value))
        except ValueError:
            return value

    return {name: written(name, value) for name, value in members.items()}


def _event_time(moment: datetime | None) -> str | None:
    return None if moment is None else timestamps.event_form(moment)


def _arn_part(text: str, place: int) -> str | None:
    parts = text.split(":")
    return parts[place] or None if parts[0] == "arn" and len(parts) >= 6 else None


def _malformed(error: ValidationError, path: str) -> MalformedPayload:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    for step in first["loc"]:
        path = member_path(path, step)
    what = {"missing": "is missing", "model_type": "should be an object"}.get(first["type"], first["msg"])
    return _malformed_finding(f"{path}: {what.removeprefix('Value error, ')}")


def _malformed_finding(what: str) -> MalformedPayload:
    return MalformedPayload(
        f"not an Inspector finding: {what}. Send findings whole, without an input transformer", code="malformed-finding"
    )
