"""What the sandbox's Slack knows and how it answers: channels, messages, threads, pages, and what it refuses.

Limits are Slack's own (docs.slack.dev: chat.postMessage, chat.update, conversations.history, conversations.replies, and
the Block Kit reference for blocks).
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.service_faults import Faults
from deployments.sandbox.slack_blocks import block_problems, view_problems

TOKEN = "xoxb-sandbox"
TEAM = "T0SANDBOX"
TRIGGER_SECONDS = 3.0
"""How long a trigger can be exchanged for a modal (docs.slack.dev, Modals)."""

_POST_LIMIT, _UPDATE_LIMIT = 40_000, 4_000


class SlackRefusal(Exception):
    """Slack's answer is no. `code` is Slack's own error word."""

    def __init__(self, code: str, *messages: str) -> None:
        super().__init__(code)
        self.code = code
        self.messages = messages


@dataclass(frozen=True)
class Channel:
    id: str
    name: str
    joined: bool = True


@dataclass(frozen=True)
class Person:
    """Someone who reads the channels. A guest from another workspace keeps the id of that one."""

    id: str
    name: str
    team: str = TEAM


PEOPLE = (
    Person("U0ALICE", "alice"),
    Person("U0BOB", "bob"),
    Person("U0CAROL", "carol"),
    Person("U0GUEST", "guest", "T0PARTNER"),
)


@dataclass
class Message:
    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    edited: str | None = None


@dataclass(frozen=True)
class Whisper:
    """An ephemeral message: one person sees it, and no history has it."""

    channel: str
    user: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None


@dataclass
class View:
    """A modal that is open before one person."""

    id: str
    user: str
    content: dict[str, Any]
    hash: str
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """Block id -> what the application says is wrong with what was filled in."""


class Workspace:
    """Channels, people and messages of one workspace. Safe to use from several threads.

    Args:
        channels: The channels that exist; `security` when none is given.
        token: The one bot token that is accepted.
        url: Where this workspace is seen by people; permalinks begin with it.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        channels: Iterable[Channel] = (Channel("C0SECURITY", "security"),),
        token: str = TOKEN,
        url: str = "http://127.0.0.1/",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.channels = list(channels)
        self.token = token
        self.url = url
        self.people = {person.id: person for person in PEOPLE}
        self.messages: list[Message] = []
        self.whispers: list[Whisper] = []
        self.views: dict[str, View] = {}
        """The modal that each person has open, by their id."""
        self.faults = Faults()
        self._triggers: dict[str, tuple[str, float]] = {}
        self._clock = clock
        self._last = 0
        self._lock = threading.RLock()

    def call(self, method: str, arguments: Mapping[str, Any], token: str) -> dict[str, Any]:
        """One API call, as Slack would answer it. Raises SlackRefusal where Slack says `ok: false`."""
        methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._whisper,
            "chat.update": self._update,
            "chat.getPermalink": self._permalink,
            "conversations.list": self._list,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "views.open": self._open,
        }
        if method not in methods:
            raise SlackRefusal("unknown_method")
        if token != self.token:
            raise SlackRefusal("invalid_auth" if token else "not_authed")
        with self._lock:
            return {"ok": True, **methods[method](arguments)}

    def stamp(self) -> str:
        """A timestamp that no other message, action or view of this workspace has."""
        with self._lock:
            return self._next_ts()

    def trigger(self, user: str) -> str:
        """What an application gets with an action: good for one modal before this person, and soon over."""
        with self._lock:
            trigger = f"{self._next_ts()}.{user.lower()}"
            self._triggers[trigger] = (user, self._clock())
            return trigger

    def message(self, ts: str) -> Message | None:
        return next((message for message in self.messages if message.ts == ts), None)

    def link(self, message: Message) -> str:
        """The permalink, in Slack's form; here it leads to the message on the page."""
        anchor = "p" + message.ts.replace(".", "")
        return f"{self.url.rstrip('/')}/?channel={message.channel}#{anchor}"

    def threads(self, channel: str) -> list[tuple[Message, list[Message]]]:
        """Each top message of a channel with its replies, oldest first."""
        with self._lock:
            here = [m for m in self.messages if m.channel == channel]
            return [(top, [m for m in here if m.thread_ts == top.ts]) for top in here if top.thread_ts is None]

    def _auth_test(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        ours = {"user": "runbooks", "user_id": "U0RUNBOOKS", "bot_id": "B0RUNBOOKS"}
        return {"url": self.url, "team": "Sandbox", "team_id": TEAM, **ours}

    def _post(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_name=True)
        thread = arguments.get("thread_ts") or None
        if thread and not any(m.ts == thread and m.channel == channel.id for m in self.messages):
            raise SlackRefusal("invalid_thread_ts")
        text, blocks = _content(arguments, _POST_LIMIT)
        message = Message(channel.id, self._next_ts(), text, blocks, _metadata(arguments), thread)
        self.messages.append(message)
        return {"channel": channel.id, "ts": message.ts, "message": self._shown(message, metadata=True)}

    def _whisper(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel, user = self._channel(arguments, by_name=True), str(arguments.get("user", ""))
        if user not in self.people:
            raise SlackRefusal("user_not_in_channel")
        text, blocks = _content(arguments, _POST_LIMIT)
        whisper = Whisper(channel.id, user, self._next_ts(), text, blocks, arguments.get("thread_ts") or None)
        self.whispers.append(whisper)
        return {"message_ts": whisper.ts}

    def _open(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        trigger = str(arguments.get("trigger_id", ""))
        if trigger not in self._triggers:
            raise SlackRefusal("invalid_trigger_id")
        user, since = self._triggers[trigger]
        if not user:
            raise SlackRefusal("exchanged_trigger_id")
        if self._clock() - since > TRIGGER_SECONDS:
            raise SlackRefusal("expired_trigger_id")
        content = _parsed(arguments.get("view"), "invalid_arguments")
        problems = list(view_problems(content))
        if problems:
            raise SlackRefusal("invalid_arguments", *problems)
        self._triggers[trigger] = ("", since)
        ts = self._next_ts()
        self.views[user] = View("V" + ts.replace(".", ""), user, content, ts)
        return {"view": {**content, "id": self.views[user].id, "team_id": TEAM, "hash": ts, "state": {"values": {}}}}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        message = self._message(arguments, "ts")
        message.text, message.blocks = _content(arguments, _UPDATE_LIMIT)
        # Metadata left out is metadata kept (docs.slack.dev, chat.update).
        message.metadata = _metadata(arguments) or message.metadata
        message.edited = self._next_ts()
        return {"channel": message.channel, "ts": message.ts, "text": message.text}

    def _permalink(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        message = self._message(arguments, "message_ts")
        return {"channel": message.channel, "permalink": self.link(message)}

    def _list(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        rows = [{"id": c.id, "name": c.name, "is_channel": True, "is_member": c.joined} for c in self.channels]
        chosen, cursor = _page(rows, "id", arguments, 100)
        return {"channels": chosen, "response_metadata": {"next_cursor": cursor}}

    def _history(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_name=False)
        tops = [m for m in reversed(self.messages) if m.channel == channel.id and m.thread_ts is None]
        return self._listing([m for m in tops if _within(m.ts, arguments)], arguments)

    def _replies(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        top = self._message(arguments, "ts", missing="thread_not_found")
        replies = [m for m in self.messages if m.thread_ts == top.ts and _within(m.ts, arguments)]
        return self._listing([top, *replies], arguments)

    def _listing(self, messages: Sequence[Message], arguments: Mapping[str, Any]) -> dict[str, Any]:
        metadata = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
        chosen, cursor = _page([self._shown(m, metadata=metadata) for m in messages], "ts", arguments, 100)
        return {"messages": chosen, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}

    def shown(self, message: Message) -> dict[str, Any]:
        """The message as an application gets it with an action upon it."""
        with self._lock:
            return self._shown(message, metadata=False)

    def _shown(self, message: Message, *, metadata: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": "message", "user": "U0RUNBOOKS", "bot_id": "B0RUNBOOKS", "ts": message.ts}
        shown |= {"text": message.text, "blocks": message.blocks}
        if metadata and message.metadata:
            shown["metadata"] = message.metadata
        if message.edited:
            shown["edited"] = {"user": "U0RUNBOOKS", "ts": message.edited}
        replies = [m.ts for m in self.messages if m.thread_ts == message.ts]
        if replies:
            shown |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1]}
        if message.thread_ts:
            shown["thread_ts"] = message.thread_ts
        return shown

    def _channel(self, arguments: Mapping[str, Any], *, by_name: bool) -> Channel:
        wanted = str(arguments.get("channel", ""))
        for channel in self.channels:
            if wanted == channel.id or (by_name and wanted.lstrip("#") == channel.name):
                if not channel.joined:
                    raise SlackRefusal("not_in_channel")
                return channel
        raise SlackRefusal("channel_not_found")

    def _message(self, arguments: Mapping[str, Any], name: str, missing: str = "message_not_found") -> Message:
        channel = self._channel(arguments, by_name=False)
        for message in self.messages:
            if message.channel == channel.id and message.ts == str(arguments.get(name, "")):
                return message
        raise SlackRefusal(missing)

    def _next_ts(self) -> str:
        self._last = max(int(self._clock() * 1_000_000), self._last + 1)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"


def _content(arguments: Mapping[str, Any], limit: int) -> tuple[str, list[dict[str, Any]]]:
    text = str(arguments.get("text") or "")
    blocks = _parsed(arguments.get("blocks"), "invalid_blocks_format") or []
    if not text and not blocks:
        raise SlackRefusal("no_text")
    if len(text) > limit:
        raise SlackRefusal("msg_too_long")
    problems = list(block_problems(blocks))
    if problems:
        raise SlackRefusal("invalid_blocks", *problems)
    return text, blocks


def _metadata(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    metadata = _parsed(arguments.get("metadata"), "invalid_metadata_format")
    if not metadata:
        return None
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackRefusal("invalid_metadata_format")
    return metadata


def _parsed(value: Any, refusal: str) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) and value else value
    except json.JSONDecodeError:
        raise SlackRefusal(refusal) from None


def _within(ts: str, arguments: Mapping[str, Any]) -> bool:
    at = float(ts)
    oldest, latest = float(arguments.get("oldest") or 0), float(arguments.get("latest") or "inf")
    inclusive = str(arguments.get("inclusive", "")).lower() in ("1", "true")
    return oldest <= at <= latest if inclusive else oldest < at < latest


def _page(
    rows: list[dict[str, Any]], key: str, arguments: Mapping[str, Any], default: int
) -> tuple[list[dict[str, Any]], str]:
    """One page after the cursor, and the next cursor, empty at the end."""
    keys = [row[key] for row in rows]
    start = 0
    if arguments.get("cursor"):
        last = b64decode(str(arguments["cursor"])).decode()
        if last not in keys:
            raise SlackRefusal("invalid_cursor")
        start = keys.index(last) + 1
    end = start + min(int(arguments.get("limit") or default), 999)
    return rows[start:end], b64encode(keys[end - 1].encode()).decode() if end < len(rows) else ""
