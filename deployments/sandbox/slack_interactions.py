"""What people press and fill in, sent to the application as Slack sends it: signed, as a form, for three seconds.

The payloads are Slack's (docs.slack.dev: block_actions payload, view interaction payloads, Verifying requests from
Slack).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from slack_sdk.signature import SignatureVerifier

from deployments.sandbox.slack_workspace import TEAM, Message, Person, SlackRefusal, View, Workspace

SIGNING_SECRET = "sandbox-signing-secret"
APPLICATION = "A0RUNBOOKS"
_ANSWER_SECONDS = 3.0
_NEWS = frozenset({"chat.update", "chat.postMessage", "chat.postEphemeral", "views.open"})
_NO_ANSWER = "The application did not answer in time."


@dataclass(frozen=True)
class Sent:
    """One interaction and what the application answered; status 0 where it did not."""

    payload: dict[str, Any]
    status: int
    answer: dict[str, Any] = field(default_factory=dict[str, Any])


class Interactions:
    """The way from a workspace to its application.

    Args:
        workspace: Where the people are.
        secret: What the requests are signed with; the application knows it as its signing secret.
        patience: How many seconds a press waits for what comes of it.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        workspace: Workspace,
        secret: str = SIGNING_SECRET,
        patience: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.request_url = ""
        """Where the application takes interactions. Empty: nowhere, and nothing can be pressed."""
        self.sent: list[Sent] = []
        self._workspace = workspace
        self._signer = SignatureVerifier(secret)
        self._patience = patience
        self._clock = clock
        self._news = asyncio.Event()

    def noticed(self, method: str) -> None:
        """The application has called this method: people may see something new."""
        if method in _NEWS:
            self._news.set()

    async def press(self, user: str, ts: str, action_id: str) -> Sent:
        """Press a button of a message, its dialog confirmed, and wait a moment for what comes of it.

        Raises:
            SlackRefusal: there is no such person, message or button.
        """
        person, message = self._person(user), self._workspace.message(ts)
        found = _button(message, action_id) if message else None
        if message is None or found is None:
            raise SlackRefusal("no_such_button")
        self._news.clear()
        sent = await self._send(self._block_actions(person, message, *found))
        if sent.status == httpx.codes.OK:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._patience)
        return sent

    async def submit(self, user: str, values: Mapping[str, str]) -> Sent:
        """Submit the modal this person has open.

        Args:
            values: action id of an input -> what was filled in.

        Raises:
            SlackRefusal: there is no such person, or no modal before them.
        """
        person, view = self._person(user), self._workspace.views.get(user)
        if view is None:
            raise SlackRefusal("no_open_view")
        sent = await self._send(self._view_submission(person, view, values))
        self._follow(view, sent)
        return sent

    def _person(self, user: str) -> Person:
        if user not in self._workspace.people:
            raise SlackRefusal("user_not_found")
        return self._workspace.people[user]

    async def _send(self, payload: dict[str, Any]) -> Sent:
        if not self.request_url:
            raise SlackRefusal("no_request_url")
        body = urlencode({"payload": json.dumps(payload)}).encode()
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": self._signer.generate_signature(timestamp=timestamp, body=body) or "",
        }
        try:
            async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
                answer = await client.post(self.request_url, content=body, headers=headers)
        except httpx.HTTPError:
            sent = Sent(payload, 0)
        else:
            sent = Sent(payload, answer.status_code, _json(answer))
        self.sent.append(sent)
        return sent

    def _follow(self, view: View, sent: Sent) -> None:
        """As Slack does with a modal by the answer to its submission (docs.slack.dev, Modals)."""
        if sent.status != httpx.codes.OK:
            view.errors = {
                block["block_id"]: _NO_ANSWER for block in view.content["blocks"] if block["type"] == "input"
            }
            return
        match sent.answer.get("response_action"):
            case "errors":
                view.errors = sent.answer["errors"]
            case "update":
                view.content, view.errors, view.hash = sent.answer["view"], {}, self._workspace.stamp()
            case _:
                self._workspace.views.pop(view.user, None)

    def _block_actions(
        self, person: Person, message: Message, block: Mapping[str, Any], button: Mapping[str, Any]
    ) -> dict[str, Any]:
        channel = next(each for each in self._workspace.channels if each.id == message.channel)
        container = {"type": "message", "message_ts": message.ts, "channel_id": channel.id, "is_ephemeral": False}
        action = {name: button[name] for name in ("action_id", "text", "value", "style") if name in button}
        return {
            "type": "block_actions",
            **self._common(person),
            "container": container | ({"thread_ts": message.thread_ts} if message.thread_ts else {}),
            "channel": {"id": channel.id, "name": channel.name},
            "message": self._workspace.shown(message),
            "state": {"values": {}},
            "response_url": f"https://hooks.slack.com/actions/{TEAM}/{message.ts.replace('.', '')}",
            "actions": [
                {**action, "block_id": block["block_id"], "type": "button", "action_ts": self._workspace.stamp()}
            ],
        }

    def _view_submission(self, person: Person, view: View, values: Mapping[str, str]) -> dict[str, Any]:
        inputs = [block for block in view.content["blocks"] if block["type"] == "input"]
        state = {
            block["block_id"]: {
                block["element"]["action_id"]: {
                    "type": block["element"]["type"],
                    "value": values.get(block["element"]["action_id"]) or None,
                }
            }
            for block in inputs
        }
        ids = {"id": view.id, "team_id": TEAM, "app_id": APPLICATION, "bot_id": "B0RUNBOOKS", "hash": view.hash}
        return {
            "type": "view_submission",
            **self._common(person),
            "view": {**view.content, **ids, "root_view_id": view.id, "state": {"values": state}},
            "response_urls": [],
        }

    def _common(self, person: Person) -> dict[str, Any]:
        return {
            "team": {"id": TEAM, "domain": "sandbox"},
            "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team},
            "api_app_id": APPLICATION,
            "token": "sandbox-verification-token",
            "enterprise": None,
            "is_enterprise_install": False,
            "trigger_id": self._workspace.trigger(person.id),
        }


def _button(message: Message, action_id: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The button with this action, and its block, which has the id that Slack would give it."""
    for position, block in enumerate(message.blocks):
        for element in block.get("elements", ()) if block["type"] == "actions" else ():
            if element.get("action_id") == action_id:
                return {"block_id": f"b{position}", **block}, element
    return None


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
