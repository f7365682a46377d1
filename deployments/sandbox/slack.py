"""A small Slack: the Web API methods the product calls, kept in memory, and a page of the channels for people.

Slack's manners are kept, because a gateway that meets them here meets them in production: refusals are HTTP 200 with
`{"ok": false, "error": ...}`, only throttling is a 429 with `Retry-After`; a channel may be named when posting but must
be given by id when reading; metadata is shown only to who asks for it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.service_faults import DroppedConnection, refused_by
from deployments.sandbox.slack_workspace import SlackRefusal, Workspace

_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def slack_app(workspace: Workspace | None = None) -> Starlette:
    """The application. slack_sdk reaches it with `base_url=<address>/api/`.

    Args:
        workspace: What it serves, for who wants to look inside; a fresh one when left out.
    """
    served = workspace or Workspace()

    async def api(request: Request) -> Response:
        method = request.path_params["method"]
        fault = served.faults.take(method)
        if refused := refused_by(fault, {"ok": False, "error": "ratelimited"}):
            return refused
        arguments = await _arguments(request)
        try:
            answer = served.call(method, arguments, _token(request, arguments))
        except SlackRefusal as refusal:
            answer = {"ok": False, "error": refusal.code}
            if refusal.messages:
                answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in refusal.messages]}
        return DroppedConnection() if fault["kind"] == "answer-lost" else JSONResponse(answer)

    async def page(request: Request) -> Response:
        wanted = request.query_params.get("channel", served.channels[0].id)
        channel = next((c for c in served.channels if c.id == wanted), served.channels[0])
        shown = _PAGE.render(channels=served.channels, channel=channel, threads=served.threads(channel.id))
        return HTMLResponse(shown, headers=_PAGE_HEADERS)

    async def messages(request: Request) -> Response:
        return JSONResponse([asdict(message) | {"permalink": served.link(message)} for message in served.messages])

    return Starlette(
        routes=[
            Route("/", page),
            Route("/sandbox/messages", messages),
            Route("/sandbox/faults", served.faults.receive, methods=["POST"]),
            Route("/api/{method}", api, methods=["GET", "POST"]),
        ]
    )


async def _arguments(request: Request) -> dict[str, Any]:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        sent = json.loads(body or b"{}")
    else:
        sent = dict(parse_qsl(body.decode()))
    return {**request.query_params, **sent}


def _token(request: Request, arguments: Mapping[str, Any]) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ") or str(arguments.get("token", ""))


def _mrkdwn(text: str) -> Markup:
    """Slack's markup as HTML: links, bold, italic, code. Whatever else was sent is shown as the text it is."""
    shown = ""
    for position, part in enumerate(re.split(r"<([^<>]*)>", text)):
        if position % 2 == 0:
            shown += _emphasis(str(escape(unescape(part))))
            continue
        target, _, label = part.partition("|")
        tag = f'a href="{escape(unescape(target))}"' if target.startswith(("https://", "http://")) else "b"
        shown += f"<{tag}>{escape(unescape(label or target))}</{tag[0]}>"
    return Markup(shown)  # noqa: S704 every part of it went through escape


def _emphasis(shown: str) -> str:
    for pattern, markup in _EMPHASIS:
        shown = re.sub(pattern, markup, shown)
    return shown


_EMPHASIS = (
    (r"(?s)```(.+?)```", r"<pre>\1</pre>"),
    (r"`([^`\n]+)`", r"<code>\1</code>"),
    (r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>"),
    (r"(?<!\w)_([^_\n]+)_(?!\w)", r"<i>\1</i>"),
)
_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {
    "mrkdwn": _mrkdwn,
    "when": lambda ts: time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(ts))),
}
_PAGE = _ENVIRONMENT.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
