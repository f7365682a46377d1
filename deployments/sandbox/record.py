"""What was called: every AWS call in order, for tests and game days to look at."""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime
from typing import Any

from deployments.sandbox.operations import is_read
from deployments.sandbox.wire import Answer, Message

_MOST = 20_000
_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_JSON_CODE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?([^"]+)"')


class Record:
    """The calls so far, the oldest forgotten first."""

    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=_MOST)

    def add(self, message: Message, answer: Answer | None, at: datetime, fault: str | None = None) -> None:
        """Write down a call with how it ended; answer is None when the caller got none."""
        self._calls.append(
            {
                "service": message.service,
                "operation": message.operation,
                "mutating": not is_read(message.operation),
                "account": message.account,
                "region": message.region,
                "parameters": message.params,
                "error": _error_code(answer),
                "fault": fault,
                "at": at,
            }
        )

    def calls(self) -> list[dict[str, Any]]:
        """Every call, oldest first."""
        return list(self._calls)

    def clear(self) -> None:
        """Forget them all."""
        self._calls.clear()


def _error_code(answer: Answer | None) -> str | None:
    if answer is None or answer.ok:
        return None
    header = next((value for name, value in answer.headers if name.lower() == "x-amzn-errortype"), "")
    if header:
        return header.split(":")[0]
    found = _CODE.search(answer.body) or _JSON_CODE.search(answer.body)
    return found[1].decode() if found else str(answer.status)
