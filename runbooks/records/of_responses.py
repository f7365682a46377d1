"""What is written in the stream of a response: plans, answers, changes, and how it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from runbooks.model import Model
from runbooks.plan import Extent, Phase, Plan

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
    grouping: str = ""
    """Digest of what its cases have in common: others like them join it until a run has begun. Empty: none does."""
    signature: str = ""


class CasesJoined(Model):
    """More cases of the same grouping, before any run of the response has begun."""

    kind: Literal["cases-joined"] = "cases-joined"
    response: str
    cases: tuple[str, ...]
    joined_by: str
    """As `started_by` of the response; a person's command joins nothing but what they started themselves."""
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


class WaveEnded(Model):
    """A wave was verified; the limits count its cases no more."""

    kind: Literal["wave-ended"] = "wave-ended"
    digest: str
    wave: int
    """From 0."""
    cases: tuple[str, ...]
    failed: dict[str, str] = Field(default_factory=dict)
    """Case -> why it is not fixed."""
    stops: str = ""
    """Why the waves after it are not begun; empty where they are."""


class WavesSteered(Model):
    """An operator held back the waves to come, let them go on, or left the last of them out."""

    kind: Literal["waves-steered"] = "waves-steered"
    digest: str
    says: Literal["pause", "resume", "stop"]
    by: str
    reason: str
    last: int | None = None
    """For `stop`: the last wave that is still begun, from 0; -1 for none."""
    signature: str = ""
    """Of a `resume`: another one lets nothing go on."""


class CandidateExamined(Model):
    """What was made to take the place of what is vulnerable was scanned, and may be deployed or not."""

    kind: Literal["candidate-examined"] = "candidate-examined"
    rebuild: str
    """Digest of the rebuild plan that made it."""
    candidate: str
    """What it is: a digest of an image, a version of a layer."""
    passed: bool
    reasons: tuple[str, ...]
    signature: str = ""
    """What is deployed rests on it: one without a valid signature is no examination."""


class PhaseEnded(Model):
    kind: Literal["phase-ended"] = "phase-ended"
    phase: Phase
    result: Literal["done", "partial", "not-needed", "rejected", "expired", "failed", "drifted"]
    digest: str | None = None
    detail: str = ""

    @property
    def went_well(self) -> bool:
        """Whether a playbook goes on after it; what of it did not come through is planned again, or handed over."""
        return self.result in ("done", "partial", "not-needed")


class ResponseEnded(Model):
    kind: Literal["response-ended"] = "response-ended"
    result: str
    """fixed, not fixed, unverifiable, nothing-to-do, rejected, expired, failed, person."""
    reason: str
    contained: bool = False
    """Whether a containment is still in place."""
