"""What is written in the stream of the approvers."""

from __future__ import annotations

from typing import Literal

from runbooks.approvers import Approver
from runbooks.model import Model


class ApproverAdded(Model):
    """Someone may approve from now on. Added again, they have what this record says."""

    kind: Literal["approver-added"] = "approver-added"
    approver: Approver
    by: str
    signature: str = ""


class ApproverRevoked(Model):
    kind: Literal["approver-revoked"] = "approver-revoked"
    name: str
    by: str
    signature: str = ""


class ApproverUnlocked(Model):
    kind: Literal["approver-unlocked"] = "approver-unlocked"
    name: str
    by: str
    signature: str = ""


class CodeTried(Model):
    """A one-time code was given in an approver's name."""

    kind: Literal["code-tried"] = "code-tried"
    name: str
    accepted: bool
    timecode: int | None = None
    """The 30 second step of an accepted code: it and earlier ones are used up (RFC 6238, section 5.2)."""
    response: str
    """The response that the answer was about; empty for the code that confirmed a registration."""
    signature: str = ""
