"""What Slack refuses in blocks and modals, with the place of each fault (docs.slack.dev, the Block Kit reference)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MESSAGE_BLOCKS = frozenset({"header", "section", "context", "actions", "divider"})
_VIEW_BLOCKS = _MESSAGE_BLOCKS | {"input"}
_CONFIRM_LIMITS = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
_VIEW_LIMITS = {"title": 24, "submit": 24, "close": 24}


def block_problems(blocks: Any, *, most: int = 50, kinds: frozenset[str] = _MESSAGE_BLOCKS) -> Iterator[str]:
    """Everything that is wrong with the blocks of a message."""
    if not isinstance(blocks, list) or len(blocks) > most:
        yield f"must be an array of no more than {most} items [json-pointer:/blocks]"
        return
    for position, block in enumerate(blocks):
        where = f"json-pointer:/blocks/{position}"
        if not isinstance(block, dict) or block.get("type") not in kinds:
            yield f"unsupported block [{where}]"
            continue
        for path, value, limit in _measured(block):
            if not value or len(value) > limit:
                yield f"must be more than 0 and less than {limit + 1} characters or items [{where}/{path}]"


def view_problems(view: Any) -> Iterator[str]:
    """Everything that is wrong with a modal."""
    if not isinstance(view, dict) or view.get("type") != "modal":
        yield "must be a modal [json-pointer:/view/type]"
        return
    blocks = view.get("blocks")
    yield from block_problems(blocks, most=100, kinds=_VIEW_BLOCKS)
    if "title" not in view:
        yield "missing required field: title [json-pointer:/view]"
    if "submit" not in view and any(block.get("type") == "input" for block in blocks or () if isinstance(block, dict)):
        yield "submit is required where there is an input [json-pointer:/view]"
    for name, limit in _VIEW_LIMITS.items():
        if name in view and not 0 < len(_text(view[name])) <= limit:
            yield f"must be less than {limit + 1} characters [json-pointer:/view/{name}/text]"
    if len(view.get("private_metadata") or "") > 3_000:
        yield "must be less than 3001 characters [json-pointer:/view/private_metadata]"


def _measured(block: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """What has a limit in one block: where it is, what is there, and the most that is allowed."""
    kind, text, fields, elements = (block.get(name) for name in ("type", "text", "fields", "elements"))
    if kind == "header" or (kind == "section" and (text is not None or fields is None)):
        yield "text/text", _text(text), 150 if kind == "header" else 3_000
    if kind == "section" and fields is not None:
        yield "fields", fields, 10
        yield from ((f"fields/{at}/text", each.get("text"), 2_000) for at, each in enumerate(fields))
    if kind in ("context", "actions"):
        yield "elements", elements, 10 if kind == "context" else 25
    for at, each in enumerate(elements or []):
        if each.get("type") == "button":
            yield from ((f"elements/{at}/{path}", value, most) for path, value, most in _measured_button(each))
    if kind == "input":
        yield "label/text", _text(block.get("label")), 2_000
        yield "element/action_id", (block.get("element") or {}).get("action_id"), 255
        if "hint" in block:
            yield "hint/text", _text(block["hint"]), 2_000


def _measured_button(button: Mapping[str, Any]) -> Iterator[tuple[str, Any, int]]:
    yield "text/text", _text(button.get("text")), 75
    for name, limit in (("value", 2_000), ("action_id", 255), ("url", 3_000)):
        if name in button:
            yield name, button[name], limit
    if "confirm" in button:
        for name, limit in _CONFIRM_LIMITS.items():
            yield f"confirm/{name}/text", _text(button["confirm"].get(name)), limit


def _text(text: Any) -> str:
    return str((text or {}).get("text") or "")
