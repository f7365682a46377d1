"""A finding in the AWS Security Finding Format (ASFF), put into Amazon Inspector's own words.

Sources: AwsSecurityFinding (Security Hub CSPM API reference) and the chapter on Security Hub of Inspector's
user guide, whose finding shows what Inspector puts where: its ARN is `Id`, its score and its own status are
among `ProductFields`, and an instance's ARN lacks `instance/`.
"""

from __future__ import annotations

from runbooks.finding import FindingStatus, FindingType
from runbooks.inspector_terms import Members, other_product, provider_name, renamed, resource_name
from runbooks.strict_json import entries_of, members_of

MARKS = frozenset({"SchemaVersion", "ProductArn"})
"""Members that every finding in this form has."""


def product_of(finding: Members) -> str | None:
    """The product whose finding it is; None for Amazon Inspector's."""
    return other_product(finding.get("ProductArn"), finding.get("ProductName"), finding.get("Id"))


def as_detail(finding: Members) -> Members:
    """The finding as Inspector would write it. What has no place there is kept, as sent, in `securityHub`.

    Nothing is checked: what is missing or of the wrong kind is so in the result. The severity is what Inspector said,
    not what somebody made of it in Security Hub.
    """
    left = dict(finding)
    fields = members_of(finding.get("ProductFields"))
    kind = _type(finding)
    provided = members_of(members_of(finding.get("FindingProviderFields")).get("Severity"))
    last_observed = left.pop("LastObservedAt", None) or finding.get("UpdatedAt")
    detail: Members = {
        "findingArn": left.pop("Id", None),
        "awsAccountId": left.pop("AwsAccountId", None),
        "type": kind,
        "status": _status(finding),
        "severity": provided.get("Label") or members_of(finding.get("Severity")).get("Label"),
        "title": left.pop("Title", None),
        "description": left.pop("Description", None),
        "remediation": _lowered(left.pop("Remediation", None)),
        "resources": [_resource(entry) for entry in entries_of(left.pop("Resources", None))],
        "inspectorScore": _number(fields.get("aws/inspector/inspectorScore")),
        "firstObservedAt": left.pop("FirstObservedAt", None) or finding.get("CreatedAt"),
        "lastObservedAt": last_observed,
        "updatedAt": left.pop("UpdatedAt", None) or last_observed,
    }
    if kind == FindingType.PACKAGE:
        first, *others = entries_of(left.pop("Vulnerabilities"))
        detail |= _vulnerability(first)
        left |= {"Vulnerabilities": others} if others else {}
    _add_details(detail["resources"], fields)
    return {name: member for name, member in detail.items() if member is not None} | {"securityHub": left}


_DETAILS = "aws/inspector/resources/1/resourceDetails/"
_PACKAGE = {"architecture": "arch", "sourceLayerArn": "sourceLambdaLayerArn"}
_CVSS = {"baseVector": "scoringVector"}
_RESOURCE = {
    "imageDigest": "imageHash",
    "registryId": "registry",
    "imagePublishedAt": "pushedAt",
    "role": "executionRoleArn",
    "lastModified": "lastModifiedAt",
}
"""Names of ASFF, their first letter lowered, that Inspector says otherwise."""


def _type(finding: Members) -> str:
    """Inspector's type of finding, told by what it has; for none of them what Security Hub calls the type."""
    vulnerabilities = [members_of(entry) for entry in entries_of(finding.get("Vulnerabilities"))]
    if any("CodeVulnerabilities" in each for each in vulnerabilities):
        return FindingType.CODE
    if vulnerabilities:
        return FindingType.PACKAGE
    types = [each for each in entries_of(finding.get("Types")) if isinstance(each, str)]
    if "NetworkPath" in finding or "Network" in finding or any("Network Reachability" in each for each in types):
        return FindingType.NETWORK
    return types[0] if types else "UNKNOWN"


def _status(finding: Members) -> object:
    """Inspector's status: what Security Hub archived is closed, what a person resolved or suppressed there is so here.

    A word that nobody knows is the status, so that nothing takes the finding for an active one.
    """
    own = members_of(finding.get("ProductFields")).get("aws/inspector/FindingStatus")
    record, workflow = finding.get("RecordState"), members_of(finding.get("Workflow")).get("Status")
    if record == "ARCHIVED":
        return FindingStatus.SUPPRESSED if own == FindingStatus.SUPPRESSED else FindingStatus.CLOSED
    if record not in (None, "ACTIVE"):
        return record
    match workflow:
        case None | "NEW" | "NOTIFIED":
            return own or FindingStatus.ACTIVE
        case "RESOLVED":
            return FindingStatus.CLOSED
        case _:
            return workflow


def _resource(value: object) -> Members:
    left = dict(members_of(value))
    details = members_of(left.pop("Details", None))
    digest = members_of(details.get("AwsEcrContainerImage")).get("ImageDigest")
    kind, name = left.pop("Type", None), left.pop("Id", None)
    partition, tags = left.pop("Partition", None), left.pop("Tags", None)
    known: Members = {
        **resource_name(kind, name, f"{name}/{digest}"),
        "provider": provider_name(left.pop("Provider", None), partition),
        "partition": partition,
        "tags": tags,
        "details": {_lower(each): _lowered(members_of(form), _RESOURCE) for each, form in details.items()},
    }
    return _lowered(left) | {each: member for each, member in known.items() if member is not None}


def _add_details(resources: list[Members], fields: Members) -> None:
    """Puts back what Inspector knows of a resource and ASFF has no member for, such as an instance's platform."""
    for field, value in fields.items():
        kind, _, member = field.removeprefix(_DETAILS).partition("/")
        if field.startswith(_DETAILS) and member and resources:
            resources[0]["details"].setdefault(kind.removesuffix("Details"), {}).setdefault(member, value)


def _vulnerability(value: object) -> Members:
    sent = _lowered(members_of(value))
    vendor = members_of(sent.pop("vendor", None))
    return {
        "fixAvailable": sent.pop("fixAvailable", None),
        "exploitAvailable": sent.pop("exploitAvailable", None),
        "epss": {"score": sent.pop("epssScore", None)},
        "exploitabilityDetails": {"lastKnownExploitAt": sent.pop("lastKnownExploitAt", None)},
        "packageVulnerabilityDetails": {
            "vulnerabilityId": sent.pop("id", None),
            "vulnerablePackages": _called(sent.pop("vulnerablePackages", None), _PACKAGE),
            "cvss": _called(sent.pop("cvss", None), _CVSS),
            "source": vendor.pop("name", None),
            "sourceUrl": vendor.pop("url", None),
            **vendor,
            **sent,
        },
    }


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _lowered(value: object, names: dict[str, str] | None = None) -> Members:
    return renamed(value, _lower, names)


def _called(value: object, names: dict[str, str]) -> object:
    return renamed(value, str, names)


def _number(value: object) -> float | None:
    """The number that a field holds as text; none for a text that is no number, which stays where it was."""
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
