"""What one payload held: findings, and whatever is set aside with its name and the reason."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

from runbooks.finding import Finding
from runbooks.model import Model
from runbooks.strict_json import entries_of, members_of


class Aside(StrEnum):
    """Why something readable is not acted upon. Stable: recorded and counted by."""

    NOT_A_FINDING = "not-a-finding"
    """A known message that tells of something else: a scan, coverage, an account, a subscription."""
    UNSUPPORTED_SOURCE = "unsupported-source"
    """A finding or event from a source that is not read here."""
    OTHER_PRODUCT = "other-product"
    """A finding that Security Hub has of another product than Amazon Inspector."""
    WRAPPED = "wrapped"
    """Messages within messages, deeper than anybody wraps an event."""
    OTHER_CLOUD = "other-cloud"
    """A finding on a resource that is not in AWS."""
    MALFORMED_FINDING = "malformed-finding"
    """One unreadable finding among several."""
    MALFORMED_MESSAGE = "malformed-message"
    """One message among several whose body cannot be read."""
    TOO_MANY = "too-many"
    """It lists more findings or messages than anybody sends at once."""
    PARTIAL_LIST = "partial-list"
    """The list of findings goes on elsewhere."""
    UNKNOWN_KIND = "unknown-kind"
    """JSON that is none of the shapes known here."""


class SetAside(Model):
    """Something readable that nothing here acts upon."""

    code: Aside
    kind: str
    """What it is, as a stable word: inspector-scan, security-hub-finding, sns-confirmation, ..."""
    reason: str
    """One line for a person."""
    resource: str | None = None
    account: str | None = None
    region: str | None = None
    news: str = ""
    """Of a kind that is new here: what it calls itself, so that people are told once of all that call themselves so."""


class ScannedImage(Model):
    """A container image whose initial scan is complete: the gate can judge it."""

    arn: str
    """Inspector's name of it, with its digest."""


ScanType = Literal["PACKAGE", "NETWORK", "CODE"]
SCAN_TYPES: tuple[ScanType, ...] = get_args(ScanType)


class CoverageChange(Model):
    """Inspector says that it does not scan a resource any more; a hint, about which Inspector is asked."""

    resource: str
    account: str
    region: str
    scan_type: ScanType
    reason: str


class Delivery(Model):
    """All that one payload held. The event's id and time are there where it held one event, wrapped or not."""

    findings: tuple[Finding, ...] = ()
    scanned: tuple[ScannedImage, ...] = ()
    coverage: tuple[CoverageChange, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    event_id: str | None = None
    """EventBridge's id: the same when it sends again, another in the administrator's copy."""
    event_time: datetime | None = None


def set_aside(code: Aside, kind: str, reason: str, value: object, news: str = "") -> SetAside:
    """With what `value`, an envelope or a finding, says of where it is from; a hint for a person, and no more."""
    members = members_of(value)
    first = next(iter(entries_of(members.get("resources"))), None)
    resource = members_of(first) or {"id": first}
    return SetAside(
        code=code,
        kind=kind,
        reason=reason,
        resource=text_of(resource.get("id")),
        account=text_of(members.get("awsAccountId")) or text_of(members.get("account")),
        region=text_of(resource.get("region")) or text_of(members.get("region")),
        news=news,
    )


def text_of(value: object) -> str | None:
    """A text that says something, cut to what a person reads of it; None for whatever else it is."""
    return value[:500] if isinstance(value, str) and value else None
