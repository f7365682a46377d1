"""Slack, in our words: post a message once, find it again by its operation, update it; ask and tell one person.

A post is never sent again by itself. Slack has no idempotency token for chat.postMessage, so each message carries the
id of the operation that caused it as message metadata; whoever lost an answer looks with `find` before posting again
(docs.slack.dev, Message metadata).
"""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled
from runbooks.model import Model

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.web import SlackResponse

EVENT_TYPE = "remediation_runbooks"
TEXT_LIMIT = 4_000  # chat.update refuses more as msg_too_long, so that a longer message could never be corrected.

# Our clock and Slack's differ; a message stamped a little before the intent was written is still ours.
_CLOCK_SKEW = timedelta(minutes=5)
_PAGE = 200
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{7,}")

_ACCESS = frozenset(
    {
        "access_denied",
        "account_inactive",
        "ekm_access_denied",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
_THROTTLES = frozenset({"ratelimited", "rate_limited"})
# Slack says of these that some aspect of the operation may have succeeded before the error was raised.
_UNKNOWN_EFFECT = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})


class MessageRef(Model):
    """Where a message is. `channel` is Slack's id, never a name; `permalink` is None when Slack would not tell it."""

    channel: str
    ts: str
    permalink: str | None = None


class SlackIdentity(Model):
    """Who Slack takes this token for."""

    team: str
    user: str
    user_id: str
    url: str


class SlackThrottled(Throttled):
    """Slack asks to wait. `retry_after` is in seconds."""

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.detail,), {"code": self.code, "retry_after": self.retry_after})


class SlackGateway:
    """One channel of one workspace, by its bot token.

    Args:
        token: The bot token. It needs `chat:write`, `channels:read` and `channels:history` (`groups:...` for a private
            channel), and the bot must be in the channel.
        base_url: `https://slack.com/api/`, or the sandbox.
        channel: Name or id. A name is looked up once, when something must be found.
        timeout: Seconds to wait for each answer.

    Every method raises AccessDenied, SlackThrottled, AnswerLost (changes only: the effect is unknown) or Outside, whose
    code is `slack-` and Slack's own word.
    """

    def __init__(self, token: str, base_url: str, channel: str, timeout: int) -> None:
        self._token = token
        self._base_url = base_url
        self._channel = channel.lstrip("#")
        self._timeout = timeout

    def identity(self) -> SlackIdentity:
        """Who we are to Slack; the cheapest proof that address and token are right."""
        answer = self._read(self._client.auth_test)
        return SlackIdentity.model_validate({name: answer[name] for name in SlackIdentity.model_fields})

    def post(
        self,
        text: str,
        blocks: Sequence[Mapping[str, Any]],
        operation: str,
        thread: MessageRef | None = None,
    ) -> MessageRef:
        """Send one message, once.

        Args:
            text: Plain words for notifications and screen readers; escaped and cut here.
            blocks: Block Kit. Whatever in it did not come from us must have gone through `escape`.
            operation: The id by which `find` finds this message again.
            thread: The message to answer in its thread.

        Raises:
            AnswerLost: It may have been posted. Ask `find` before posting again.
        """
        answer = self._change(
            self._client.chat_postMessage,
            channel=self._channel,
            text=_cut(escape(text)),
            blocks=[dict(block) for block in blocks],
            thread_ts=thread.ts if thread else None,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"operation": operation}},
            unfurl_links=False,
        )
        return self._ref(str(answer["channel"]), str(answer["ts"]))

    def find(self, operation: str, since: datetime, thread: MessageRef | None = None) -> MessageRef | None:
        """The message that `operation` posted, or None.

        Args:
            operation: As given to `post`.
            since: When the intent was written down, with its time zone; older messages are not looked at.
            thread: Look only in this thread. Without it: in the channel, and in threads begun since then.
        """
        oldest = f"{(since - _CLOCK_SKEW).timestamp():.6f}"
        channel = thread.channel if thread else self._channel_id
        for message in self._thread(channel, thread.ts, oldest) if thread else self._recent(channel, oldest):
            metadata = message.get("metadata") or {}
            ours = metadata.get("event_type") == EVENT_TYPE
            if ours and metadata.get("event_payload", {}).get("operation") == operation:
                return self._ref(channel, str(message["ts"]))
        return None

    def update(self, ref: MessageRef, text: str, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Replace what a message says. Its operation stays on it; doing it twice changes nothing more."""
        content = {"text": _cut(escape(text)), "blocks": [dict(block) for block in blocks]}
        self._change(self._client.chat_update, channel=ref.channel, ts=ref.ts, **content)

    def tell(self, user: str, text: str, channel: str, thread: str | None = None) -> None:
        """Say something that only this user sees, and that no history keeps.

        An interaction also brings an address to answer to; what came from outside is not called back, this is.

        Args:
            text: Plain words; escaped and cut here.
            thread: `ts` of the message in whose thread it is shown.
        """
        self._change(
            self._client.chat_postEphemeral, channel=channel, user=user, text=_cut(escape(text)), thread_ts=thread
        )

    def open_view(self, trigger: str, view: Mapping[str, Any]) -> None:
        """Open a modal before the user whose action brought this trigger, which is good for three seconds and once."""
        self._change(self._client.views_open, trigger_id=trigger, view=dict(view))

    @cached_property
    def _client(self) -> WebClient:
        from slack_sdk import WebClient  # loaded when Slack is really used: every command would wait for it

        # slack_sdk's default handler sends a request again after a connection error, a post included.
        return WebClient(token=self._token, base_url=self._base_url, timeout=self._timeout, retry_handlers=[])

    @cached_property
    def _channel_id(self) -> str:
        if _CHANNEL_ID.fullmatch(self._channel):
            return self._channel
        kinds = "public_channel,private_channel"
        for channel in self._paged("channels", self._client.conversations_list, types=kinds, exclude_archived=True):
            if channel["name"] == self._channel:
                return str(channel["id"])
        raise Outside(f"Slack shows this bot no channel named {self._channel}", code="slack-channel-not-found")

    def _recent(self, channel: str, oldest: str) -> Iterator[dict[str, Any]]:
        window = {"channel": channel, "oldest": oldest, "include_all_metadata": True}
        for message in self._paged("messages", self._client.conversations_history, **window):
            yield message
            if message.get("reply_count"):
                yield from self._thread(channel, message["ts"], oldest)

    def _thread(self, channel: str, ts: str, oldest: str) -> Iterator[dict[str, Any]]:
        window = {"channel": channel, "ts": ts, "oldest": oldest, "include_all_metadata": True}
        return self._paged("messages", self._client.conversations_replies, **window)

    def _paged(self, key: str, method: Callable[..., SlackResponse], **arguments: Any) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while cursor != "":
            answer = self._read(method, cursor=cursor, limit=_PAGE, **arguments)
            yield from answer[key]
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""

    def _ref(self, channel: str, ts: str) -> MessageRef:
        try:
            permalink = str(self._read(self._client.chat_getPermalink, channel=channel, message_ts=ts)["permalink"])
        except Outside:
            # The message is there; a missing link must not make it look as if it were not.
            permalink = None
        return MessageRef(channel=channel, ts=ts, permalink=permalink)

    def _read(self, method: Callable[..., SlackResponse], **arguments: Any) -> Mapping[str, Any]:
        return _called(method, arguments, lost=Outside)

    def _change(self, method: Callable[..., SlackResponse], **arguments: Any) -> Mapping[str, Any]:
        return _called(method, arguments, lost=AnswerLost)


def escape(text: str) -> str:
    """Text that Slack shows as it is: no mention, link or channel can be made of it (docs.slack.dev, formatting)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(escaped: str) -> str:
    if len(escaped) <= TEXT_LIMIT:
        return escaped
    note = " … (cut)"
    return re.sub(r"&[a-z]{0,3}$", "", escaped[: TEXT_LIMIT - len(note)]) + note


def _called(
    method: Callable[..., SlackResponse], arguments: Mapping[str, Any], lost: type[Outside]
) -> Mapping[str, Any]:
    """One call, and the one place where Slack's errors become ours. `lost` is raised when no answer came."""
    from slack_sdk.errors import SlackApiError

    try:
        data = method(**arguments).data
    except SlackApiError as refused:
        raise _refusal(refused.response, lost) from refused
    except (OSError, http.client.HTTPException) as broken:
        if _never_sent(broken):
            raise Outside(f"Slack cannot be reached: {broken}", code="slack-unreachable") from broken
        raise lost(f"Slack did not answer: {type(broken).__name__}") from broken
    if not isinstance(data, dict):
        raise lost("Slack answered with something that is not JSON")
    return data


def _refusal(response: SlackResponse, lost: type[Outside]) -> Outside:
    word = str(response.get("error", ""))
    if response.status_code == 429 or word in _THROTTLES:
        seconds = float(response.headers.get("Retry-After", 1))
        return SlackThrottled(f"Slack asks to wait {seconds:g} s", retry_after=seconds)
    if response.status_code >= 500 or word in _UNKNOWN_EFFECT or not re.fullmatch(r"\w+", word):
        return lost(f"Slack failed with HTTP {response.status_code}")
    if word in _ACCESS:
        return AccessDenied(f"Slack refuses: {word}")
    said = "; ".join((response.get("response_metadata") or {}).get("messages", []))
    return Outside(f"Slack refuses: {word} {said}".rstrip(), code="slack-" + word.replace("_", "-"))


def _never_sent(broken: Exception) -> bool:
    reason = broken.reason if isinstance(broken, URLError) else broken
    return isinstance(reason, ConnectionRefusedError | socket.gaierror)
