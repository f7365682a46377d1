"""What is written in the stream of a digest that the gate has judged."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runbooks.model import Model


class GateJudged(Model):
    """What the gate said of an image or an SBOM; only a signed one is evidence."""

    kind: Literal["gate-judged"] = "gate-judged"
    name: str
    """The image without tag and digest, or the SBOM's file."""
    digest: str
    """sha256:... of what was judged."""
    tags: tuple[str, ...] = ()
    gate: str
    gate_version: int
    gate_digest: str
    """SHA-256 of the rules as canonical JSON."""
    ruling: Literal["passed", "refused", "cannot-tell"]
    reasons: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Vulnerability, package and installed version of each that is refused."""
    accepted: tuple[str, ...] = ()
    """As `refused`, with the owner of the accepted risk and its last day."""
    tolerated: int = 0
    """Vulnerable packages that the rules let pass."""
    blocked_by: str | None = None
    """The open case that holds the image back."""
    scanned_at: datetime | None = None
    judgement: str
    """SHA-256 of the whole judgement as canonical JSON; a signed statement names it."""
    by: str
    """Who asked: command:NAME, or the delivery that said that the scan is complete."""
    signature: str = ""


class GateWaiting(Model):
    """The scan of an image is said to be complete: the sweep judges it, and again while Inspector does not show it."""

    kind: Literal["gate-waiting"] = "gate-waiting"
    delivery: str
    """Which said so."""
    since: datetime
    """When it was first looked at, or asked for if it was not; how long it is waited for is in the gate's runbook."""
    reason: str
    """Why it could not be told yet."""
    look_again_at: datetime
