"""A small GitHub: the REST calls about workflows and their runs, over the builds that the sandbox carries out.

A workflow is a recipe under the name `owner/repository/.github/workflows/file`, furnished as a CodeBuild project is.
What its run makes, it pushes to the ECR of the world that it was furnished in. GitHub's manners are kept: a dispatch is
answered with 204 unless the run's details are asked for, a run is listed a moment later, what is not to be seen is not
there (404), and inputs that the workflow does not declare are refused (docs.github.com, REST API, "Workflows" and
"Workflow runs").
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox import builds
from deployments.sandbox.builds import WORKFLOWS, Build
from deployments.sandbox.cloud import Cloud
from deployments.sandbox.service_faults import DroppedConnection, Faults, refused_by
from deployments.sandbox.world import World

TOKEN = "github-sandbox"
BRANCH = "main"
OPERATION = "REMEDIATION_OPERATION"

_INPUTS = frozenset({"BASE_IMAGE", "PACKAGES", "IMAGE_TAG", "SOURCE_COMMIT", "SOURCE_DIGEST", "IMAGE_URI", OPERATION})
_MEMBERS = frozenset({"ref", "inputs", "return_run_details"})
_CONCLUSIONS = {"SUCCEEDED": "success", "FAILED": "failure", "STOPPED": "cancelled"}


class GitHubRefusal(Exception):
    """GitHub's answer is no: an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Hub:
    """The repositories' workflows and runs: those of every world of the cloud."""

    cloud: Cloud
    token: str = TOKEN
    branches: set[str] = field(default_factory=lambda: {BRANCH})
    faults: Faults = field(default_factory=Faults)

    def admit(self, authorization: str | None) -> None:
        """Refuses who does not show the token."""
        if authorization != f"Bearer {self.token}":
            raise GitHubRefusal(401, "Bad credentials")

    def workflow(self, named: Mapping[str, str]) -> tuple[World, str]:
        """The world that the workflow of this path was furnished in, and its name there."""
        name = f"{named['owner']}/{named['repo']}{WORKFLOWS}{named['file']}"
        for world in self.cloud.worlds:
            if name in world.recipes:
                return world, name
        raise GitHubRefusal(404, "Not Found")

    def runs(self) -> Iterator[tuple[World, Build]]:
        """Every run, the oldest first."""
        every = [(world, build) for world in self.cloud.worlds for build in world.builds.values()]
        yield from sorted((each for each in every if each[1].is_workflow_run), key=lambda each: each[1].started_at)


Call = Callable[[Hub, Request, dict[str, Any]], tuple[int, Any]]


def github_app(hub: Hub) -> Starlette:
    """The application, at the root of its address as api.github.com is."""

    def api(verb: str, path: str, name: str, call: Call) -> Route:
        async def endpoint(request: Request) -> Response:
            return _answered(hub, name, request, call, await request.body())

        return Route(path, endpoint, methods=[verb])

    workflow = "/repos/{owner}/{repo}/actions/workflows/{file}"
    return Starlette(
        routes=[
            api("GET", workflow, "GET workflow", _workflow),
            api("GET", workflow + "/runs", "GET runs", _listed),
            api("POST", workflow + "/dispatches", "POST dispatches", _dispatch),
            api("GET", "/repos/{owner}/{repo}/actions/runs/{number:int}", "GET run", _one),
            Route("/sandbox/faults", hub.faults.receive, methods=["POST"]),
        ]
    )


def number_of(build: Build) -> int:
    """The run's id: no other run has it."""
    return uuid.UUID(build.id.rpartition(":")[2]).int % 10**11


def _answered(hub: Hub, name: str, request: Request, call: Call, body: bytes) -> Response:
    fault = hub.faults.take(name)
    limit = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    if refused := refused_by(fault, limit):
        return refused
    try:
        hub.admit(request.headers.get("authorization"))
        with hub.cloud.lock:
            hub.cloud.clock.catch_up()
            status, answer = call(hub, request, json.loads(body or b"{}"))
    except GitHubRefusal as refusal:
        status, answer = refusal.status, {"message": refusal.message}
    if fault["kind"] == "answer-lost":
        return DroppedConnection()
    return Response(status_code=204) if status == 204 else JSONResponse(answer, status_code=status)


def _workflow(hub: Hub, request: Request, sent: dict[str, Any]) -> tuple[int, Any]:
    _, name = hub.workflow(request.path_params)
    return 200, {"name": name.rpartition("/")[2], "path": _path(name), "state": "active"}


def _dispatch(hub: Hub, request: Request, sent: dict[str, Any]) -> tuple[int, Any]:
    world, name = hub.workflow(request.path_params)
    if unknown := sorted(sent.keys() - _MEMBERS):
        raise GitHubRefusal(400, f'"{unknown[0]}" is not a permitted key.')
    if sent.get("ref") not in hub.branches:
        raise GitHubRefusal(422, f"No ref found for: {sent.get('ref')}")
    inputs = {key: str(value) for key, value in (sent.get("inputs") or {}).items()}
    if undeclared := sorted(inputs.keys() - _INPUTS):
        raise GitHubRefusal(422, f"Unexpected inputs provided: {json.dumps(undeclared)}")
    build = builds.start(world, {"projectName": name, "ref": sent["ref"]}, None, inputs)
    if not sent.get("return_run_details"):
        return 204, None
    run = _shown(request, world, build)
    return 200, {"workflow_run_id": run["id"], "run_url": run["url"], "html_url": run["html_url"]}


def _listed(hub: Hub, request: Request, sent: dict[str, Any]) -> tuple[int, Any]:
    world, name = hub.workflow(request.path_params)
    since = world.now - timedelta(seconds=world.settings.workflow_listed)
    runs = [build for _, build in hub.runs() if build.project == name and build.started_at <= since][::-1]
    if branch := request.query_params.get("branch"):
        runs = [build for build in runs if build.request["ref"] == branch]
    size, page = int(request.query_params.get("per_page", 30)), int(request.query_params.get("page", 1))
    shown = runs[(page - 1) * size : page * size]
    return 200, {"total_count": len(runs), "workflow_runs": [_shown(request, world, build) for build in shown]}


def _one(hub: Hub, request: Request, sent: dict[str, Any]) -> tuple[int, Any]:
    number, home = request.path_params["number"], f"{request.path_params['owner']}/{request.path_params['repo']}"
    for world, build in hub.runs():
        if number_of(build) == number and build.project.startswith(f"{home}/"):
            return 200, _shown(request, world, build)
    raise GitHubRefusal(404, "Not Found")


def _shown(request: Request, world: World, build: Build) -> dict[str, Any]:
    """A run as the API shows it."""
    home, _, file = build.project.partition(WORKFLOWS)
    recipe, operation = world.recipes[build.project], build.environment.get(OPERATION, "")
    base = str(request.base_url).rstrip("/")
    place = f"{home}/actions/runs/{number_of(build)}"
    return {
        "id": number_of(build),
        "name": file,
        "display_title": f"Remediation {operation}" if recipe.names_runs else file,
        "event": "workflow_dispatch",
        "head_branch": build.request["ref"],
        "path": _path(build.project),
        "status": _status(build),
        "conclusion": _CONCLUSIONS.get(build.status),
        "created_at": build.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "url": f"{base}/repos/{place}",
        "html_url": f"{base}/{place}",
    }


def _path(name: str) -> str:
    """Of the workflow's file in its repository."""
    return name[name.index(WORKFLOWS) + 1 :]


def _status(build: Build) -> str:
    if build.is_over:
        return "completed"
    return "queued" if build.phases[-1].name in ("SUBMITTED", "QUEUED") else "in_progress"
