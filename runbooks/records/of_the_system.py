"""What is written in the streams of the system, of reconciliation and of the halt."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from runbooks.delivery import ScanType
from runbooks.model import Model


class SetAsideRecord(Model):
    """What nothing acts upon: a delivery, or a part of one, that stays in the inbox; a request that was refused.

    In a response's own stream: a plan that may not run.
    """

    kind: Literal["set-aside"] = "set-aside"
    delivery: str | None
    code: str
    what: str
    reason: str


class Restarted(Model):
    """The sweep started a new run for a response whose run had died or was stuck."""

    kind: Literal["restarted"] = "restarted"
    response: str
    attempt: int
    reason: str


class Missed(Model):
    """A finding that Inspector listed and that no delivery had brought."""

    kind: Literal["missed"] = "missed"
    arn: str
    delivery: str


class Reconciled(Model):
    """Inspector was asked what it has found in a region, or what it reports still of the open cases there.

    In a stream of that region's own for each, whose last entry counts.
    """

    kind: Literal["reconciled"] = "reconciled"
    account: str
    region: str
    until: datetime
    """Everything updated before then has been compared."""
    listed: int = 0
    missed: int = 0
    """Findings that are there, or that are over, and of which no delivery has said so."""
    trouble: str = ""
    """Why it could not be asked; `until` is then as it was."""


class Replayed(Model):
    """A delivery that had been settled waits to be decided about once more."""

    kind: Literal["replayed"] = "replayed"
    delivery: str
    code: str
    """What it had been set aside with; empty where it was handled."""
    by: str


class NoticeRaised(Model):
    """People are to be told of what belongs to no case; in a stream of its own, so that they are told once."""

    kind: Literal["notice-raised"] = "notice-raised"
    topic: Literal["unknown-kind", "coverage-gap"]
    subject: str
    """What there is one notice about: the kind that is new; the resource and the reason."""
    detail: str
    delivery: str | None


class NoticeGiven(Model):
    """They have been told."""

    kind: Literal["notice-given"] = "notice-given"


class CoverageReported(Model):
    """A delivery says that a resource is scanned no more; in a stream of that resource's own. A hint, and no more."""

    kind: Literal["coverage-reported"] = "coverage-reported"
    resource: str
    account: str
    region: str
    scan_type: ScanType
    reason: str
    delivery: str


class CoverageAsked(Model):
    """What Inspector says of it, and what came of that."""

    kind: Literal["coverage-asked"] = "coverage-asked"
    status: str
    """ACTIVE, INACTIVE; empty where Inspector does not list the resource, or was not asked."""
    reason: str
    looks: tuple[str, ...] = ()
    """The responses that look at the cases again."""


class Halted(Model):
    """The kill switch was turned on."""

    kind: Literal["halted"] = "halted"
    by: str
    reason: str
    signature: str = ""


class Resumed(Model):
    """The kill switch was turned off again; only a signed one is believed."""

    kind: Literal["resumed"] = "resumed"
    by: str
    reason: str
    ends: int = 0
    """The entry of the stream that it follows and ends: an old one, written again, ends nothing."""
    signature: str = ""
