"""An answer as it is handed in, through whichever door, and every reason for which it may not count."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError

from runbooks.model import Model
from runbooks.plan import Plan
from runbooks.records import Channel

LONGEST_NAME, LONGEST_COMMENT = 120, 1000


class Refusal(StrEnum):
    """Why an answer does not count."""

    NO_ANSWER = "no-answer"
    """What was submitted is no answer: empty, or not what the form asks for."""
    UNKNOWN_PLAN = "unknown-plan"
    """The response has no plan of this digest."""
    STALE_PLAN = "stale-plan"
    """Another plan has taken this one's place."""
    NOT_ASKED = "not-asked"
    """Nobody was asked about this plan."""
    SETTLED = "settled"
    """The question has been decided, or its response has ended."""
    STALE_QUESTION = "stale-question"
    """The form it came with was answered before; a newer one is open."""
    REPLAYED = "replayed"
    """This very submission was handed in before."""
    EXPIRED = "expired"
    """It was submitted after the question's time was over."""
    NOT_REGISTERED = "not-registered"
    REVOKED = "revoked"
    DOUBTFUL = "doubtful"
    """The approvers' stream was tampered with after this approver was registered: they have to be added again."""
    LOCKED = "locked"
    """Too many wrong codes in a row."""
    CODE_MISSING = "code-missing"
    """Here a one-time code is needed, and there is none."""
    WRONG_CODE = "wrong-code"
    USED_CODE = "used-code"
    """It, or a later one, was used before."""
    NOT_NAMED = "not-named"
    """The runbook names its approvers, and this one is not among them."""
    NOT_GRANTED = "not-granted"
    """Their grants do not cover this phase in every environment of the plan."""
    SELF_APPROVAL = "self-approval"
    """Whoever started the response does not approve it as well."""
    SAME_PERSON = "same-person"
    """They have said yes to this plan before; a different person is needed."""


class SlackIdentity(Model):
    """Who pressed a button, as Slack's signed request says."""

    user: str
    team: str


class Submission(Model):
    """An answer as it was handed in, through whichever door."""

    response: str
    digest: str
    """Of the plan that the answer is about."""
    attempt: int | None = None
    """Which question's form it came with; None: whichever is open."""
    says: Literal["approve", "reject", ""]
    """Empty: what was submitted is no answer."""
    claimed: str = ""
    """Who it says it is from: an approver's name, or a Slack user id."""
    code: SecretStr | None = None
    slack: SlackIdentity | None = None
    channel: Channel
    submitted_at: datetime
    request: str = ""
    """Names this submission and no other, so that it counts once."""
    comment: str = ""


class FormAnswer(Model):
    """What a person filled in. The form's own checks can be passed by; these cannot."""

    decision: Literal["approve", "reject"]
    approver: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    one_time_code: Annotated[str, Field(max_length=20)] = ""
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT)] = ""


def form_submission(
    plan: Plan, attempt: int, given: Mapping[str, Any], submitted_at: datetime, request: str
) -> Submission:
    """What came with the form of this question, whatever it is: something that is no answer says nothing.

    A form without a name is a wake-up call: another channel has answered, or nobody has.
    """
    base: dict[str, Any] = {
        "response": plan.response,
        "digest": plan.digest,
        "attempt": attempt,
        "channel": "prefect",
        "submitted_at": submitted_at,
        "request": request,
    }
    try:
        form = FormAnswer.model_validate(dict(given))
    except ValidationError:
        return Submission(**base, says="")
    code = SecretStr(form.one_time_code) if form.one_time_code.strip() else None
    says = form.decision if form.approver.strip() else ""
    return Submission(**base, says=says, claimed=form.approver, code=code, comment=form.comment)
