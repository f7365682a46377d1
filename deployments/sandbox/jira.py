"""A small Jira Cloud: the REST calls the product's client makes, kept in memory, and a board for people.

Jira's manners are kept: search is eventually consistent while reading by key is not; the old search answers 410; what
is wrong comes as `{"errorMessages": [...], "errors": {...}}` (developer.atlassian.com, Jira Cloud platform REST API).
"""

from __future__ import annotations

import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox.jira_site import (
    ISSUE_TYPES,
    LINK_TYPES,
    PRIORITIES,
    STATUSES,
    Issue,
    JiraRefusal,
    Site,
    link_type,
    named,
    stamp,
    text_error,
)
from deployments.sandbox.service_faults import DroppedConnection, refused_by

Call = Callable[[Site, Mapping[str, str], dict[str, Any]], tuple[int, Any]]

_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def jira_app(site: Site | None = None) -> Starlette:
    """The application, at the root of its address as a Jira site is.

    Args:
        site: What it serves, for who wants to look inside; a fresh one when left out.
    """
    served = site or Site()

    def api(verb: str, path: str, call: Call) -> Route:
        async def endpoint(request: Request) -> Response:
            sent: dict[str, Any] = dict(request.query_params)
            sent |= {"fields": request.query_params.getlist("fields")} if "fields" in sent else {}
            if await request.body():
                body = await request.json()
                sent = {**sent, **body} if isinstance(body, dict) else {**sent, "value": body}
            return _answered(served, f"{verb} {path}", request, call, sent)

        return Route("/rest/api/{version:str}/" + path, endpoint, methods=[verb])

    async def board(request: Request) -> Response:
        columns = {status: [i for i in served.issues.values() if i.status == status] for status in STATUSES}
        return HTMLResponse(_PAGE.render(site=served, columns=columns, issue=None), headers=_PAGE_HEADERS)

    async def browse(request: Request) -> Response:
        issue = served.issues.get(request.path_params["key"].upper())
        shown = _PAGE.render(site=served, columns={}, issue=issue, link_types=LINK_TYPES)
        return HTMLResponse(shown, status_code=200 if issue else 404, headers=_PAGE_HEADERS)

    async def issues(request: Request) -> Response:
        return JSONResponse([asdict(issue) for issue in served.issues.values()])

    return Starlette(
        routes=[
            Route("/", board),
            Route("/browse/{key}", browse),
            Route("/sandbox/issues", issues),
            Route("/sandbox/faults", served.faults.receive, methods=["POST"]),
            *(api(verb, path, call) for verb, path, call in _CALLS),
        ]
    )


def _answered(site: Site, name: str, request: Request, call: Call, sent: dict[str, Any]) -> Response:
    fault = site.faults.take(name)
    if refused := refused_by(fault, {"errorMessages": ["Rate limit exceeded."], "errors": {}}):
        return refused
    try:
        site.admit(request.headers.get("authorization"))
        with site.lock:
            status, answer = call(site, request.path_params, sent)
    except JiraRefusal as refusal:
        status, answer = refusal.status, refusal.body
    if fault["kind"] == "answer-lost":
        return DroppedConnection()
    return Response(status_code=204) if status == 204 else JSONResponse(answer, status_code=status)


def _create(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    issue = site.create(sent, path["version"])
    return 201, {name: value for name, value in site.shown(issue).items() if name != "fields"}


def _edit(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    return 204, site.edit(site.issue(path["key"]), sent, path["version"])


def _search(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    found = site.search(str(sent.get("jql", "")))
    start = int(b64decode(sent["nextPageToken"])) if sent.get("nextPageToken") else 0
    end = start + min(int(sent.get("maxResults") or 50), 5_000)
    last = end >= len(found)
    page = {"issues": [_chosen(site.shown(issue), sent.get("fields") or []) for issue in found[start:end]]}
    return 200, page | {"isLast": last} | ({} if last else {"nextPageToken": b64encode(str(end).encode()).decode()})


def _chosen(shown: dict[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """What search shows of an issue: its id alone, unless fields were asked for."""
    wanted = [name for each in wanted for name in each.split(",")]
    if not wanted:
        return {"id": shown["id"]}
    everything = "*all" in wanted or "*navigable" in wanted
    return shown | {"fields": {name: value for name, value in shown["fields"].items() if everything or name in wanted}}


def _comment(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    issue, body = site.issue(path["key"]), sent.get("body")
    problem = text_error(body, path["version"]) or ("" if body else "Comment body can not be empty!")
    if problem:
        raise JiraRefusal(400, errors={"comment": problem})
    author = {"displayName": "Remediation runbooks", "emailAddress": site.email}
    comment = {"id": str(len(issue.comments) + 1), "body": body, "author": author, "created": stamp(site.clock())}
    issue.comments.append(comment)
    return 201, comment


def _comments(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    every = list(site.issue(path["key"]).comments)
    every = every[::-1] if str(sent.get("orderBy", "")).startswith("-") else every
    start, size = int(sent.get("startAt", 0)), min(int(sent.get("maxResults", 100)), 100)
    page = {"startAt": start, "maxResults": size, "total": len(every)}
    return 200, page | {"comments": every[start : start + size]}


def _transitions(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"transitions": _steps(site.issue(path["key"]))}


def _transition(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    issue = site.issue(path["key"])
    step = [each for each in _steps(issue) if each["id"] == str(sent.get("transition", {}).get("id"))]
    if not step:
        raise JiraRefusal(400, "It seems that you have tried to perform a workflow operation that is not valid.")
    issue.status = step[0]["to"]["name"]
    return 204, None


def _steps(issue: Issue) -> list[dict[str, Any]]:
    """One column at a time, forwards or back."""
    at = STATUSES.index(issue.status)
    names = [name for position, name in enumerate(STATUSES) if abs(position - at) == 1]
    return [{"id": str(11 + 10 * STATUSES.index(n)), "name": n, "to": named(STATUSES, n)} for n in names]


def _properties(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"keys": [{"key": name} for name in site.issue(path["key"]).properties]}


def _property(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    properties = site.issue(path["key"]).properties
    if path["name"] not in properties:
        raise JiraRefusal(404, f"The property {path['name']} does not exist.")
    return 200, {"key": path["name"], "value": properties[path["name"]]}


def _set_property(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    properties = site.issue(path["key"]).properties
    status = 200 if path["name"] in properties else 201
    properties[path["name"]] = sent
    return status, {}


def _remote_link(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    links = site.issue(path["key"]).remote_links
    same = [each for each in links if sent.get("globalId") and each.get("globalId") == sent["globalId"]]
    link = same[0] if same else {"id": len(links) + 1}
    link |= sent
    links += [] if same else [link]
    return (200 if same else 201), {"id": link["id"], "self": f"{site.url}/remotelink/{link['id']}"}


def _project(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    key = path["key"].upper()
    if key not in site.projects:
        raise JiraRefusal(404, f"No project could be found with key '{key}'.")
    types = [named(ISSUE_TYPES, name) for name in ISSUE_TYPES]
    return 200, {"id": key, "key": key, "name": site.projects[key], "issueTypes": types}


def _link_kinds(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"issueLinkTypes": [link_type(name) for name in LINK_TYPES]}


def _createmeta(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    wanted = str(sent.get("projectKeys") or ",".join(site.projects)).split(",")
    types = [named(ISSUE_TYPES, name) for name in ISSUE_TYPES]
    known = [(key, name) for key, name in site.projects.items() if key in wanted]
    return 200, {"projects": [{"key": key, "name": name, "issuetypes": types} for key, name in known]}


def _types(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    types = [named(ISSUE_TYPES, name) for name in ISSUE_TYPES]
    page = {"startAt": 0, "maxResults": 50, "total": len(types), "isLast": True}
    return 200, page | {"values": types, "issueTypes": types}


def _gone(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    raise JiraRefusal(410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.")


def _fields(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    names = ("summary", "description", "labels", "project", "issuetype", "priority", "status", "created", "issuelinks")
    return 200, [{"id": name, "key": name, "name": name.title(), "clauseNames": [name]} for name in names]


def _server(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    version = {"version": "1001.0.0-SNAPSHOT", "versionNumbers": [1001, 0, 0]}
    return 200, {"baseUrl": site.url, "deploymentType": "Cloud", "serverTitle": "Sandbox Jira", **version}


def _myself(site: Site, path: Mapping[str, str], sent: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"accountId": "runbooks", "displayName": "Remediation runbooks", "emailAddress": site.email}


_CALLS: tuple[tuple[str, str, Call], ...] = (
    ("GET", "serverInfo", _server),
    ("GET", "myself", _myself),
    ("GET", "field", _fields),
    ("GET", "priority", lambda site, path, sent: (200, [named(PRIORITIES, name) for name in PRIORITIES])),
    ("GET", "issuetype", lambda site, path, sent: (200, [named(ISSUE_TYPES, name) for name in ISSUE_TYPES])),
    ("GET", "project", lambda site, path, sent: (200, [{"key": k, "name": n} for k, n in site.projects.items()])),
    ("GET", "project/{key}", _project),
    ("GET", "issueLinkType", _link_kinds),
    ("POST", "issueLink", lambda site, path, sent: (201, site.link(sent))),
    ("GET", "search", _gone),
    ("POST", "search", _gone),
    ("GET", "search/jql", _search),
    ("POST", "search/jql", _search),
    ("POST", "issue", _create),
    ("GET", "issue/createmeta", _createmeta),
    ("GET", "issue/createmeta/{key}/issuetypes", _types),
    ("GET", "issue/{key}", lambda site, path, sent: (200, site.shown(site.issue(path["key"])))),
    ("PUT", "issue/{key}", _edit),
    ("GET", "issue/{key}/comment", _comments),
    ("POST", "issue/{key}/comment", _comment),
    ("GET", "issue/{key}/transitions", _transitions),
    ("POST", "issue/{key}/transitions", _transition),
    ("GET", "issue/{key}/remotelink", lambda site, path, sent: (200, site.issue(path["key"]).remote_links)),
    ("POST", "issue/{key}/remotelink", _remote_link),
    ("GET", "issue/{key}/properties", _properties),
    ("GET", "issue/{key}/properties/{name}", _property),
    ("PUT", "issue/{key}/properties/{name}", _set_property),
)


def _wiki(text: Any) -> Markup:
    """Wiki markup as HTML: headings, lists, tables, code, links and emphasis. Anything else is shown as text."""
    shown = ""
    for position, part in enumerate(re.split(r"\{(?:code|noformat)(?::[^}]*)?\}\n?", str(text or ""))):
        if position % 2:
            shown += f"<pre>{escape(part)}</pre>"
            continue
        for kind, lines in groupby(filter(str.strip, part.splitlines()), key=_line_kind):
            rows = [_line(kind, line) for line in lines]
            shown += f"<{kind}>{''.join(rows)}</{kind}>" if kind in ("ul", "ol", "table") else "".join(rows)
    return Markup(shown)  # noqa: S704 every part of it went through escape


def _line_kind(line: str) -> str:
    signs = (("* ", "ul"), ("- ", "ul"), ("# ", "ol"), ("|", "table"), ("----", "hr"))
    heading = re.match(r"h[1-6]\. ", line)
    return "heading" if heading else next((kind for sign, kind in signs if line.startswith(sign)), "p")


def _line(kind: str, line: str) -> str:
    if kind == "heading":
        return f"<h{line[1]}>{_inline(line[4:])}</h{line[1]}>"
    if kind in ("ul", "ol"):
        return f"<li>{_inline(line[2:])}</li>"
    if kind == "table":
        cell = "th" if line.startswith("||") else "td"
        cells = re.split(r"\|\|" if cell == "th" else r"\|(?![^\[]*\])", line.strip())[1:-1]
        return "<tr>" + "".join(f"<{cell}>{_inline(each)}</{cell}>" for each in cells) + "</tr>"
    return "<hr>" if kind == "hr" else f"<p>{_inline(line)}</p>"


def _inline(text: str) -> str:
    shown = str(escape(text))
    for pattern, markup in (
        (r"\[([^|\]]+)\|(https?://[^\]|\s]+)\]", r'<a href="\2">\1</a>'),
        (r"\[(https?://[^\]|\s]+)\]", r'<a href="\1">\1</a>'),
        (r"\{\{(.+?)\}\}", r"<code>\1</code>"),
        (r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>"),
        (r"(?<![\w/])_([^_\n]+)_(?!\w)", r"<i>\1</i>"),
    ):
        shown = re.sub(pattern, markup, shown)
    return shown


_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters |= {"wiki": _wiki, "when": lambda at: time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))}
_PAGE = _ENVIRONMENT.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
