"""Where a command takes findings from: a file, standard input, or Inspector itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runbooks.errors import BadInput, NotFound, Refused, UnknownKind
from runbooks.event import Delivery, read_payload
from runbooks.finding import Finding
from runbooks.strict_json import MAX_BYTES

if TYPE_CHECKING:
    from tasks.gateways.aws_session import AwsSessions
    from tasks.settings import Settings


def is_arn(text: str) -> bool:
    """Whether the text is meant to be a finding's ARN, well formed or not."""
    return text.startswith("arn:") and ":inspector2:" in text


def read_bytes(where: str) -> bytes:
    """The content of a file, or of standard input for `-`; no more than a little over what a payload may have.

    Raises:
        BadInput: the file cannot be read.
    """
    try:
        if where == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(where).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{where}: {error.strerror}", code="unreadable") from error


def findings_in(raw: bytes) -> Delivery:
    """What the payload holds, at least one finding.

    Raises:
        MalformedPayload: it cannot be read.
        UnknownKind: nothing in it is a finding; the code is that of what was set aside first.
    """
    delivery = read_payload(raw)
    if not delivery.findings:
        refuse_set_aside(delivery)
    return delivery


def refuse_set_aside(delivery: Delivery) -> NoReturn:
    """Raises UnknownKind with the code and reason of a payload in which nothing is a finding."""
    if not delivery.set_aside:
        raise UnknownKind("the list of findings is empty", code="no-findings")
    first = delivery.set_aside[0]
    raise UnknownKind(f"{first.kind}: {first.reason}", code=first.code.value)


def finding_at(arn: str, settings: Settings) -> Finding:
    """The finding of this ARN as Inspector has it now.

    Raises:
        BadInput: it is not the ARN of a finding.
        NotFound: Inspector has no such finding.
        Outside: AWS did not answer.
    """
    from tasks.gateways.inspector import InspectorGateway

    parts = arn.split(":")
    if len(parts) != 6 or not parts[5].startswith("finding/") or not all(parts[1:5]):
        raise BadInput(
            f"{arn} is not arn:PARTITION:inspector2:REGION:ACCOUNT:finding/ID, the ARN of a finding",
            code="not-a-finding-arn",
        )
    _, partition, _, region, account, _ = parts
    found = InspectorGateway(reading_sessions(settings, partition)).findings(account, region, [arn])[arn]
    if found is None:
        raise NotFound(f"Inspector has no finding {arn} in {account}, {region}", code="no-such-finding")
    return found


def reading_sessions(settings: Settings, partition: str) -> AwsSessions:
    """Sessions that a command reads AWS through; an acting call is refused before it leaves."""
    from tasks.gateways.aws_session import AwsSessions

    return AwsSessions(
        settings.role_arn,
        partition,
        session_name="runbooks-command",
        external_id=settings.external_id,
        guard=_refuse_to_act,
    )


def _refuse_to_act(operation: str) -> None:
    raise Refused(f"{operation} was about to be called: a command changes nothing by itself", code="read-only")


def in_words(finding: Finding) -> str:
    """`CVE-2026-1 (HIGH) on i-0a (account, region)`."""
    resource = finding.resource
    name = finding.vulnerability_id or finding.title
    return f"{name} ({finding.severity}) on {resource.id} ({resource.account}, {resource.region})"


def names(findings: Iterable[Finding]) -> list[str]:
    return [finding.vulnerability_id or finding.title for finding in findings]
