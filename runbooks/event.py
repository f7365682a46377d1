"""What was delivered: the door between the bytes that come in and the findings this system acts upon.

Understood are a finding in its EventBridge envelope, a finding alone (an API destination with the input path
`$.detail`), and a result of ListFindings. Everything else that can be read is set aside with its name and the reason,
never acted upon and never an error of the sender; what cannot be read is a MalformedPayload.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import cast

from runbooks import strict_json, timestamps
from runbooks.errors import MalformedPayload, UnknownKind
from runbooks.finding import Finding
from runbooks.inspector import read_finding
from runbooks.model import Model
from runbooks.strict_json import entries_of, member_path, members_of

Members = Mapping[str, object]


class Aside(StrEnum):
    """Why something readable is not acted upon. Stable: recorded and counted by."""

    NOT_A_FINDING = "not-a-finding"
    """A known message that tells of something else: a scan, coverage, an account, a subscription."""
    UNSUPPORTED_SOURCE = "unsupported-source"
    """A finding or event from a source that is not read here."""
    WRAPPED = "wrapped"
    """A message of a queue or topic, whose body would have to be taken out first."""
    OTHER_CLOUD = "other-cloud"
    """A finding on a resource that is not in AWS."""
    MALFORMED_FINDING = "malformed-finding"
    """One unreadable finding among several."""
    PARTIAL_LIST = "partial-list"
    """The list of findings goes on elsewhere."""
    UNKNOWN_KIND = "unknown-kind"
    """JSON that is none of the shapes known here."""


class SetAside(Model):
    """Something readable that nothing here acts upon."""

    code: Aside
    kind: str
    """What it is, as a stable word: inspector-scan, security-hub-finding, sqs-messages, ..."""
    reason: str
    """One line for a person."""
    resource: str | None = None
    account: str | None = None
    region: str | None = None


class Delivery(Model):
    """All that one payload held."""

    findings: tuple[Finding, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    event_id: str | None = None
    """The envelope's id: the same when EventBridge sends again, another in the administrator's copy."""
    event_time: datetime | None = None


def read_payload(raw: bytes | str) -> Delivery:
    """What the payload `raw` delivers.

    Raises:
        MalformedPayload: With the code too-large, not-json, not-an-object, malformed-event or malformed-finding, and a
            message that says what is wrong, where, and what to do.
    """
    return _delivery(strict_json.loads(raw))


def parse(value: object) -> Delivery:
    """What the JSON value `value` delivers; as `read_payload`, for a value that was read already.

    Raises:
        MalformedPayload: As `read_payload` does.
    """
    strict_json.check(value)
    return _delivery(value)


_FINDING_EVENT = ("aws.inspector2", "Inspector2 Finding")
_EVENTS = {
    ("aws.inspector2", "Inspector2 Scan"): (Aside.NOT_A_FINDING, "inspector-scan"),
    ("aws.inspector2", "Inspector2 Coverage"): (Aside.NOT_A_FINDING, "inspector-coverage"),
    ("aws.inspector2", "Inspector2 AutoEnable"): (Aside.NOT_A_FINDING, "inspector-auto-enable"),
    ("aws.inspector2", "Inspector2 OnDemand Scan Complete"): (Aside.NOT_A_FINDING, "inspector-on-demand-scan"),
    ("inspector2.ami.ondemand", "OnDemand AMI Scan Findings"): (
        Aside.UNSUPPORTED_SOURCE,
        "inspector-on-demand-finding",
    ),
    ("aws.securityhub", "Security Hub Findings - Imported"): (Aside.UNSUPPORTED_SOURCE, "security-hub-finding"),
    ("aws.securityhub", "Security Hub Findings - Custom Action"): (Aside.UNSUPPORTED_SOURCE, "security-hub-action"),
    ("aws.securityhub", "Security Hub Insight Results"): (Aside.UNSUPPORTED_SOURCE, "security-hub-insight"),
    ("aws.securityhub", "Findings Imported V2"): (Aside.UNSUPPORTED_SOURCE, "ocsf-finding"),
}
"""Events by source and detail type that are known by name (Inspector and Security Hub user guides, "EventBridge")."""
_OBJECTS: tuple[tuple[frozenset[str], Aside, str], ...] = (
    (frozenset({"SchemaVersion", "ProductArn"}), Aside.UNSUPPORTED_SOURCE, "security-hub-finding"),
    (frozenset({"Findings"}), Aside.UNSUPPORTED_SOURCE, "security-hub-findings"),
    (frozenset({"class_uid", "metadata"}), Aside.UNSUPPORTED_SOURCE, "ocsf-finding"),
    (frozenset({"TopicArn", "Message", "SubscribeURL"}), Aside.NOT_A_FINDING, "sns-confirmation"),
    (frozenset({"TopicArn", "Message"}), Aside.WRAPPED, "sns-notification"),
    (frozenset({"Messages"}), Aside.WRAPPED, "sqs-messages"),
    (frozenset({"MessageId", "Body"}), Aside.WRAPPED, "sqs-messages"),
    (frozenset({"Records"}), Aside.WRAPPED, "lambda-records"),
)
"""Objects that are known by the members they have; the first that fits names it."""


def _delivery(value: object) -> Delivery:
    if not isinstance(value, dict):
        raise MalformedPayload(
            "the payload is not an object at $: send one event, or one result of ListFindings", code="not-an-object"
        )
    members = members_of(cast(object, value))
    if "detail-type" in members:
        return _from_event(members)
    if "findings" in members:
        return _from_list(members)
    if "findingArn" in members or _named(members):
        return _holding(_one(members, "$"))
    names = ", ".join(name[:40] for name in sorted(members)[:8]) or "no member"
    return _holding(_aside(Aside.UNKNOWN_KIND, "object", f"an object of no known kind, which has {names}", members))


def _from_event(event: Members) -> Delivery:
    source, detail_type = str(_required(event, "source", str)), str(_required(event, "detail-type", str))
    detail = members_of(_required(event, "detail", dict))
    if (source, detail_type) == _FINDING_EVENT:
        held = _one(detail, "$.detail")
    else:
        unknown = (Aside.UNKNOWN_KIND if source == _FINDING_EVENT[0] else Aside.UNSUPPORTED_SOURCE, "event")
        code, kind = _EVENTS.get((source, detail_type), unknown)
        reason = f"{detail_type[:80]!r} from {source[:80]!r}: only {_FINDING_EVENT[1]!r} events are acted upon"
        held = _aside(code, kind, reason, {**detail, **event})
    return _holding(held).model_copy(
        update={"event_id": _text(event.get("id")), "event_time": _time(event.get("time"))}
    )


def _from_list(result: Members) -> Delivery:
    held: list[Finding | SetAside] = []
    for index, entry in enumerate(entries_of(_required(result, "findings", list))):
        try:
            held.append(_one(entry, f"$.findings[{index}]"))
        except MalformedPayload as error:
            held.append(_aside(Aside.MALFORMED_FINDING, "inspector-finding", error.detail, entry))
    if result.get("nextToken") or result.get("NextToken"):
        reason = "the list has a next token: ask for the rest of it and send that too"
        held.append(_aside(Aside.PARTIAL_LIST, "finding-list", reason, {}))
    return _holding(*held)


def _one(value: object, path: str) -> Finding | SetAside:
    if named := _named(members_of(value)):
        code, kind = named
        return _aside(code, kind, f"{kind} at {path}: only findings in Inspector's own form are acted upon", value)
    try:
        return read_finding(value, path)
    except UnknownKind as error:
        return _aside(Aside(error.code), "inspector-finding", f"{error.detail}, at {path}", value)


def _named(members: Members) -> tuple[Aside, str] | None:
    """Code and kind of an object that is known not to be a finding in Inspector's own form."""
    if "findingArn" in members:
        on_demand = ":finding/ondemand/" in str(members["findingArn"])
        return (Aside.UNSUPPORTED_SOURCE, "inspector-on-demand-finding") if on_demand else None
    if _is_dead_letter(members):
        return Aside.WRAPPED, "dead-letter-message"
    return next(((code, kind) for names, code, kind in _OBJECTS if names <= members.keys()), None)


def _is_dead_letter(members: Members) -> bool:
    """EventBridge adds attributes to what it gives up on ("Using dead-letter queues", EventBridge user guide)."""
    messages = [members, *map(members_of, entries_of(members.get("Messages")))]
    return any({"RULE_ARN", "ERROR_CODE"} <= members_of(one.get("MessageAttributes")).keys() for one in messages)


def _holding(*held: Finding | SetAside) -> Delivery:
    return Delivery(
        findings=tuple(one for one in held if isinstance(one, Finding)),
        set_aside=tuple(one for one in held if isinstance(one, SetAside)),
    )


def _aside(code: Aside, kind: str, reason: str, value: object) -> SetAside:
    """With what `value`, an envelope or a finding, says of where it is from; a hint for a person, and no more."""
    members = members_of(value)
    first = next(iter(entries_of(members.get("resources"))), None)
    resource = members_of(first) or {"id": first}
    return SetAside(
        code=code,
        kind=kind,
        reason=reason,
        resource=_text(resource.get("id")),
        account=_text(members.get("awsAccountId")) or _text(members.get("account")),
        region=_text(resource.get("region")) or _text(members.get("region")),
    )


def _required(members: Members, name: str, kind: type) -> object:
    member = members.get(name)
    if isinstance(member, kind):
        return member
    what = {str: "a text", dict: "an object", list: "a list"}[kind]
    raise MalformedPayload(
        f"{member_path('$', name)} is missing or is not {what}: send the event as EventBridge made it, without an "
        "input transformer",
        code="malformed-event",
    )


def _text(value: object) -> str | None:
    return value[:500] if isinstance(value, str) and value else None


def _time(value: object) -> datetime | None:
    """The envelope's time is a help to a reader; a finding is not refused for want of it."""
    try:
        return timestamps.read(value)
    except ValueError:
        return None
