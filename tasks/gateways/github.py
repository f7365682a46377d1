"""GitHub Actions, in our words: dispatch a workflow once, find its run again by the operation in the run's name.

GitHub takes no idempotency token. So nothing that changes anything is sent again by itself, and a workflow's `run-name`
has to hold the operation, which the run's `display_title` then shows (GitHub docs, "Workflow syntax", run-name; REST
API reference, "Workflows" and "Workflow runs"). A dispatch is answered with the run that it has made, where
`return_run_details` asks for it: since February 2026, and on GitHub Enterprise Server since 3.21; an older one refuses
what it does not know, with HTTP 400.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from runbooks.build_terms import Workflow
from runbooks.errors import AccessDenied, AnswerLost, Outside, Throttled
from runbooks.model import Model

VERSION = "2022-11-28"
"""Of the REST API: the newest that GitHub Enterprise Server has too."""
LOOKED_THROUGH = 300
"""How many of a workflow's newest runs are looked through for those of an operation."""
UNREACHABLE = "unreachable"
"""The code where a question was not answered, and may be asked again."""

_PAGE = 100
_ATTEMPTS = 3
_WITHOUT_A_HINT_SECONDS = 60.0
"""How long to wait where GitHub does not say (GitHub docs, "Rate limits for the REST API")."""
_CONNECT_SECONDS = 5


class GitHubThrottled(Throttled):
    """GitHub asks to wait. `retry_after` is in seconds."""

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = _WITHOUT_A_HINT_SECONDS) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.detail,), {"code": self.code, "retry_after": self.retry_after})


class WorkflowRun(Model):
    """A run of a workflow, as it stands."""

    number: int
    """Its id, which no other run has."""
    branch: str
    """The branch, or the tag, whose workflow it runs."""
    title: str
    """What the workflow's `run-name` has made of its inputs."""
    status: str
    """queued, in_progress, completed, or why it waits."""
    conclusion: str | None
    """success, failure, cancelled, timed_out and others, once it is completed."""
    url: str
    """The page of it."""


class GitHubGateway:
    """GitHub's REST API, by one token.

    Args:
        token: It needs `Actions: write` on the repositories of the workflows, and nothing else.
        address: `https://api.github.com`, that of an Enterprise Server (`https://<host>/api/v3`), or the sandbox.
        timeout: Seconds to wait for each answer.

    Every method raises AccessDenied, GitHubThrottled, AnswerLost (changes only: the effect is unknown) or Outside,
    whose code is `github-` and the HTTP status, or `unreachable`. Once GitHub has asked to wait, nothing is sent before
    that time is over.
    """

    def __init__(self, token: str, address: str, timeout: float) -> None:
        self._token = token
        self._address = address.rstrip("/")
        self._timeout = httpx.Timeout(timeout, connect=_CONNECT_SECONDS)
        self._quiet_until = 0.0

    def state(self, workflow: Workflow) -> str | None:
        """`active`, or why the workflow cannot be dispatched; None where there is none, or the token may not see it."""
        found = self._read(_path(workflow))
        return None if found is None else str(found.get("state", ""))

    def runs(self, workflow: Workflow, operations: Collection[str]) -> dict[str, WorkflowRun] | None:
        """The oldest run of each operation, among the newest of the workflow's branch; None where there is no workflow.

        Before the operation's own run nobody knows its name; after it whoever may dispatch the workflow can use it. Who
        may write to another branch decides there what a run does and how it is called: it is nobody's.
        """
        found: dict[str, WorkflowRun] = {}
        for page in range(1, LOOKED_THROUGH // _PAGE + 1):
            asked = {
                "event": "workflow_dispatch",
                "branch": short_ref(workflow.ref),
                "per_page": _PAGE,
                "page": page,
            }
            answer = self._read(f"{_path(workflow)}/runs", asked)
            if answer is None:
                return None
            listed = [_run(raw) for raw in _listed(answer)]
            # The newest comes first.
            for run in listed:
                if run.branch == short_ref(workflow.ref):
                    found |= {operation: run for operation in operations if operation in run.title}
            if len(listed) < _PAGE:
                break
        return found

    def run(self, workflow: Workflow, number: int) -> WorkflowRun | None:
        """One run; None where GitHub does not show it (yet)."""
        raw = self._read(f"{_home(workflow)}/actions/runs/{number}")
        return None if raw is None else _run(raw)

    def dispatch(self, workflow: Workflow, inputs: Mapping[str, str]) -> int | None:
        """Start a run, once; gives its number, None where GitHub does not tell it.

        Raises:
            AnswerLost: it may have been started: ask `runs`, over some time, before trying again.
        """
        body = {"ref": workflow.ref, "inputs": dict(inputs), "return_run_details": True}
        answer = self._ask("POST", f"{_path(workflow)}/dispatches", AnswerLost, json=body)
        if answer is None:
            raise Outside(f"there is no workflow {workflow}", code="github-404")
        number = answer.get("workflow_run_id")
        return int(number) if number is not None else None

    def _read(self, path: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """As `_ask`, tried again where no answer came: reading again changes nothing."""
        trying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Outside) and error.code == UNREACHABLE),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=5),
            reraise=True,
        )
        return trying(self._ask, "GET", path, Outside, params=asked)

    def _ask(self, method: str, path: str, lost: type[Outside], **sent: Any) -> dict[str, Any] | None:
        """One request, and the one place where GitHub's errors become ours. None where nothing is there.

        Args:
            lost: raised when no answer came, or none that can be read.
        """
        if (left := self._quiet_until - time.monotonic()) > 0:
            raise GitHubThrottled(f"GitHub asked to wait, for {left:.0f} s more", retry_after=left)
        try:
            # Nothing of the environment's proxies lies on the way to this very machine.
            with httpx.Client(timeout=self._timeout, trust_env=self._address.startswith("https://")) as client:
                answer = client.request(method, self._address + path, headers=self._headers(), **sent)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as broken:
            raise Outside(f"GitHub cannot be reached: {broken}", code=UNREACHABLE) from broken
        except httpx.HTTPError as broken:
            raise _lost(lost, f"GitHub did not answer: {type(broken).__name__}") from broken
        return self._told(answer, lost)

    def _told(self, answer: httpx.Response, lost: type[Outside]) -> dict[str, Any] | None:
        status = answer.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _lost(lost, f"GitHub failed with HTTP {status}")
        body = _body(answer)
        if status == HTTPStatus.NO_CONTENT:
            return {}
        if status == HTTPStatus.OK:
            if body is None:
                raise _lost(lost, "GitHub answered with something that is not JSON")
            return body
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            return None
        raise self._refusal(answer, " ".join(str((body or {}).get("message", "")).split())[:200])

    def _refusal(self, answer: httpx.Response, said: str) -> Outside:
        status, headers = answer.status_code, answer.headers
        limited = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said
        if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.FORBIDDEN and limited):
            seconds = _seconds_to_wait(headers)
            self._quiet_until = time.monotonic() + seconds
            return GitHubThrottled(f"GitHub asks to wait {seconds:.0f} s", retry_after=seconds)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AccessDenied(f"GitHub refuses: {said}")
        return Outside(f"GitHub refuses with HTTP {status}: {said}", code=f"github-{status}")

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
            "User-Agent": "remediation-runbooks",
        }


def short_ref(ref: str) -> str:
    """A branch or a tag as `head_branch` of a run has it."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _home(workflow: Workflow) -> str:
    return f"/repos/{workflow.owner}/{workflow.repository}"


def _path(workflow: Workflow) -> str:
    return f"{_home(workflow)}/actions/workflows/{workflow.file}"


def _listed(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An answer that lists nothing says so: anything else is not taken for "there is no run"."""
    listed = answer.get("workflow_runs")
    if not isinstance(listed, list):
        raise Outside("GitHub answered with something that is no list of runs", code=UNREACHABLE)
    return listed


def _run(raw: Mapping[str, Any]) -> WorkflowRun:
    return WorkflowRun(
        number=raw["id"],
        branch=short_ref(str(raw.get("head_branch") or "")),
        title=str(raw.get("display_title") or ""),
        status=str(raw.get("status") or "unknown"),
        conclusion=raw.get("conclusion"),
        url=str(raw.get("html_url") or raw["id"]),
    )


def _body(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _lost(kind: type[Outside], words: str) -> Outside:
    """An answer that did not come: of a question it may be asked for again, of a change the effect is unknown."""
    return kind(words) if kind is AnswerLost else kind(words, code=UNREACHABLE)


def _seconds_to_wait(headers: httpx.Headers) -> float:
    """GitHub docs, "Rate limits for the REST API": Retry-After, or else when the limit is reset, or else a minute."""
    try:
        if "retry-after" in headers:
            return max(1.0, float(headers["retry-after"]))
        if headers.get("x-ratelimit-remaining") == "0":
            return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    except (KeyError, ValueError):
        pass
    return _WITHOUT_A_HINT_SECONDS
