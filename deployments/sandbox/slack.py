"""A small Slack: the Web API methods the product calls, kept in memory, and a page of the channels for people.

Slack's manners are kept, because a gateway that meets them here meets them in production: refusals are HTTP 200 with
`{"ok": false, "error": ...}`, only throttling is a 429 with `Retry-After`; a channel may be named when posting but must
be given by id when reading; metadata is shown only to who asks for it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deployments.sandbox.service_faults import DroppedConnection, refused_by
from deployments.sandbox.slack_interactions import Interactions, Sent
from deployments.sandbox.slack_workspace import SlackRefusal, Workspace

_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    )
}


def slack_app(workspace: Workspace | None = None, interactions: Interactions | None = None) -> Starlette:
    """The application. slack_sdk reaches it with `base_url=<address>/api/`.

    Beside the API there is the page, on which a person can be anyone of the workspace, and what tests and the local
    stack use: `POST /sandbox/application` says where interactions go, `/sandbox/press` and `/sandbox/submit` do what
    the page's buttons do, `/sandbox/messages` and `/sandbox/whispers` list what was posted.

    Args:
        workspace: What it serves, for who wants to look inside; a fresh one when left out.
        interactions: How what is pressed reaches the product; signed with the sandbox's own secret when left out.
    """
    served = workspace or Workspace()
    pressed = interactions or Interactions(served)
    return Starlette(
        routes=[
            *_pages(served, pressed),
            *_controls(served, pressed),
            Route("/api/{method}", _api(served, pressed), methods=["GET", "POST"]),
        ]
    )


def _api(served: Workspace, pressed: Interactions) -> Callable[[Request], Awaitable[Response]]:
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
        pressed.noticed(method)
        return DroppedConnection() if fault["kind"] == "answer-lost" else JSONResponse(answer)

    return api


def _controls(served: Workspace, pressed: Interactions) -> list[Route]:
    async def messages(request: Request) -> Response:
        return JSONResponse([asdict(message) | {"permalink": served.link(message)} for message in served.messages])

    async def whispers(request: Request) -> Response:
        return JSONResponse([asdict(whisper) for whisper in served.whispers])

    async def application(request: Request) -> Response:
        pressed.request_url = str((await request.json())["request_url"])
        return JSONResponse({"request_url": pressed.request_url})

    async def press(request: Request) -> Response:
        asked = await request.json()
        return await _told(served, pressed.press(asked["user"], asked["ts"], asked["action_id"]))

    async def submit(request: Request) -> Response:
        asked = await request.json()
        return await _told(served, pressed.submit(asked["user"], asked["values"]))

    return [
        Route("/sandbox/messages", messages),
        Route("/sandbox/whispers", whispers),
        Route("/sandbox/faults", served.faults.receive, methods=["POST"]),
        Route("/sandbox/application", application, methods=["POST"]),
        Route("/sandbox/press", press, methods=["POST"]),
        Route("/sandbox/submit", submit, methods=["POST"]),
    ]


async def _told(served: Workspace, done: Awaitable[Sent]) -> Response:
    """What the application answered, and the modal that is now before the person."""
    try:
        sent = await done
    except SlackRefusal as refusal:
        return JSONResponse({"error": refusal.code}, status_code=400)
    view = served.views.get(sent.payload["user"]["id"])
    shown = {"view": view.content, "errors": view.errors} if view else {"view": None, "errors": {}}
    return JSONResponse({"status": sent.status, "answer": sent.answer, **shown})


def _pages(served: Workspace, pressed: Interactions) -> list[Route]:
    """The page, and what its forms do. A page without scripts shows what is new when it is fetched again."""

    async def page(request: Request) -> Response:
        wanted = request.query_params.get("channel", served.channels[0].id)
        channel = next((c for c in served.channels if c.id == wanted), served.channels[0])
        me = served.people.get(request.query_params.get("as", ""), next(iter(served.people.values())))
        shown = _PAGE.render(
            channels=served.channels,
            channel=channel,
            people=served.people.values(),
            me=me,
            threads=served.threads(channel.id),
            whispers=[each for each in served.whispers if (each.channel, each.user) == (channel.id, me.id)],
            view=served.views.get(me.id),
            answers=bool(pressed.request_url),
            trouble=request.query_params.get("trouble"),
        )
        return HTMLResponse(shown, headers=_PAGE_HEADERS)

    async def press(request: Request) -> Response:
        form = await _arguments(request)
        return await _back(form, pressed.press(form["as"], form["ts"], form["action"]))

    async def submit(request: Request) -> Response:
        form = await _arguments(request)
        return await _back(form, pressed.submit(form["as"], form))

    async def close(request: Request) -> Response:
        form = await _arguments(request)
        served.views.pop(form["as"], None)
        return RedirectResponse(_place(form), status_code=303)

    return [
        Route("/", page),
        Route("/press", press, methods=["POST"]),
        Route("/submit", submit, methods=["POST"]),
        Route("/close", close, methods=["POST"]),
    ]


async def _back(form: Mapping[str, Any], done: Awaitable[Sent]) -> Response:
    """To where it was pressed, with what went wrong, as Slack puts a mark beside a button that was not answered."""
    try:
        status = (await done).status
    except SlackRefusal as refusal:
        return RedirectResponse(_place(form, trouble=refusal.code), status_code=303)
    wrong = {} if status == 200 else {"trouble": f"the application answered {status}" if status else "no answer"}
    return RedirectResponse(_place(form, **wrong), status_code=303)


def _place(form: Mapping[str, Any], **more: str) -> str:
    where = {"channel": str(form.get("channel", "")), "as": str(form["as"]), **more}
    return f"/?{urlencode(where)}#p{str(form.get('ts', '')).replace('.', '')}"


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
