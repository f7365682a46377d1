"""What Slack sends when something is pressed or filled in: what of it concerns us, read from the raw form.

docs.slack.dev: block_actions payload, view interaction payloads. Slack adds fields without notice, so what is not known
is passed over; what is known must be what it should be.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from runbooks import strict_json
from runbooks.approval import SlackIdentity
from runbooks.errors import MalformedPayload
from runbooks.model import Model
from runbooks.telling.answering import APPROVE, APPROVE_WITH_CODE, CODE, COMMENT, REJECT, PlanRef, read_answer_value


class Press(Model):
    """A button of ours was pressed."""

    who: SlackIdentity
    plan: PlanRef
    action: Literal["approve-plan", "reject-plan", "approve-plan-with-code"]
    trigger: str
    """Good for one modal before who pressed, for three seconds."""
    channel: str
    thread: str | None


class Filled(Model):
    """Our modal was submitted."""

    who: SlackIdentity
    plan: PlanRef
    code: SecretStr
    comment: str


def read_interaction(body: bytes) -> Press | Filled | None:
    """What was done; None for something that is Slack's, but nothing to us: a link that was opened, another modal.

    Raises:
        MalformedPayload: it is not what Slack sends, or a button or modal of ours without what it carries.
    """
    payload = strict_json.loads(_payload(body))
    if strict_json.members_of(payload).get("type") not in ("block_actions", "view_submission"):
        return None
    try:
        read = _READER.validate_python(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedPayload(f"{where}: {first['msg']}", code="malformed-interaction") from None
    return _pressed(read) if isinstance(read, _BlockActions) else _filled(read)


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Team(_Loose):
    id: str


class _User(_Loose):
    id: str
    team_id: str | None = None


class _Action(_Loose):
    action_id: str
    value: str = ""


class _Place(_Loose):
    channel_id: str = ""
    message_ts: str = ""
    thread_ts: str | None = None


class _Interaction(_Loose):
    user: _User
    team: _Team | None = None

    @property
    def who(self) -> SlackIdentity:
        """The person by their own workspace: a guest from another one has that one's id."""
        return SlackIdentity(user=self.user.id, team=self.user.team_id or (self.team.id if self.team else ""))


class _BlockActions(_Interaction):
    type: Literal["block_actions"]
    trigger_id: str
    actions: Annotated[list[_Action], Field(min_length=1)]
    container: _Place


class _Input(_Loose):
    value: str | None = None


class _State(_Loose):
    values: dict[str, dict[str, _Input]]


class _View(_Loose):
    callback_id: str = ""
    private_metadata: str = ""
    state: _State


class _ViewSubmission(_Interaction):
    type: Literal["view_submission"]
    view: _View

    def value(self, name: str) -> str:
        """What was filled into the input of this name."""
        filled = self.view.state.values.get(name, {}).get(name)
        return filled.value or "" if filled else ""


_READER: TypeAdapter[_BlockActions | _ViewSubmission] = TypeAdapter(
    Annotated[_BlockActions | _ViewSubmission, Field(discriminator="type")]
)


def _payload(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=10, errors="strict")
    except ValueError as error:
        raise MalformedPayload(f"it is not a form: {error}", code="malformed-interaction") from None
    if len(fields.get("payload", ())) != 1:
        raise MalformedPayload("the form has not one field `payload`", code="malformed-interaction")
    return fields["payload"][0]


def _pressed(read: _BlockActions) -> Press | None:
    action = read.actions[0]
    if action.action_id not in (APPROVE, REJECT, APPROVE_WITH_CODE):
        return None
    if not read.container.channel_id or not read.container.message_ts:
        raise MalformedPayload("a button of ours that is in no message", code="malformed-interaction")
    return Press(
        who=read.who,
        plan=_plan(action.value),
        action=action.action_id,
        trigger=read.trigger_id,
        channel=read.container.channel_id,
        thread=read.container.thread_ts or read.container.message_ts,
    )


def _filled(read: _ViewSubmission) -> Filled | None:
    if read.view.callback_id != APPROVE_WITH_CODE:
        return None
    plan = _plan(read.view.private_metadata)
    return Filled(who=read.who, plan=plan, code=SecretStr(read.value(CODE)), comment=read.value(COMMENT))


def _plan(value: str) -> PlanRef:
    plan = read_answer_value(value)
    if plan is None:
        raise MalformedPayload("it does not say which plan it is about", code="malformed-interaction")
    return plan
