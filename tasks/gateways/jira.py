"""Jira, in our words: one ticket for one operation, comments, links and the workflow.

Jira Cloud has no idempotency token and its search lags behind what was written, so looking before creating is not
enough to prevent a second ticket: the ledger's own record is what prevents it, and `find` is for recovery after a lost
answer (port-labs/ocean 2765 measured that about one search in five missed a fresh issue). Nothing is sent twice by
itself.

Text is wiki markup: the client speaks version 2 of the REST API, where descriptions and comments are strings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled
from runbooks.model import Model

if TYPE_CHECKING:
    from jira import JIRA, JIRAError
    from requests import Session

PROPERTY = "remediation-runbooks"
SUMMARY_LIMIT = 255
TEXT_LIMIT = 32_767

_LABEL_LIMIT = 255
# Our clock and Jira's differ; a ticket stamped a little before the intent was written is still ours.
_CLOCK_SKEW = timedelta(minutes=5)
_PAGE = 100

P = ParamSpec("P")
T = TypeVar("T")


class TicketRef(Model):
    """Where a ticket is: its key, and the address a person opens."""

    key: str
    url: str


class Ticket(Model):
    """A ticket as it stands. `operation` is None when no operation of ours created it."""

    ref: TicketRef
    summary: str
    description: str
    status: str
    priority: str | None
    labels: tuple[str, ...]
    created: datetime
    operation: str | None


class JiraThrottled(Throttled):
    """Jira asks to wait. `retry_after` is in seconds."""

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = 1.0) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.detail,), {"code": self.code, "retry_after": self.retry_after})


class JiraGateway:
    """One project of one Jira site.

    Args:
        server: The site, `https://<name>.atlassian.net`, or the sandbox.
        email: Whose token it is. Empty for a bearer token (Jira Data Center).
        token: The API token.
        project: Key of the project that tickets are opened in.
        issue_type: Name of their type, for example `Task`.
        timeout: Seconds to connect, and again to wait for each answer.

    Every method raises AccessDenied, JiraThrottled, AnswerLost (changes only: the effect is unknown) or Outside, whose
    code is `jira-` and the HTTP status.
    """

    def __init__(self, server: str, email: str, token: str, project: str, issue_type: str, timeout: float) -> None:
        self._server = server.rstrip("/")
        self._email = email
        self._token = token
        self._project = project
        self._issue_type = issue_type
        self._timeout = timeout

    def identity(self) -> str:
        """The display name Jira knows us by; the cheapest proof that address and token are right."""
        return str(_read(self._client.myself)["displayName"])

    def create(
        self, summary: str, description: str, labels: Sequence[str], operation: str, priority: str | None = None
    ) -> TicketRef:
        """Open a ticket, once.

        Args:
            summary: Made one line, and cut at 255 characters.
            description: Wiki markup, cut at 32,767 characters with a note that says so.
            labels: As they are; Jira refuses a space in one.
            operation: The id by which `find` finds this ticket again. Kept as a label, which search can see, and as an
                entity property, which people do not edit.
            priority: By name; the project's default when left out.

        Raises:
            AnswerLost: It may have been opened. Ask `find`, more than once and over some seconds, before trying again.
        """
        fields: dict[str, Any] = {
            "project": {"key": self._project},
            "issuetype": {"name": self._issue_type},
            "summary": _one_line(summary),
            "description": _cut(description, TEXT_LIMIT),
            "labels": [*labels, operation_label(operation)],
        }
        if priority is not None:
            fields["priority"] = {"name": priority}
        body = {"fields": fields, "properties": [{"key": PROPERTY, "value": {"operation": operation}}]}
        # create_issue cannot send properties, and a second call for them could be lost by itself.
        session, address = cast("Session", self._client._session), self._client._get_url("issue")  # noqa: SLF001
        answer = _change(session.post, address, data=json.dumps(body))
        return self._ref(str(answer.json()["key"]))

    def find(self, operation: str, since: datetime) -> TicketRef | None:
        """The ticket that `operation` opened, or None. None is no proof while search may still lag.

        Args:
            operation: As given to `create`.
            since: When the intent was written down, with its time zone; older tickets are not ours.
        """
        # Oldest first: a clone made by a person carries the same labels.
        jql = f'project = "{self._project}" AND labels = "{operation_label(operation)}" ORDER BY created ASC'
        for issue in _read(self._client.search_issues, jql, maxResults=0, fields=["created"]):
            if _moment(issue.fields.created) >= since - _CLOCK_SKEW:
                return self._ref(str(issue.key))
        return None

    def comment(self, key: str, body: str, operation: str) -> None:
        """Add a comment, unless the one of this operation is there already. Its last line names the operation."""
        if self.has_comment(key, operation):
            return
        marker = "\n\n" + _marker(operation)
        _change(self._client.add_comment, key, _cut(body, TEXT_LIMIT - len(marker)) + marker)

    def has_comment(self, key: str, operation: str) -> bool:
        """Whether the comment of this operation is there. Comments are read consistently, unlike search."""
        marker = _marker(operation)
        return any(marker in (line.strip() for line in body.splitlines()) for body in self._comments(key))

    def link(self, key: str, other_key: str, kind: str) -> None:
        """Link two tickets, so that it reads: `key` *kind* `other_key`. An existing link is an answer.

        Args:
            kind: Name of the link type, for example `Relates` or `Blocks`.
        """
        links = _read(self._client.issue, key, fields="issuelinks").raw["fields"].get("issuelinks", [])
        if any(each["type"]["name"] == kind and each.get("outwardIssue", {}).get("key") == other_key for each in links):
            return
        _change(self._client.create_issue_link, kind, key, other_key)

    def transition(self, key: str, name: str) -> None:
        """Move a ticket along its workflow, by the name of the step or of the status it leads to.

        Being there already is an answer. Ids are never used: they differ from project to project.

        Raises:
            Outside: The workflow has no such step from here (code `jira-no-such-transition`).
        """
        status = str(_read(self._client.issue, key, fields="status").fields.status.name)
        if status.casefold() == name.casefold():
            return
        steps = _read(self._client.transitions, key)
        for step in steps:
            if name.casefold() in (step["name"].casefold(), step["to"]["name"].casefold()):
                _change(self._client.transition_issue, key, step["id"])
                return
        offered = ", ".join(step["name"] for step in steps) or "nothing"
        raise Outside(f"{key} is {status} and leads to {offered}, not to {name}", code="jira-no-such-transition")

    def describe(self, key: str) -> Ticket:
        """A ticket as it stands, read by its key and so never stale."""
        fields = _read(self._client.issue, key).raw["fields"]
        return Ticket(
            ref=self._ref(key),
            summary=fields["summary"],
            description=fields.get("description") or "",
            status=fields["status"]["name"],
            priority=(fields.get("priority") or {}).get("name"),
            labels=tuple(fields["labels"]),
            created=_moment(fields["created"]),
            operation=self._operation(key),
        )

    @cached_property
    def _client(self) -> JIRA:
        from jira import JIRA  # loaded when Jira is really used: every command would wait for it

        login: dict[str, Any] = (
            {"basic_auth": (self._email, self._token)} if self._email else {"token_auth": self._token}
        )
        # Without retries: the client would send a POST again after a 429, a 503 or a broken connection.
        client = JIRA(self._server, get_server_info=False, max_retries=0, timeout=self._timeout, **login)
        # Told here instead of asked for: by it the client takes the search that Cloud still answers (/search/jql).
        client.deploymentType = "Cloud" if self._email else "Server"
        return client

    def _ref(self, key: str) -> TicketRef:
        return TicketRef(key=key, url=f"{self._server}/browse/{key}")

    def _comments(self, key: str) -> Iterator[str]:
        """The newest first: what is looked for was written lately."""
        start = 0
        while page := _read(self._client.comments, key, start_at=start, max_results=_PAGE, order_by="-created"):
            yield from (str(comment.body) for comment in page)
            start += len(page)

    def _operation(self, key: str) -> str | None:
        try:
            value = _read(self._client.issue_property, key, PROPERTY).raw["value"]
        except Outside as missing:
            if missing.code == "jira-404":
                return None
            raise
        return str(value["operation"])


def operation_label(operation: str) -> str:
    """An operation's id as a label: no spaces, lower case (search does not tell cases apart), at most 255 characters.

    What does not fit is replaced, and a digest of the whole id added, so that two ids never share a label.
    """
    label = "runbooks-" + operation
    safe = re.sub(r"[^a-z0-9.-]", "-", label.lower())
    if safe == label and len(label) <= _LABEL_LIMIT:
        return label
    digest = hashlib.sha256(operation.encode()).hexdigest()[:16]
    return f"{safe[: _LABEL_LIMIT - len(digest) - 1]}-{digest}"


def _marker(operation: str) -> str:
    return f"Runbooks operation: {operation_label(operation)}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SUMMARY_LIMIT else line[: SUMMARY_LIMIT - 1] + "…"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = f"\n\n(Cut here: the whole text has {len(text):,} characters, more than Jira takes.)"
    return text[: limit - len(note)] + note


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read(method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    return _called(partial(method, *arguments, **named), lost=Outside)


def _change(method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    return _called(partial(method, *arguments, **named), lost=AnswerLost)


def _called(call: Callable[[], T], lost: type[Outside]) -> T:
    """One call, and the one place where Jira's errors become ours. `lost` is raised when no answer came."""
    from jira import JIRAError
    from requests import RequestException

    try:
        return call()
    except JIRAError as refused:
        raise _refusal(refused, lost) from refused
    except RequestException as broken:
        if _never_sent(broken):
            raise Outside(f"Jira cannot be reached: {type(broken).__name__}", code="jira-unreachable") from broken
        raise lost(f"Jira did not answer: {type(broken).__name__}") from broken


def _refusal(refused: JIRAError, lost: type[Outside]) -> Outside:
    status, said = refused.status_code or 0, (refused.text or "").strip()
    if status == 429:
        headers = refused.response.headers if refused.response is not None else {}
        seconds = float(headers.get("Retry-After", 1))
        return JiraThrottled(f"Jira asks to wait {seconds:g} s", retry_after=seconds)
    if status in (401, 403):
        return AccessDenied(f"Jira refuses with HTTP {status}: {said}")
    if status >= 500:
        return lost(f"Jira failed with HTTP {status}")
    return Outside(f"Jira refuses with HTTP {status}: {said}", code=f"jira-{status}")


def _never_sent(broken: Exception) -> bool:
    """Whether the connection was never made. requests wraps what urllib3 says of it."""
    from requests import ConnectTimeout
    from urllib3.exceptions import NewConnectionError

    reason = getattr(broken.args[0] if broken.args else None, "reason", None)
    return isinstance(broken, ConnectTimeout) or isinstance(reason, NewConnectionError)
