"""The pieces of a Slack message, each within Slack's limits (docs.slack.dev, Block Kit reference)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from runbooks.model import Model
from runbooks.telling.escaping import NOTHING, address, fitted, lines_within, plain, slack, slack_link

HEADER_LIMIT = 150
SECTION_LIMIT = 3_000
FIELD_LIMIT = 2_000
FIELDS_LIMIT = 10
BUTTON_LIMIT = 75
URL_LIMIT = 3_000
VALUE_LIMIT = 2_000
BLOCKS_LIMIT = 50
TEXT_LIMIT = 3_000
_LINE_LIMIT = 400

Block = dict[str, Any]


class Message(Model):
    """A Slack message: its blocks, and the plain words that notifications and screen readers take instead."""

    text: str = Field(max_length=TEXT_LIMIT)
    blocks: tuple[Block, ...] = Field(max_length=BLOCKS_LIMIT)


def header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": fitted(text, HEADER_LIMIT, plain), "emoji": False}}


def section(*lines: str) -> Block:
    """Lines of escaped mrkdwn."""
    return {"type": "section", "text": _mrkdwn(lines_within(lines, SECTION_LIMIT) or NOTHING)}


def list_of(title: str, items: Sequence[str], most: int = 12, *, numbered: bool = False) -> tuple[Block, ...]:
    """A titled list of unescaped texts, or no block where there is nothing; what is left out is counted."""
    if not items:
        return ()
    shown = items[:most]
    lines = [
        f"{f'{number}.' if numbered else '•'} {fitted(item, _LINE_LIMIT, slack)}"
        for number, item in enumerate(shown, start=1)
    ]
    if len(items) > most:
        lines.append(f"and {len(items) - most} more")
    return (section(f"*{slack(title)}*", *lines),)


def fields(values: Mapping[str, str]) -> Block:
    """Up to ten names with their values; the values are escaped mrkdwn, fitted by whoever made them."""
    pairs = list(values.items())[:FIELDS_LIMIT]
    return {"type": "section", "fields": [_mrkdwn(f"*{slack(name)}*\n{value}") for name, value in pairs]}


def value(text: str) -> str:
    """A field's value from unescaped text."""
    return fitted(text or "-", _LINE_LIMIT, slack)


def context(*texts: str) -> Block:
    """A line of small print, of escaped mrkdwn."""
    return {"type": "context", "elements": [_mrkdwn(lines_within([" · ".join(filter(None, texts))], SECTION_LIMIT))]}


def links(targets: Mapping[str, str | None]) -> tuple[Block, ...]:
    """Links by their label; those without an address are left out."""
    shown = [slack_link(label, url) for label, url in targets.items() if address(url)]
    return (section(*shown),) if shown else ()


def link_button(label: str, url: str) -> Block | None:
    """A button that opens an address, which is the one thing it does; None where the address is none."""
    safe = address(url)
    if safe is None or len(safe) > URL_LIMIT:
        return None
    return {"type": "button", "action_id": "open", "text": _label(label), "url": safe, "style": "primary"}


def answer_button(label: str, action: str, answer: str, confirm: str = "", style: str | None = None) -> Block:
    """A button that sends `answer` back, after a question if there is one; the receiver verifies it like any answer."""
    button: Block = {"type": "button", "action_id": action, "text": _label(label), "value": answer}
    if confirm:
        button["confirm"] = {
            "title": {"type": "plain_text", "text": fitted(label, 100, plain)},
            "text": {"type": "plain_text", "text": fitted(confirm, 300, plain)},
            "confirm": {"type": "plain_text", "text": fitted(label, 30, plain)},
            "deny": {"type": "plain_text", "text": "Not now"},
        }
    return button | ({"style": style} if style else {})


def actions(*buttons: Block | None) -> tuple[Block, ...]:
    given = [button for button in buttons if button is not None]
    return ({"type": "actions", "elements": given},) if given else ()


def _label(text: str) -> Block:
    return {"type": "plain_text", "text": fitted(text, BUTTON_LIMIT, plain)}


def _mrkdwn(text: str) -> Block:
    # Verbatim: Slack makes no links, channels or mentions of what it finds in the text by itself.
    return {"type": "mrkdwn", "text": text, "verbatim": True}
