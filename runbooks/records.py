"""What the ledger holds: one typed record for each thing that happened. A record is never changed, only followed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from runbooks.approvers import Approver
from runbooks.case import CaseKey
from runbooks.finding import Finding
from runbooks.model import Model
from runbooks.plan import Extent, Phase, Plan
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
    signature: str = ""
    """A release may rest on it: one without a valid signature is no verdict."""


class CaseSuccessors(Model):
    """The instances that took the case's instance's place."""

    kind: Literal["case-successors"] = "case-successors"
    response: str
    successors: tuple[str, ...]


class CaseClosed(Model):
    kind: Literal["case-closed"] = "case-closed"
    response: str
    reason: str


class Recurred(Model):
    """What was fixed in one case is back, in that case opened again or in another; in the streams of both."""

    kind: Literal["recurred"] = "recurred"
    fixed_in: str
    """The case that was closed as fixed."""
    fixed_at: datetime
    case: str
    """The case that handles it now."""
    finding: str
    """The ARN of the finding that showed it."""


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
    """webhook, sweep, or `command:` and the name of whoever gave it; that person does not approve it as well."""
    signature: str = ""


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
    signature: str = ""
    """A plan that this system did not make never runs, whatever its rule says about who is asked."""


class ApprovalAsked(Model):
    kind: Literal["approval-asked"] = "approval-asked"
    digest: str
    attempt: int
    """1 for the first question about this plan; a refused answer asks again under the next."""
    expires_at: datetime
    """Until when it may be answered."""
    act_until: datetime | None = None
    """Until when the plan's first change must be made: the end of the window shown. None: `expires_at`."""
    flow_run: str


class Reminded(Model):
    """The SOC was reminded of an open question."""

    kind: Literal["reminded"] = "reminded"
    digest: str
    attempt: int


Channel = Literal["prefect", "slack", "command"]
"""Through which door an answer came."""


class AnswerGiven(Model):
    """What one person answered, verified once, when it was submitted: it counts, or it was refused with its reason."""

    kind: Literal["answer-given"] = "answer-given"
    digest: str
    attempt: int
    says: Literal["approve", "reject", ""]
    """Empty: what was submitted is no answer."""
    counts: bool
    claimed: str
    """Who the answer says it is from, as it was given: a name, or a Slack user id."""
    approver: str | None
    """The registered approver that it was proven to be from; None where it was not."""
    channel: Channel
    factor: Literal["code", "slack", "none"]
    """What proved who it was: a one-time code, or Slack's signature and user id."""
    submitted_at: datetime
    request: str = ""
    """Identifies the submission, so that the same one does not count twice."""
    comment: str = ""
    code: str = ""
    """Why it does not count, as a stable code: wrong-code, used-code, locked, not-registered, self-approval, ..."""
    reason: str = ""
    """The same, in words."""
    signature: str = ""


class Decision(Model):
    """What settled a question. Only `approved` lets a plan run, and only the plan of this digest.

    It is signed with a key that is not in the database; one without a valid signature is none.
    """

    kind: Literal["decision"] = "decision"
    digest: str
    attempt: int
    answer: Literal["approved", "rejected", "expired", "invalid"]
    """`invalid`: the form's answer settled nothing (it was refused, or another yes is needed); it is asked again."""
    approver: str | None
    """Whose answer settled it."""
    approvers: tuple[str, ...] = ()
    """Everyone whose yes it rests on."""
    channel: Literal["prefect", "slack", "command", "plan", "runbook", "sweep"]
    """`plan`: an approved plan had said so (release when fixed), or the runbook asks for no approval. `runbook`: the
    runbook has authorised it beforehand."""
    comment: str = ""
    reason: str = ""
    signature: str = ""


class Admitted(Model):
    """The limits let the plan begin on these cases, which count until its phase has ended."""

    kind: Literal["admitted"] = "admitted"
    digest: str
    phase: Phase
    extents: tuple[Extent, ...]
    pre_authorised: bool = False


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
    signature: str = ""
    """Of a step's intent: it spends the plan's approval, which then expires no more."""


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
    """Inspector was asked what it has found in a region; in a stream of that region's own, whose last entry counts."""

    kind: Literal["reconciled"] = "reconciled"
    account: str
    region: str
    until: datetime
    """Everything updated before then has been compared."""
    listed: int = 0
    missed: int = 0
    trouble: str = ""
    """Why it could not be asked; `until` is then as it was."""


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


# --- the approvers' stream -------------------------------------------------------------------------------------------


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


Record = Annotated[
    CaseOpened
    | FindingSeen
    | CaseTriaged
    | CaseVerdict
    | CaseSuccessors
    | CaseClosed
    | Recurred
    | ResponseStarted
    | RunStarted
    | PlanMade
    | ApprovalAsked
    | Reminded
    | AnswerGiven
    | Decision
    | Admitted
    | Intent
    | Outcome
    | Waiting
    | PhaseEnded
    | ResponseEnded
    | SetAsideRecord
    | Restarted
    | Missed
    | Reconciled
    | Halted
    | Resumed
    | ApproverAdded
    | ApproverRevoked
    | ApproverUnlocked
    | CodeTried,
    Field(discriminator="kind"),
]

record_adapter: TypeAdapter[Record] = TypeAdapter(Record)
