"""The event of a demonstration: the shipped one, or a file's, made to fit the world that is furnished for it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from runbooks.errors import BadInput, Outside
from runbooks.event import Delivery, read_payload
from runbooks.finding import FindingType, ResourceType
from runbooks.timestamps import event_form

SHIPPED = Path(__file__).with_name("event.json")
DEFAULT_BUCKET = "remediation-runbooks-{account}-{region}"


def read_event(file: Path | None, now: datetime) -> dict[str, Any]:
    """The payload to deliver: the file's as it is, or the shipped one as if Inspector had sent it just now.

    Raises:
        BadInput: the file cannot be read, or is nothing that a receiver would take.
    """
    if file is None:
        return _as_of(json.loads(SHIPPED.read_text(encoding="utf-8")), now)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}", code="no-such-file") from error
    read_payload(raw)
    return json.loads(raw)


def _as_of(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Disclosed four days ago, first seen by Inspector three minutes ago."""
    seen = event_form(now - timedelta(minutes=3))
    detail = event["detail"]
    detail |= {"firstObservedAt": seen, "lastObservedAt": seen, "updatedAt": seen}
    detail["packageVulnerabilityDetails"]["vendorCreatedAt"] = event_form(now - timedelta(days=4))
    return event | {"time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}


def furnish(aws: str, event: dict[str, Any], *, known_exploited: bool) -> str:
    """Build the world the event speaks of, put its finding's real ARN into it, and give the bucket for package lists.

    An event about anything but packages of EC2 instances finds an empty world: nothing will be done about it.
    """
    bucket = DEFAULT_BUCKET
    for finding, holder in zip(_findings(event).findings, _holders(event), strict=False):
        if finding.type != FindingType.PACKAGE or finding.resource.type != ResourceType.EC2_INSTANCE:
            continue
        body = {"finding": holder, "options": {"known_exploited": known_exploited}}
        answer = httpx.post(f"{aws}/sandbox/furnish", json=body, trust_env=False, timeout=60)
        if not answer.is_success:
            raise Outside(f"the sandbox could not be furnished: {answer.text[:300]}", code="sandbox")
        made = answer.json()
        holder["findingArn"] = made["finding_arn"]
        bucket = str(made["bucket"])
    return bucket


def _findings(event: dict[str, Any]) -> Delivery:
    return read_payload(json.dumps(event))


def _holders(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The finding objects inside the payload, in the order in which they are parsed."""
    if isinstance(event.get("findings"), list):
        return event["findings"]
    return [event["detail"]] if isinstance(event.get("detail"), dict) else [event]
