"""What the ledger holds: one typed record for each thing that happened. A record is never changed, only followed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from runbooks.case import CaseKey
from runbooks.finding import Finding
from runbooks.model import Model
from runbooks.plan import Phase, Plan
from runbooks.triage import Assessment
from runbooks.verdict import Verdict

# --- the case stream -------------------------------------------------------------------------------------------------


class CaseOpened(Model):
    kind: Literal["case-opened"] = "case-opened"
    key: CaseKey
    reopened: bool = False


class FindingSeen(Model):
    """A finding arrived for the case; disclosure, first-seen and update times are the finding's own."""

    kind: Literal["finding-seen"] = "finding-seen"
    finding: Finding
    source: str
    """webhook, command, sweep."""
    delivery: str | None = None


class CaseTriaged(Model):
    kind: Literal["case-triaged"] = "case-triaged"
    response: str
    assessment: Assessment


class CaseVerdict(Model):
    kind: Literal["case-verdict"] = "case-verdict"
    response: str
    remediation: str | None
    """Digest of the remediate plan it judges; None for a look on demand."""
    verdict: Verdict


class CaseSuccessors(Model):
    """The instances that took the case's instance's place."""

    kind: Literal["case-successors"] = "case-successors"
    response: str
    successors: tuple[str, ...]


class CaseClosed(Model):
    kind: Literal["case-closed"] = "case-closed"
    response: str
    reason: str


# --- the response stream ---------------------------------------------------------------------------------------------


Purpose = Literal["respond", "verify", "release"]
"""What a response is for: the whole playbook, a look on demand, or the end of a containment."""


class ResponseStarted(Model):
    kind: Literal["response-started"] = "response-started"
    response: str
    purpose: Purpose = "respond"
    runbook: str
    cases: tuple[str, ...]
    started_by: str


class RunStarted(Model):
    """A flow run took the response over, under a higher epoch."""

    kind: Literal["run-started"] = "run-started"
    attempt: int
    epoch: int
    flow_run: str


class PlanMade(Model):
    kind: Literal["plan-made"] = "plan-made"
    digest: str
    plan: Plan


class ApprovalAsked(Model):
    kind: Literal["approval-asked"] = "approval-asked"
    digest: str
    attempt: int
    """1 for the first question about this plan; a refused answer asks again under the next."""
    expires_at: datetime
    flow_run: str


class Decision(Model):
    """An answer, verified once. Only `approved` lets a plan run, and only the plan of this digest."""

    kind: Literal["decision"] = "decision"
    digest: str
    attempt: int
    answer: Literal["approved", "rejected", "expired", "invalid"]
    """`invalid`: an answer that was refused; the form is asked again."""
    approver: str | None
    channel: Literal["prefect", "slack", "command", "plan", "sweep"]
    """`plan`: an approved plan had said so (release when fixed), or the runbook asks for no approval."""
    comment: str = ""
    reason: str = ""


class Intent(Model):
    """Written before a call leaves: what will be done, and what was there."""

    kind: Literal["intent"] = "intent"
    operation: str
    """The operation id: the same act has the same id for ever."""
    action: str
    """The step's kind, or what is done outside AWS: post-message, create-ticket, ..."""
    subject: str
    """The step's key, or what the message or ticket is about."""
    digest: str | None = None
    """The plan's digest, for a step."""
    epoch: int
    original: dict[str, Any] = Field(default_factory=dict)
    """The live state read immediately before, from which it can be put back."""


class Outcome(Model):
    """Written after a call, or after looking when its answer was lost."""

    kind: Literal["outcome"] = "outcome"
    operation: str
    action: str
    subject: str
    digest: str | None = None
    status: Literal["done", "already-done", "in-progress", "failed", "drifted", "refused"]
    detail: str = ""
    result: dict[str, Any] = Field(default_factory=dict)
    """What the act made or found: ids, addresses."""
    cases: dict[str, str] = Field(default_factory=dict)
    """Case id -> that case's own status, where one act serves many."""


class Waiting(Model):
    """The response waits for the world; nobody holds a process meanwhile."""

    kind: Literal["waiting"] = "waiting"
    phase: str
    reason: str
    look_again_at: datetime


class PhaseEnded(Model):
    kind: Literal["phase-ended"] = "phase-ended"
    phase: Phase
    result: Literal["done", "partial", "not-needed", "rejected", "expired", "failed", "drifted"]
    digest: str | None = None
    detail: str = ""


class ResponseEnded(Model):
    kind: Literal["response-ended"] = "response-ended"
    result: str
    """fixed, not fixed, unverifiable, nothing-to-do, rejected, expired, failed, person."""
    reason: str
    contained: bool = False
    """Whether a containment is still in place."""


# --- the system stream -----------------------------------------------------------------------------------------------


class SetAsideRecord(Model):
    """A delivery, or a part of one, that nothing acts upon; the payload stays in the inbox."""

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


Record = Annotated[
    CaseOpened
    | FindingSeen
    | CaseTriaged
    | CaseVerdict
    | CaseSuccessors
    | CaseClosed
    | ResponseStarted
    | RunStarted
    | PlanMade
    | ApprovalAsked
    | Decision
    | Intent
    | Outcome
    | Waiting
    | PhaseEnded
    | ResponseEnded
    | SetAsideRecord
    | Restarted,
    Field(discriminator="kind"),
]

record_adapter: TypeAdapter[Record] = TypeAdapter(Record)
