"""What the ledger answers with: frozen values that may cross a task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbooks.audit import CheckpointProblem
from runbooks.case import CaseKey
from runbooks.chain import Problem
from runbooks.finding import Finding
from runbooks.model import Model
from runbooks.plan import Extent, Phase
from runbooks.records import Purpose

DeliveryState = Literal["pending", "handled", "set-aside"]
CaseStatus = Literal["open", "closed"]
ResponseStatus = Literal["new", "starting", "running", "asking", "waiting", "ended"]


class Verification(Model):
    """What verifying the ledger found: the first problem of each stream that has one, the first of all first."""

    entries: int
    streams: int
    problems: tuple[Problem, ...]
    checkpoints: int = 0
    """How many were found to say what the entries say."""
    anchored: int = 0
    """How many entries the last of those is over."""
    anchored_at: datetime | None = None
    unanchored_since: str | None = None
    """When the first entry behind that one was written, as it is stored."""
    checkpoint_problems: tuple[CheckpointProblem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems and not self.checkpoint_problems


class Receipt(Model):
    """The inbox has it. `new` is False where a delivery with the same key was there before."""

    id: str
    new: bool


class Delivery(Model):
    """One delivery in the inbox, as it arrived."""

    id: str
    key: str
    source: str
    body: bytes
    received_at: datetime
    state: DeliveryState
    settled_at: datetime | None = None
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Settlement:
    """What became of a delivery."""

    delivery: str
    state: DeliveryState
    code: str | None = None
    reason: str | None = None


class CaseRow(Model):
    """A case as it stands."""

    id: str
    key: CaseKey
    status: CaseStatus
    severity: str
    """The highest seen since the case was last opened; UNTRIAGED when none had one."""
    response_id: str | None
    """The response that is acting on it now."""
    last_response_id: str | None
    """The newest response it was part of, ended or not."""
    opened_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Sighting:
    """A finding that arrived, and the case that it belongs to."""

    key: CaseKey
    finding: Finding
    source: str
    delivery: str | None = None
    asked: bool = False
    """A person asks for a response to it, although it may be no news."""
    is_hasty: bool = False
    """Its case is not to wait for others like it."""


class Taken(Model):
    """What became of a finding. `case` is None where none is open for it."""

    case: CaseRow | None
    news: bool
    """Whether it was written down; False for one that was seen before, or is older than what was seen."""
    opened: bool = False
    reopened: bool = False
    closed: bool = False
    """Whether the case was closed, because nothing had been done and none of its findings is active."""
    repeated: bool = False
    """Whether it was no news because an earlier pass, which was killed, had taken this very delivery."""


class Unanswered(Model):
    """An open case that no response acts on, with active findings that none has answered."""

    case: CaseRow
    source: str
    """Where they came from; a person's command, where one asked."""
    waited: timedelta
    """Since the first of them came."""
    quiet: timedelta
    """Since the last of them came."""
    is_hasty: bool = False
    """Whether one of them called for haste."""


class ResponseRow(Model):
    """A response as it stands."""

    id: str
    runbook: str
    purpose: Purpose
    cases: tuple[str, ...]
    status: ResponseStatus
    attempt: int
    """The newest run asked for; 0 before the first."""
    flow_run: str | None
    """The flow run of that attempt, once known."""
    starting_at: datetime | None
    """When that attempt was asked for, or its flow run created."""
    waiting_for: str | None
    waiting_phase: str | None = None
    """The phase it waits in, or `halted`, `limits`, `shared`, `trouble`, ..."""
    look_again_at: datetime | None
    result: str | None
    started_at: datetime
    updated_at: datetime


class ApprovalRow(Model):
    """One question about one plan, and its answer."""

    digest: str
    attempt: int
    response_id: str
    asked_at: datetime | None
    """None where nobody had to be asked."""
    expires_at: datetime | None
    flow_run: str | None
    answer: Literal["approved", "rejected", "expired", "invalid", "superseded"] | None
    """None while open; superseded when the response asked about something else before an answer came."""
    answered_at: datetime | None
    approver: str | None
    channel: str | None
    comment: str | None
    reason: str | None


class AdmissionRow(Model):
    """One case of a plan that the limits let begin."""

    digest: str
    response_id: str
    phase: Phase
    extent: Extent
    pre_authorised: bool
    admitted_at: datetime
    ended_at: datetime | None
    """When its phase, or its response, ended; None while it is under way."""


class Lease(Model):
    """The right to act on some resources, until someone else's epoch is higher."""

    response_id: str
    attempt: int
    holder: str
    """Names one take-over by one process; a second process of the same run has another."""
    epochs: dict[str, int]
    """Resource -> the epoch under which it is held."""

    @property
    def resources(self) -> tuple[str, ...]:
        return tuple(self.epochs)

    @property
    def epoch(self) -> int:
        """The epoch of the response itself; it counts the take-overs of this response."""
        return self.epochs[self.response_id]
