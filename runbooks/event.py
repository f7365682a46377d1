"""What was delivered: the door between the bytes that come in and the findings this system acts upon.

Understood are Amazon Inspector's findings, in its own form and in both of Security Hub's (ASFF and OCSF): in an
EventBridge event, alone (an API destination with the input path `$.detail`), or listed as ListFindings, GetFindings and
GetFindingsV2 do; and any of these as the body of a message of SNS, SQS or a Lambda trigger. That the initial scan of a
container image is complete is understood, too: the gate then judges it; and that a resource is scanned no more: what
was proven by its scans is asked about again. Everything else that can be read is set aside with its name and the
reason, never acted upon and never an error of the sender; what cannot be read is a MalformedPayload.

A result of BatchGetFindingDetails is set aside too: it says more of findings that are known (exploitation, evidence)
and neither on which resource they are nor in which account, so nothing can be opened from it. Triage asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from runbooks import strict_json, timestamps
from runbooks.delivery import Aside, CoverageChange, Delivery, ScannedImage, SetAside, set_aside, text_of
from runbooks.envelopes import Body, Envelope, envelope, is_confirmation
from runbooks.errors import MalformedPayload, UnknownKind
from runbooks.finding import Finding
from runbooks.finding_forms import is_finding, read_each, read_one
from runbooks.gating.subject import is_image_arn
from runbooks.inspector_events import other_event
from runbooks.inspector_json import LONGEST_NAME
from runbooks.strict_json import entries_of, member_path, members_of

__all__ = ["Aside", "Delivery", "SetAside", "parse", "read_payload"]

Members = Mapping[str, object]
_Held = Finding | ScannedImage | CoverageChange | SetAside


def read_payload(raw: bytes | str) -> Delivery:
    """What the payload `raw` delivers.

    Raises:
        MalformedPayload: With the code too-large, not-json, not-an-object, malformed-event or malformed-finding, and a
            message that says what is wrong, where, and what to do.
    """
    return _bounded(strict_json.loads(raw))


def parse(value: object) -> Delivery:
    """What the JSON value `value` delivers; as `read_payload`, for a value that was read already.

    Raises:
        MalformedPayload: As `read_payload` does.
    """
    strict_json.check(value)
    return _bounded(value)


MOST_PARTS = 5_000
"""Findings and messages of one payload: as large as it may be, a thousand findings as AWS sends them fill it."""
MAX_WRAPPERS = 4
"""How deep messages are taken out of messages: SNS in SQS in a function's records is three."""
_FINDING_EVENT = ("aws.inspector2", "Inspector2 Finding")
_SCAN_EVENT = ("aws.inspector2", "Inspector2 Scan")
_FINDINGS_EVENTS = (
    ("aws.securityhub", "Security Hub Findings - Imported"),
    ("aws.securityhub", "Security Hub Findings - Custom Action"),
    ("aws.securityhub", "Findings Imported V2"),
)
"""Those that hold a finding, and those that list some (Inspector and Security Hub user guides, "EventBridge")."""


def _bounded(value: object) -> Delivery:
    try:
        return _delivery(value)
    except UnknownKind as error:
        return _holding(set_aside(Aside(error.code), "finding-list", error.detail, {}))


def _delivery(value: object, depth: int = 0) -> Delivery:
    if not isinstance(value, dict):
        raise MalformedPayload(
            "the payload is not an object at $: send one event, or one result of ListFindings", code="not-an-object"
        )
    members = members_of(cast(object, value))
    if "detail-type" in members:
        return _from_event(members)
    for name in ("findings", "Findings"):
        if name in members:
            return _holding(*_listed(members, name, "$"))
    if is_finding(members):
        return _holding(read_one(members, "$"))
    if wrapper := envelope(members):
        return _unwrapped(wrapper, depth)
    return _holding(_named(members))


def _from_event(event: Members) -> Delivery:
    source, detail_type = str(_required(event, "source", str)), str(_required(event, "detail-type", str))
    detail = members_of(_required(event, "detail", dict))
    if (source, detail_type) == _FINDING_EVENT:
        held: Sequence[_Held] = [read_one(detail, "$.detail")]
    elif (source, detail_type) in _FINDINGS_EVENTS:
        held = _listed(detail, "findings", "$.detail")
    elif (source, detail_type) == _SCAN_EVENT and (image := _scanned_image(detail)):
        held = [image]
    else:
        held = other_event(source, detail_type, event, detail)
    return _holding(*held).model_copy(
        update={"event_id": text_of(event.get("id")), "event_time": _time(event.get("time"))}
    )


def _unwrapped(wrapper: Envelope, depth: int) -> Delivery:
    """What all the bodies hold. A single one that cannot be read is refused, and one of several is set aside."""
    if depth == MAX_WRAPPERS:
        reason = f"more than {MAX_WRAPPERS} messages, each the body of the other: send what is inside"
        return _holding(set_aside(Aside.WRAPPED, wrapper.kind, reason, {}))
    if not wrapper.bodies:
        return _holding(set_aside(Aside.NOT_A_FINDING, wrapper.kind, "there is no message in it", {}))
    if len(wrapper.bodies) == 1:
        return _opened(wrapper.bodies[0], depth)
    _require_few(len(wrapper.bodies), wrapper.kind, "messages")
    held: list[_Held] = []
    for body in wrapper.bodies:
        try:
            each = _opened(body, depth)
            held += (*each.findings, *each.scanned, *each.coverage, *each.set_aside)
        except MalformedPayload as error:
            held.append(set_aside(Aside.MALFORMED_MESSAGE, wrapper.kind, error.detail, {}))
        _require_few(len(held), wrapper.kind, "findings")
    return _holding(*held)


def _opened(body: Body, depth: int) -> Delivery:
    """What one body holds; whatever is said of it says where it was."""
    try:
        value = strict_json.loads(body.value) if isinstance(body.value, str) else body.value
        held = _delivery(value, depth + 1)
    except MalformedPayload as error:
        raise MalformedPayload(f"in {body.place}: {error.detail}", code=error.code) from None
    placed = (each.model_copy(update={"reason": f"in {body.place}: {each.reason}"}) for each in held.set_aside)
    return held.model_copy(update={"set_aside": tuple(placed)})


def _listed(result: Members, name: str, path: str) -> list[Finding | SetAside]:
    entries, place = entries_of(_required(result, name, list, path)), member_path(path, name)
    _require_few(len(entries), place, "findings")
    held = [*read_each(entries, place)]
    if result.get("nextToken") or result.get("NextToken"):
        reason = "the list has a next token: ask for the rest of it and send that too"
        held.append(set_aside(Aside.PARTIAL_LIST, "finding-list", reason, {}))
    return held


def _require_few(number: int, where: str, what: str) -> None:
    """Stop at what would take minutes to read, and as long to write down. What it holds is one thing, set aside whole.

    Raises:
        UnknownKind: (too-many) There are more.
    """
    if number > MOST_PARTS:
        raise UnknownKind(
            f"{where} lists {number:,} {what}, more than {MOST_PARTS:,}: send fewer at a time", code=Aside.TOO_MANY
        )


def _scanned_image(detail: Members) -> ScannedImage | None:
    """The image; None where it is of something else. `repository-name` holds an ARN, whatever its name says."""
    arn = f"{detail.get('repository-name')}/{detail.get('image-digest')}"
    is_complete = detail.get("scan-status") == "INITIAL_SCAN_COMPLETE"
    is_named = len(arn) <= LONGEST_NAME and is_image_arn(arn)
    return ScannedImage(arn=arn) if is_complete and is_named else None


def _holding(*held: _Held) -> Delivery:
    return Delivery(
        findings=tuple(one for one in held if isinstance(one, Finding)),
        scanned=tuple(one for one in held if isinstance(one, ScannedImage)),
        coverage=tuple(one for one in held if isinstance(one, CoverageChange)),
        set_aside=tuple(one for one in held if isinstance(one, SetAside)),
    )


def _named(members: Members) -> SetAside:
    """What holds no finding, by its name where it is known."""
    if is_confirmation(members):
        reason = "SNS tells of a subscription: subscribe /sns of the receiver, which answers for RUNBOOKS_SNS_TOPICS"
        return set_aside(Aside.NOT_A_FINDING, "sns-confirmation", reason, {})
    if "findingDetails" in members:
        reason = "BatchGetFindingDetails names no resource: send the findings, triage asks for their details itself"
        return set_aside(Aside.NOT_A_FINDING, "inspector-finding-details", reason, {})
    if members.get("bomFormat") == "CycloneDX" or "spdxVersion" in members:
        reason = "an SBOM names no resource that Inspector scans: give the file to `runbooks gate FILE`"
        return set_aside(Aside.NOT_A_FINDING, "sbom", reason, {})
    names = ", ".join(name[:40] for name in sorted(members)[:8]) or "no member"
    return set_aside(
        Aside.UNKNOWN_KIND, "object", f"an object of no known kind, which has {names}", members, "an object"
    )


def _required(members: Members, name: str, kind: type, path: str = "$") -> object:
    member = members.get(name)
    if isinstance(member, kind):
        return member
    what = {str: "a text", dict: "an object", list: "a list"}[kind]
    raise MalformedPayload(
        f"{member_path(path, name)} is missing or is not {what}: send the event as EventBridge made it, without an "
        "input transformer",
        code="malformed-event",
    )


def _time(value: object) -> datetime | None:
    """The envelope's time is a help to a reader; a finding is not refused for want of it."""
    try:
        return timestamps.read(value)
    except ValueError:
        return None
