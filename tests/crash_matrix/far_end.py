"""Where the line ends: the sandbox's AWS, Slack, Jira, GitHub, and Prefect's API, each of whose answers may break."""

from __future__ import annotations

import json
import os
import pickle
import re
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.sandbox.clock import Clock
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.faults import FaultKind
from deployments.sandbox.operations import is_read
from deployments.sandbox.service_faults import DroppedConnection
from deployments.sandbox.wire import Answer, read_message
from tests.crash_matrix.line import Blow, Kind, Line
from tests.crash_matrix.moment import Moment
from tests.crash_matrix.subjects.subject import Subject

_BEFORE = {
    "timeout": FaultKind.TIMEOUT_BEFORE,
    "throttle": FaultKind.THROTTLE,
    "5xx": FaultKind.SERVER_ERROR,
}
_REQUEST_ID = re.compile(rb"<requestId>[^<]*</requestId>", re.IGNORECASE)
_A_READ_TOO = ("sts:AssumeRole",)
"""Called a change by its name, and changes nothing."""
_NEVER_LATE = ("s3", "sts")
"""S3 is strongly consistent (S3 user guide, "Amazon S3 data consistency model")."""


class BreakableCloud(Cloud):
    """AWS at the end of the line."""

    def __init__(self, line: Line, moment: Moment, subject: Subject) -> None:
        super().__init__()
        self.clock = Clock(real=moment)
        self.moment = moment
        self.watches = False
        """Whether reads are compared with what they answered before."""
        self._line = line
        self._subject = subject
        self._past: Past | None = None
        self._answers: dict[str, bytes] = {}
        self._seen: dict[str, Answer | None] = {}
        """What reads were answered last, be it that there is no such thing."""

    def answer(self, environ: dict[str, Any], body: bytes) -> Answer | None:
        message = read_message(environ, body)
        if message is None:
            return super().answer(environ, body)
        name = f"{message.service}:{message.operation}"
        kind: Kind = "read" if is_read(message.operation) or name in _A_READ_TOO else "change"
        question = f"{message.account}/{name}/{json.dumps(message.params, sort_keys=True, default=str)}"
        lags = kind == "read" and message.service not in _NEVER_LATE
        blow = self._line.arrives(name, kind, moved=lags and self._has_moved(question, environ, body))
        perform = partial(self._performed, name, kind, environ, body)
        if blow is not None and blow.how == "stale read":
            return self._seen[question]
        if blow is not None:
            return self._broken(blow, message, environ, body, perform)
        if lags and self._past is not None and self._past.is_news(question):
            return self._past.answer(message.access_key, message.account, environ, body)
        answer = perform()
        if lags:
            self._seen[question] = answer
        return answer

    def forget_past(self) -> None:
        """From here on every read sees what is."""
        self._past = None

    def _performed(self, name: str, kind: Kind, environ: dict[str, Any], body: bytes) -> Answer | None:
        sets, values = name in self._subject.sets_values, self._subject.values
        before = values(self) if sets else None
        answer = super().answer(environ, body)
        if kind == "change" and answer is not None and answer.ok and (not sets or before != values(self)):
            self._line.done[name] += 1
        return answer

    def _has_moved(self, question: str, environ: dict[str, Any], body: bytes) -> bool:
        """Whether this was asked before, and is answered differently now."""
        if not self.watches:
            return False
        before = self._answers.get(question)
        now = super().answer(environ, body)
        self._answers[question] = _REQUEST_ID.sub(b"", now.body) if now else b""
        return before is not None and before != self._answers[question]

    def _broken(
        self, blow: Blow, message: Any, environ: dict[str, Any], body: bytes, perform: Callable[[], Answer | None]
    ) -> Answer | None:
        if blow.how.endswith("stale reads"):
            self._past = Past(self)
        answer = perform() if blow.when != "before it leaves" else None
        if blow.when == "answered, not recorded":
            self._line.doom()
            return answer
        if blow.how.startswith("SIGKILL"):
            self._line.kill()
            return None
        if blow.how == "5xx" or blow.when == "before it leaves":
            return self.faults.disturb(message, _BEFORE[blow.how], _nothing)
        return None


class Past:
    """AWS as it was at this moment, for reads that see it late: each question is answered from it once.

    It lasts until the run that takes over has ended.
    """

    def __init__(self, cloud: BreakableCloud) -> None:
        ours, theirs = socket.socketpair()
        self._asked: set[str] = set()
        if os.fork() == 0:
            ours.close()
            self._remember(cloud, theirs)
        theirs.close()
        self._line = ours

    def is_news(self, question: str) -> bool:
        if question in self._asked:
            return False
        self._asked.add(question)
        return True

    def answer(self, key: str, account: str, environ: dict[str, Any], body: bytes) -> Answer:
        plain = {name: value for name, value in environ.items() if isinstance(value, str | int | tuple)}
        _send(self._line, (key, account, plain, body))
        return _receive(self._line)

    def _remember(self, cloud: BreakableCloud, line: socket.socket) -> None:
        """What the forked process does: it answers until nobody asks any more."""
        cloud.moment.part()
        try:
            while True:
                key, account, environ, body = _receive(line)
                # A session that began since then.
                cloud._accounts.setdefault(key, account)
                _send(line, Cloud.answer(cloud, environ, body))
        except EOFError:
            os._exit(0)
        finally:
            os._exit(1)


class Breakable:
    """An ASGI application at the end of the line."""

    def __init__(self, application: ASGIApp, line: Line, name_of: Callable[[Scope], tuple[str, Kind]]) -> None:
        self._application = application
        self._line = line
        self._name_of = name_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        name, kind = self._name_of(scope)
        blow = self._line.arrives(name, kind)
        if blow is None:
            await self._perform(name, kind, scope, receive, send)
        else:
            await self._broken(blow, kind, scope, receive, send)

    async def _perform(self, name: str, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300 and kind == "change":
                self._line.done[name] += 1
            await send(message)

        await self._application(scope, receive, counted)

    async def _broken(self, blow: Blow, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        if blow.when == "answered, not recorded":
            self._line.doom()
            return await self._perform(blow.name, kind, scope, receive, send)
        if blow.when == "done, answer lost":
            await self._perform(blow.name, kind, scope, receive, _swallow)
        if blow.how == "SIGKILL":
            self._line.kill()
        await _REFUSALS[blow.how](scope, receive, send)
        return None


async def _swallow(message: Message) -> None:
    pass


_REFUSALS: dict[str, Response] = {
    "SIGKILL": DroppedConnection(),
    "timeout": DroppedConnection(),
    "throttle": JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers={"Retry-After": "1"}),
    "5xx": JSONResponse({"error": "internal"}, status_code=500),
}
_SLACK_READS = (
    "auth.test",
    "chat.getPermalink",
    "conversations.history",
    "conversations.list",
    "conversations.replies",
)
_AN_ID = re.compile(r"/([0-9a-f-]{36}|suspended-[\w-]+|[A-Z]+-\d+|\d{3,})(?=/|$)")


def slack_name(scope: Scope) -> tuple[str, Kind]:
    method = scope["path"].rpartition("/")[2]
    return f"slack:{method}", "read" if method in _SLACK_READS else "change"


def jira_name(scope: Scope) -> tuple[str, Kind]:
    path = _AN_ID.sub("/*", scope["path"].partition("/rest/api/2/")[2])
    return f"jira:{scope['method']} {path}", "read" if scope["method"] == "GET" or "search" in path else "change"


def github_name(scope: Scope) -> tuple[str, Kind]:
    path = _AN_ID.sub("/*", scope["path"].partition("/actions/")[2])
    return f"github:{scope['method']} {path}", "read" if scope["method"] == "GET" else "change"


def prefect_name(scope: Scope) -> tuple[str, Kind]:
    path = _AN_ID.sub("/*", scope["path"].partition("/api/")[2]).strip("/")
    return f"prefect:{scope['method']} {path}", "read" if scope["method"] == "GET" or "filter" in path else "change"


def _nothing(*, partial: bool) -> Answer:
    raise AssertionError("a call that is refused is not performed")


def _send(line: socket.socket, thing: Any) -> None:
    data = pickle.dumps(thing)
    line.sendall(struct.pack("!Q", len(data)) + data)


def _receive(line: socket.socket) -> Any:
    (size,) = struct.unpack("!Q", _exactly(line, 8))
    return pickle.loads(_exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
