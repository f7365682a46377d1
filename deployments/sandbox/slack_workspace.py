"""What the sandbox's Slack knows and how it answers: channels, messages, threads, pages, and what it refuses.

Limits are Slack's own (docs.slack.dev: chat.postMessage, chat.update, conversations.history, conversations.replies, and
the Block Kit reference for blocks).
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deployments.sandbox.service_faults import Faults

TOKEN = "xoxb-sandbox"

_POST_LIMIT, _UPDATE_LIMIT = 40_000, 4_000
_BLOCK_TYPES = frozenset({"header", "section", "context", "actions", "divider"})


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


@dataclass
class Message:
    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    edited: str | None = None


class Workspace:
    """Channels and messages of one workspace. Safe to use from several threads.

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
        self.messages: list[Message] = []
        self.faults = Faults()
        self._clock = clock
        self._last = 0
        self._lock = threading.RLock()

    def call(self, method: str, arguments: Mapping[str, Any], token: str) -> dict[str, Any]:
        """One API call, as Slack would answer it. Raises SlackRefusal where Slack says `ok: false`."""
        methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.getPermalink": self._permalink,
            "conversations.list": self._list,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
        }
        if method not in methods:
            raise SlackRefusal("unknown_method")
        if token != self.token:
            raise SlackRefusal("invalid_auth" if token else "not_authed")
        with self._lock:
            return {"ok": True, **methods[method](arguments)}

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
        return {"url": self.url, "team": "Sandbox", "team_id": "T0SANDBOX", **ours}

    def _post(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        channel = self._channel(arguments, by_name=True)
        thread = arguments.get("thread_ts") or None
        if thread and not any(m.ts == thread and m.channel == channel.id for m in self.messages):
            raise SlackRefusal("invalid_thread_ts")
        text, blocks = _content(arguments, _POST_LIMIT)
        message = Message(channel.id, self._next_ts(), text, blocks, _metadata(arguments), thread)
        self.messages.append(message)
        return {"channel": channel.id, "ts": message.ts, "message": self._shown(message, metadata=True)}

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
    problems = list(_block_problems(blocks))
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


def _block_problems(blocks: Any) -> Iterator[str]:
    if not isinstance(blocks, list) or len(blocks) > 50:
        yield "must be an array of no more than 50 items [json-pointer:/blocks]"
        return
    for position, block in enumerate(blocks):
        where = f"json-pointer:/blocks/{position}"
        if not isinstance(block, dict) or block.get("type") not in _BLOCK_TYPES:
            yield f"unsupported block [{where}]"
            continue
        for path, value, most in _measured(block):
            if not value or len(value) > most:
                yield f"must be more than 0 and less than {most + 1} characters or items [{where}/{path}]"


def _measured(block: dict[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """What has a limit in one block: where it is, what is there, and the most that is allowed."""
    kind, text, fields, elements = (block.get(name) for name in ("type", "text", "fields", "elements"))
    if kind == "header" or (kind == "section" and (text is not None or fields is None)):
        yield "text/text", (text or {}).get("text"), 150 if kind == "header" else 3_000
    if kind == "section" and fields is not None:
        yield "fields", fields, 10
        yield from ((f"fields/{at}/text", each.get("text"), 2_000) for at, each in enumerate(fields))
    if kind in ("context", "actions"):
        yield "elements", elements, 10 if kind == "context" else 25
    for at, each in enumerate(elements or []):
        if each.get("type") == "button":
            yield f"elements/{at}/text/text", (each.get("text") or {}).get("text"), 75


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
