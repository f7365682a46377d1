"""The sandbox's one port: the control routes under /sandbox/, AWS everywhere else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from deployments.sandbox.cloud import Cloud
from deployments.sandbox.control import control
from deployments.sandbox.wire import Answer

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
_HOP_BY_HOP = frozenset({"content-length", "connection", "date", "server"})


class SandboxApplication:
    """The WSGI application over a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/sandbox/"):
            return control(self._cloud)(environ, start_response)
        answer = self._cloud.answer(environ, _body(environ))
        if self._cloud.throttling.answer_seconds:
            time.sleep(self._cloud.throttling.answer_seconds)
        if answer is None:
            return _hang_up(environ)
        return _send(answer, start_response)

    @property
    def now(self) -> datetime:
        """The sandbox's time."""
        return self._cloud.clock.now()


def _send(answer: Answer, start_response: Any) -> Iterable[bytes]:
    headers = [(name, value) for name, value in answer.headers if name.lower() not in _HOP_BY_HOP]
    length = next((value for name, value in answer.headers if name.lower() == "content-length"), str(len(answer.body)))
    headers += [("Content-Length", length if not answer.body else str(len(answer.body)))]
    start_response(f"{answer.status} {_REASONS.get(answer.status, 'Answer')}", headers)
    return [answer.body]


def _body(environ: dict[str, Any]) -> bytes:
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return stream.read()
    return stream.read(int(environ.get("CONTENT_LENGTH") or 0))


def _hang_up(environ: dict[str, Any]) -> Iterable[bytes]:
    """Cut the connection under the caller: to them it is a call whose outcome they do not know."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("an injected fault cut the connection")
