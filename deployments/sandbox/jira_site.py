"""What the sandbox's Jira knows and how it answers: issues, comments, links, the workflow, and a search that lags.

Limits and refusals are Jira Cloud's (developer.atlassian.com, Jira Cloud platform REST API: Issues, Issue search, Issue
links). Version 2 speaks wiki markup as a string, version 3 a document object.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deployments.sandbox.service_faults import Faults

TOKEN = "jira-sandbox"
STATUSES = ("To Do", "In Progress", "Done")
PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
ISSUE_TYPES = ("Task", "Bug", "Story")
LINK_TYPES = {
    "Relates": ("relates to", "relates to"),
    "Blocks": ("is blocked by", "blocks"),
    "Duplicate": ("is duplicated by", "duplicates"),
    "Cloners": ("is cloned by", "clones"),
}

_SUMMARY_LIMIT, _TEXT_LIMIT = 255, 32_767
_CLAUSE = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([\w.:-]+))')
_ORDER = re.compile(r"\s*ORDER\s+BY\s+(?:created|key)(?:\s+(ASC|DESC))?\s*$", re.IGNORECASE)


class JiraRefusal(Exception):
    """Jira's answer is no: an HTTP status, messages, and errors by field."""

    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = {"errorMessages": list(messages), "errors": dict(errors or {})}


@dataclass
class Issue:
    id: str
    key: str
    summary: str
    description: Any
    labels: list[str]
    issue_type: str
    priority: str
    created: float
    status: str = STATUSES[0]
    properties: dict[str, Any] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, str]] = field(default_factory=list)
    remote_links: list[dict[str, Any]] = field(default_factory=list)


class Site:
    """Projects and issues of one site. Safe to use from several threads.

    Args:
        projects: Name by key.
        email: With `token` the one basic login accepted; the token alone is accepted as bearer.
        token: The API token.
        url: Where this site is seen by people.
        search_delay: Seconds until search shows a new issue; reading it by key is immediate.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        projects: Mapping[str, str] | None = None,
        email: str = "runbooks@example.com",
        token: str = TOKEN,
        url: str = "http://127.0.0.1",
        search_delay: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.projects = dict(projects or {"SEC": "Security"})
        self.credentials = {f"Bearer {token}", "Basic " + b64encode(f"{email}:{token}".encode()).decode()}
        self.email = email
        self.url = url.rstrip("/")
        self.search_delay = search_delay
        self.clock = clock
        self.issues: dict[str, Issue] = {}
        self.faults = Faults()
        self.lock = threading.RLock()

    def admit(self, authorization: str | None) -> None:
        """Refuses who does not show the login or the token."""
        if authorization not in self.credentials:
            raise JiraRefusal(401, "Client must be authenticated to access this resource.")

    def issue(self, key: str) -> Issue:
        for issue in self.issues.values():
            if key.upper() == issue.key or key == issue.id:
                return issue
        raise JiraRefusal(404, "Issue does not exist or you do not have permission to see it.")

    def create(self, body: Mapping[str, Any], version: str) -> Issue:
        """A new issue from the body of `POST issue`."""
        fields = body.get("fields", {})
        errors = _field_errors(fields, version, required=True)
        project = str(fields.get("project", {}).get("key", ""))
        if project not in self.projects:
            errors["project"] = "valid project is required"
        if fields.get("issuetype", {}).get("name") not in ISSUE_TYPES:
            errors["issuetype"] = "Specify a valid issue type"
        if errors:
            raise JiraRefusal(400, errors=errors)
        number = 1 + sum(key.startswith(project + "-") for key in self.issues)
        issue = Issue(
            id=str(10_000 + len(self.issues)),
            key=f"{project}-{number}",
            summary=fields["summary"],
            description=fields.get("description"),
            labels=list(fields.get("labels") or []),
            issue_type=fields["issuetype"]["name"],
            priority=(fields.get("priority") or {"name": "Medium"})["name"],
            created=self.clock(),
            properties={each["key"]: each["value"] for each in body.get("properties", [])},
        )
        self.issues[issue.key] = issue
        return issue

    def edit(self, issue: Issue, body: Mapping[str, Any], version: str) -> None:
        """`PUT issue/{key}`: fields, and labels added or removed through `update`."""
        fields = dict(body.get("fields") or {})
        labels = list(fields.get("labels", issue.labels))
        for change in (body.get("update") or {}).get("labels", []):
            labels = [label for label in labels if label != change.get("remove")]
            labels += [change["add"]] if "add" in change else []
        errors = _field_errors({**fields, "labels": labels}, version, required=False)
        if errors:
            raise JiraRefusal(400, errors=errors)
        issue.summary = fields.get("summary", issue.summary)
        issue.description = fields.get("description", issue.description)
        issue.priority = (fields.get("priority") or {"name": issue.priority})["name"]
        issue.labels = labels

    def search(self, jql: str) -> list[Issue]:
        """The issues that search knows of by now. Equality on project, labels, key and status, joined by AND."""
        order = _ORDER.search(jql)
        wanted = [_clause(part) for part in re.split(r"\s+AND\s+", _ORDER.sub("", jql).strip(), flags=re.IGNORECASE)]
        seen = [i for i in self.issues.values() if i.created + self.search_delay <= self.clock()]
        found = [i for i in seen if all(value.lower() in _values(i, name) for name, value in wanted)]
        newest_first = order is None or (order[1] or "DESC").upper() == "DESC"
        return sorted(found, key=lambda i: (i.created, int(i.id)), reverse=newest_first)

    def shown(self, issue: Issue) -> dict[str, Any]:
        """One issue as the API shows it."""
        project = issue.key.partition("-")[0]
        fields = {
            "summary": issue.summary,
            "description": issue.description,
            "labels": issue.labels,
            "project": {"key": project, "name": self.projects[project]},
            "issuetype": named(ISSUE_TYPES, issue.issue_type),
            "priority": named(PRIORITIES, issue.priority),
            "status": named(STATUSES, issue.status),
            "created": stamp(issue.created),
            "comment": {"comments": issue.comments, "total": len(issue.comments)},
            "issuelinks": [self._link(each) for each in issue.links],
        }
        return {"id": issue.id, "key": issue.key, "self": f"{self.url}/rest/api/2/issue/{issue.id}", "fields": fields}

    def link(self, body: Mapping[str, Any]) -> None:
        """`POST issueLink`: the inward issue gets the outward side, so that it reads: inward *blocks* outward."""
        kind = body["type"].get("name", "")
        if kind not in LINK_TYPES:
            raise JiraRefusal(404, f"No issue link type with name '{kind}' found.")
        source, target = self.issue(body["inwardIssue"]["key"]), self.issue(body["outwardIssue"]["key"])
        source.links.append({"type": kind, "side": "outward", "key": target.key})
        target.links.append({"type": kind, "side": "inward", "key": source.key})

    def _link(self, link: Mapping[str, str]) -> dict[str, Any]:
        other = self.issue(link["key"])
        brief = {"summary": other.summary, "status": named(STATUSES, other.status)}
        return {
            "type": link_type(link["type"]),
            f"{link['side']}Issue": {"id": other.id, "key": other.key, "fields": brief},
        }


def named(names: tuple[str, ...], name: str) -> dict[str, str]:
    """A status, priority or issue type as the API shows it."""
    return {"id": str(1 + names.index(name)), "name": name}


def link_type(name: str) -> dict[str, str]:
    """A link type as the API shows it."""
    inward, outward = LINK_TYPES[name]
    return {"id": str(1 + list(LINK_TYPES).index(name)), "name": name, "inward": inward, "outward": outward}


def stamp(at: float) -> str:
    """A moment as the API writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def text_error(text: Any, version: str) -> str | None:
    """What Jira has against a description or a comment."""
    if version == "3" and not isinstance(text, dict):
        return "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
    if version != "3" and not isinstance(text, str):
        return "Operation value must be a string"
    if isinstance(text, str) and len(text) > _TEXT_LIMIT:
        return "The entered text is too long. It exceeds the allowed limit of 32,767 characters."
    return None


def _field_errors(fields: Mapping[str, Any], version: str, *, required: bool) -> dict[str, str]:
    errors: dict[str, str] = {}
    summary = fields.get("summary")
    if (required or "summary" in fields) and not summary:
        errors["summary"] = "You must specify a summary of the issue."
    elif summary and re.search(r"[\r\n]", summary):
        errors["summary"] = "The summary is invalid because it contains newline characters."
    elif summary and len(summary) > _SUMMARY_LIMIT:
        errors["summary"] = "Summary must be less than 255 characters."
    problem = text_error(fields["description"], version) if fields.get("description") is not None else None
    if problem:
        errors["description"] = problem
    for label in fields.get("labels") or []:
        if re.search(r"\s", label):
            errors["labels"] = f"The label '{label}' contains spaces which is invalid."
        elif len(label) > 255:
            errors["labels"] = f"The label '{label}' exceeds the maximum length for a single label"
    if (fields.get("priority") or {"name": "Medium"}).get("name") not in PRIORITIES:
        errors["priority"] = "The priority selected is invalid."
    return errors


def _clause(part: str) -> tuple[str, str]:
    clause = _CLAUSE.fullmatch(part.strip())
    name = clause[1].lower() if clause else ""
    if not part.strip():
        raise JiraRefusal(400, "Unbounded JQL queries are not allowed here. Please add a search restriction.")
    if clause is None or name not in ("project", "labels", "key", "status"):
        raise JiraRefusal(400, f"Error in the JQL Query: '{part.strip()}' is not understood by the sandbox.")
    return name, clause[2] if clause[2] is not None else clause[3]


def _values(issue: Issue, name: str) -> list[str]:
    project = issue.key.partition("-")[0]
    values = {"project": [project], "labels": issue.labels, "key": [issue.key], "status": [issue.status]}
    return [value.lower() for value in values[name]]
