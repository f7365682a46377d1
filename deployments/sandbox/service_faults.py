"""Faults on demand for the sandbox's Slack and Jira: throttling, failures, and answers that never arrive."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send


class Faults:
    """The faults a person or a test has asked for. Each is used up by the call it spoils.

    The kinds: `throttle` (429), `server-error` (500, nothing done), `answer-lost` (done, then the line drops).
    """

    def __init__(self) -> None:
        self.waiting: list[dict[str, Any]] = []

    def add(self, method: str, kind: str, times: int = 1, retry_after: int = 1) -> None:
        """`method` as the service names it: `chat.postMessage`, or `POST issue` for Jira. `retry_after` in seconds."""
        if kind not in ("throttle", "server-error", "answer-lost"):
            raise ValueError("kind is throttle, server-error or answer-lost")
        self.waiting += [{"method": method, "kind": kind, "retry_after": retry_after}] * times

    def take(self, method: str) -> dict[str, Any]:
        position = next((at for at, fault in enumerate(self.waiting) if fault["method"] == method), None)
        return {"kind": None} if position is None else self.waiting.pop(position)

    async def receive(self, request: Request) -> Response:
        """`POST /sandbox/faults`."""
        try:
            self.add(**await request.json())
        except (TypeError, ValueError) as refused:
            return JSONResponse({"error": str(refused)}, status_code=400)
        return JSONResponse({"waiting": self.waiting})


class DroppedConnection(Response):
    """Begins an answer and never ends it: the server then closes the line, as a dying proxy does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"512")]})


def refused_by(fault: dict[str, Any], body: dict[str, Any]) -> Response | None:
    """The answer to a call that a fault keeps from being done; None when the call is to be done."""
    if fault["kind"] == "throttle":
        return JSONResponse(body, status_code=429, headers={"Retry-After": str(fault["retry_after"])})
    if fault["kind"] == "server-error":
        return HTMLResponse("<h1>Internal Server Error</h1>", status_code=500)
    return None
