"""JSON from outside, read strictly: what passes here can be stored, digested (RFC 8785) and read back as it was.

That is I-JSON (RFC 7493): UTF-8, no name twice in an object, numbers that every reader reads alike, whole characters.
Beyond it, depth is limited so that nothing later runs out of stack, and NUL is refused because PostgreSQL does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from runbooks.errors import MalformedPayload

MAX_BYTES = 1024 * 1024
"""The largest event EventBridge takes (API destinations announce it: `Range: bytes=0-1048575`)."""
MAX_DEPTH = 64
"""Inspector's own findings nest nine deep."""
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_RESEND = "send the event as EventBridge made it, as one JSON object in UTF-8"


def loads(raw: bytes | str) -> object:
    """The value that `raw` holds. A byte order mark at its start is tolerated.

    Raises:
        MalformedPayload: Code `too-large` over MAX_BYTES, `not-json` for text that is not strict JSON,
            `malformed-event` for a value that cannot be kept (see `check`).
    """
    data = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise MalformedPayload(
            f"the payload has {len(data):,} bytes, more than the {MAX_BYTES:,} of an EventBridge event: send fewer "
            "findings at a time",
            code="too-large",
        )
    try:
        value: object = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise MalformedPayload(f"values nest more than {MAX_DEPTH} deep: {_RESEND}", code="malformed-event") from None
    except ValueError as error:
        raise _not_json(str(error)) from None
    check(value)
    return value


def check(value: object) -> None:
    """Pass a value that is JSON and can be kept; a datetime counts as JSON, as boto3 puts them where times are.

    Raises:
        MalformedPayload: (malformed-event) It nests too deep, or holds a number, a character or a type that JSON
            readers and databases do not agree on. The message names the JSON path.
    """
    if not _is_plain(value):
        _look_closely(value)


def member_path(path: str, name: str | int) -> str:
    """The JSON path of a member or an index below `path`; a long name is cut."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    if len(name) > 60:
        name = name[:57] + "..."
    return f"{path}.{name}" if name.isidentifier() and name.isascii() else f"{path}[{json.dumps(name)}]"


def members_of(value: object) -> dict[str, object]:
    """The members of a JSON object; none for any other value."""
    return cast(dict[str, object], value) if isinstance(value, dict) else {}


def entries_of(value: object) -> list[object]:
    """The entries of a JSON list; none for any other value."""
    return cast(list[object], value) if isinstance(value, list) else []


def _is_plain(value: object) -> bool:
    """Whether it can be told at once that nothing is wrong. Nearly every event is: the receiver looks at each."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for part in level:
            if isinstance(part, str):
                if "\x00" in part or (not part.isascii() and _SURROGATE.search(part)):
                    return False
            elif isinstance(part, dict):
                members = cast(dict[object, object], part)
                if not all(isinstance(name, str) for name in members):
                    return False
                below += members
                below += members.values()
            elif isinstance(part, list):
                below += cast(list[object], part)
            elif _fault(part):
                return False
        if not below:
            return True
        level = below
    return False


def _look_closely(value: object) -> None:
    """What `check` does, at ten times the cost: every part with its path."""
    rest: list[tuple[object, str, int]] = [(value, "$", 1)]
    while rest:
        part, path, depth = rest.pop()
        if fault := _fault(part):
            raise MalformedPayload(f"{fault} at {path}: {_RESEND}", code="malformed-event")
        if depth > MAX_DEPTH:
            raise MalformedPayload(
                f"values nest more than {MAX_DEPTH} deep at {path}: {_RESEND}", code="malformed-event"
            )
        rest.extend((inner, inner_path, depth + 1) for inner, inner_path in _inside(part, path))


def _inside(part: object, path: str) -> Iterator[tuple[object, str]]:
    for name, inner in members_of(part).items():
        yield name, path
        yield inner, member_path(path, name)
    for index, inner in enumerate(entries_of(part)):
        yield inner, member_path(path, index)


def _fault(part: object) -> str | None:
    match part:
        case None | bool() | list() | datetime():
            return None
        case dict():
            names = cast(dict[object, object], part)
            return None if all(isinstance(name, str) for name in names) else "a member whose name is not a text"
        case str():
            return _text_fault(part)
        case int():
            return None if abs(part) <= MAX_INTEGER else "an integer beyond 2^53 - 1"
        case float():
            return None if math.isfinite(part) else "a number that is not finite"
        case _:
            return f"a {type(part).__name__}, which is not JSON,"


def _text_fault(text: str) -> str | None:
    if "\x00" in text:
        return "a text with a NUL character"
    if not text.isascii() and _SURROGATE.search(text):
        return "a text with half a surrogate pair"
    return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:60]!r} stands twice in one object")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:60]} is too large")
    return number


def _not_json(what: str) -> MalformedPayload:
    return MalformedPayload(f"the payload is not JSON ({what}): {_RESEND}", code="not-json")
