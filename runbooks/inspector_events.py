"""Events that hold no finding: each by its name, with what it tells and why nothing else is done about it.

Amazon Inspector sends events of findings, scans, coverage and accounts (Inspector user guide, "EventBridge event
schema"). For a CIS scan and for an SBOM it sends none: its calls come by way of CloudTrail, and the file it writes as
an event of the bucket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from runbooks.delivery import SCAN_TYPES, Aside, CoverageChange, ScanType, SetAside, set_aside, text_of
from runbooks.inspector_json import LONGEST_NAME
from runbooks.strict_json import entries_of, members_of

INSPECTOR = "aws.inspector2"
TERMINATED = "RESOURCE_TERMINATED"
"""The one reason for which nobody has to ask why a resource is scanned no more (ScanStatus)."""

Members = Mapping[str, object]


def other_event(
    source: str, detail_type: str, event: Members, detail: Members
) -> tuple[CoverageChange, ...] | tuple[SetAside]:
    """What an event that holds no finding comes to."""
    if (source, detail_type) == (INSPECTOR, _COVERAGE):
        return _coverage(event, detail)
    named = NAMED.get((source, detail_type)) or _of_an_api_call(source, detail_type, detail)
    if named is not None:
        return (_aside(named, source, detail_type, event, detail),)
    unknown = _NEW if source == INSPECTOR else _ANOTHER_SOURCE
    return (_aside(unknown, source, detail_type, event, detail, news=detail_type[:80] if unknown is _NEW else ""),)


class _Named(NamedTuple):
    code: Aside
    kind: str
    why: str


_COVERAGE, _KIND = "Inspector2 Coverage", "inspector-coverage"
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,20}(-[a-z]{1,20}){1,4}-[0-9]", re.ASCII)
_MOST_RESOURCES = 100
"""An event is about one; each is asked about by itself."""
_ON_DEMAND = "a machine image was scanned on demand, which names nothing that runs"
_CIS = _Named(Aside.NOT_A_FINDING, "inspector-cis", "a CIS benchmark is about settings, and no runbook here is")
_SBOM = _Named(
    Aside.NOT_A_FINDING, "inspector-sbom", "an SBOM export was asked for; the gate judges an SBOM when asked"
)
_CALL = _Named(Aside.NOT_A_FINDING, "inspector-api-call", "somebody has called Inspector's API")
_CLASSIC = _Named(Aside.UNSUPPORTED_SOURCE, "inspector-classic", "it is of Amazon Inspector Classic")
NAMED: dict[tuple[str, str], _Named] = {
    (INSPECTOR, "Inspector2 Scan"): _Named(
        Aside.NOT_A_FINDING, "inspector-scan", "a first scan is complete, and what it found comes by itself"
    ),
    (INSPECTOR, "Inspector2 AutoEnable"): _Named(
        Aside.NOT_A_FINDING, "inspector-auto-enable", "Inspector was, or could not be, turned on for an account"
    ),
    (INSPECTOR, "Inspector2 OnDemand Scan Complete"): _Named(
        Aside.NOT_A_FINDING, "inspector-on-demand-scan", _ON_DEMAND
    ),
    ("inspector2.ami.ondemand", "OnDemand AMI Scan Findings"): _Named(
        Aside.UNSUPPORTED_SOURCE, "inspector-on-demand-finding", _ON_DEMAND
    ),
    (INSPECTOR, "Inspector Finding"): _CLASSIC,
    (INSPECTOR, "Inspector Scan"): _CLASSIC,
    ("aws.ecr", "ECR Image Action"): _Named(
        Aside.NOT_A_FINDING, "ecr-image-action", "an image was pushed or deleted; Inspector scans it by itself"
    ),
    ("aws.s3", "Object Created"): _Named(
        Aside.NOT_A_FINDING, "s3-object", "a file was written, an exported SBOM or report perhaps: none is read here"
    ),
    ("aws.securityhub", "Security Hub Insight Results"): _Named(
        Aside.UNSUPPORTED_SOURCE, "security-hub-insight", "only findings of Amazon Inspector are acted upon"
    ),
}
"""By source and detail type."""
_NEW = _Named(Aside.UNKNOWN_KIND, "event", "it is new here; replay it when this system knows it")
_ANOTHER_SOURCE = _Named(Aside.UNSUPPORTED_SOURCE, "event", "only findings of Amazon Inspector are acted upon")
_STATUS = ("AutoEnableStatus", "Reason", "scan-status", "scanStatus", "scanStatusReason")
"""Members in which an event says how what it tells of has gone."""
_API_CALLS = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail")


def _of_an_api_call(source: str, detail_type: str, detail: Members) -> _Named | None:
    if source != INSPECTOR or detail_type not in _API_CALLS:
        return None
    name = str(detail.get("eventName")).lower()
    return _CIS if "cis" in name else _SBOM if "sbom" in name else _CALL


def _coverage(event: Members, detail: Members) -> tuple[CoverageChange, ...] | tuple[SetAside]:
    """What is scanned no more, in AWS; all else is set aside. `statusCodeValue` is what the API calls `statusCode`."""
    status = members_of(detail.get("scanStatus"))
    code, reason = status.get("statusCodeValue", status.get("statusCode")), str(status.get("reason"))[:80]
    scan_type: ScanType | None = next((each for each in SCAN_TYPES if each == detail.get("scanType", "PACKAGE")), None)
    resources = [each for each in entries_of(event.get("resources")) if isinstance(each, str) and each]
    account = text_of(detail.get("providerAccountId")) or str(event.get("account"))
    region = text_of(detail.get("providerRegion")) or str(event.get("region"))
    if detail.get("provider", "AWS") != "AWS" or any(each.startswith("/") for each in resources):
        named = _Named(Aside.OTHER_CLOUD, _KIND, "the resource is not in AWS")
    elif code != "INACTIVE":
        named = _Named(Aside.NOT_A_FINDING, _KIND, f"Inspector says {str(code)[:40]}, {reason}")
    elif reason == TERMINATED:
        named = _Named(Aside.NOT_A_FINDING, _KIND, "the resource is gone")
    elif len(resources) > _MOST_RESOURCES or any(len(each) > LONGEST_NAME for each in resources):
        named = _Named(
            Aside.NOT_A_FINDING,
            _KIND,
            f"it names more than {_MOST_RESOURCES} resources, or one by more than {LONGEST_NAME:,} characters",
        )
    elif not (resources and _ACCOUNT.fullmatch(account) and _REGION.fullmatch(region)):
        named = _Named(Aside.NOT_A_FINDING, _KIND, "it does not say which resource, in which account and region")
    elif scan_type is None:
        named = _Named(Aside.NOT_A_FINDING, _KIND, "it is about a scan of a type that no runbook rests on")
    else:
        where = {"account": account, "region": region, "reason": reason}
        return tuple(CoverageChange(resource=each, scan_type=scan_type, **where) for each in resources)
    return (_aside(named, INSPECTOR, _COVERAGE, event, detail),)


def _aside(
    named: _Named, source: str, detail_type: str, event: Members, detail: Members, *, news: str = ""
) -> SetAside:
    says = [said[:200] for each in _STATUS if (said := text_of(detail.get(each)))]
    what = f"{detail_type[:80]!r} from {source[:80]!r}" + (f" ({', '.join(says)})" if says else "")
    return set_aside(named.code, named.kind, f"{what}: {named.why}", {**detail, **event}, news)
