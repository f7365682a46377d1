"""The builds of AWS CodeBuild. Projects are moto's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from moto.codebuild.models import codebuild_backends

from deployments.sandbox import builds
from deployments.sandbox.builds import Build, Phase
from deployments.sandbox.operations import Call, operation, page
from deployments.sandbox.wire import AwsError

_TOKEN_LASTS = timedelta(minutes=5)
_MOST_BUILDS = 100


@operation("codebuild", "StartBuild")
def start_build(call: Call) -> dict[str, Any]:
    """Begin a build; the same token within five minutes means the same build."""
    project = _project(call, call.params["projectName"])
    request = {name: value for name, value in call.params.items() if name != "idempotencyToken"}
    token = call.params.get("idempotencyToken")
    build = _already_started(call, request, token)
    if build is None:
        build = builds.start(call.world, request, token, _environment(project, request))
    return {"build": _describe(call, build)}


@operation("codebuild", "BatchGetBuilds")
def batch_get_builds(call: Call) -> dict[str, Any]:
    """The builds as they stand now, and the ids that are of none."""
    ids = call.params["ids"]
    if not 1 <= len(ids) <= _MOST_BUILDS:
        raise AwsError("InvalidInputException", "ids must hold between 1 and 100 builds")
    known = [call.world.builds[one] for one in ids if one in call.world.builds]
    return {
        "builds": [_describe(call, build) for build in known],
        "buildsNotFound": [one for one in ids if one not in call.world.builds],
    }


@operation("codebuild", "ListBuildsForProject")
def list_builds_for_project(call: Call) -> dict[str, Any]:
    """The ids of a project's builds, newest first unless asked otherwise."""
    _project(call, call.params["projectName"])
    return _ids(call, [one.id for one in call.world.builds.values() if one.project == call.params["projectName"]])


@operation("codebuild", "ListBuilds")
def list_builds(call: Call) -> dict[str, Any]:
    """The ids of all builds, newest first unless asked otherwise."""
    return _ids(call, [one.id for one in call.world.builds.values() if not one.is_workflow_run])


@operation("codebuild", "StopBuild")
def stop_build(call: Call) -> dict[str, Any]:
    """Stop a build."""
    build = call.world.builds.get(call.params["id"])
    if build is None:
        raise AwsError("ResourceNotFoundException", f"Build {call.params['id']} does not exist")
    builds.stop(call.world, build)
    return {"build": _describe(call, build)}


def _project(call: Call, name: str) -> dict[str, Any]:
    known = codebuild_backends[call.account][call.region].codebuild_projects.get(name)
    if known is None:
        arn = f"arn:aws:codebuild:{call.region}:{call.account}:project/{name}"
        raise AwsError("ResourceNotFoundException", f"Project cannot be found: {arn}")
    return known.project_metadata


def _already_started(call: Call, request: dict[str, Any], token: str | None) -> Build | None:
    """The build that was started with this token, while it is valid.

    Raises:
        AwsError: it was started with other parameters (InvalidInputException).
    """
    for build in call.world.builds.values():
        if token and build.token == token and call.now - build.started_at < _TOKEN_LASTS:
            if build.request != request:
                raise AwsError(
                    "InvalidInputException",
                    "Parameter mismatch: the idempotency token was used with other parameters.",
                )
            return build
    return None


def _environment(project: dict[str, Any], request: dict[str, Any]) -> dict[str, str]:
    own = project["environment"].get("environmentVariables") or []
    return {one["name"]: one["value"] for one in (*own, *(request.get("environmentVariablesOverride") or []))}


def _ids(call: Call, oldest_first: list[str]) -> dict[str, Any]:
    ascending = call.params.get("sortOrder") == "ASCENDING"
    return page(
        call,
        oldest_first if ascending else oldest_first[::-1],
        result="ids",
        token="nextToken",
        most=_MOST_BUILDS,
        invalid_token="InvalidInputException",
    )


def _describe(call: Call, build: Build) -> dict[str, Any]:
    project = _project(call, build.project)
    shown: dict[str, Any] = {
        "id": build.id,
        "arn": f"arn:aws:codebuild:{call.region}:{call.account}:build/{build.id}",
        "buildNumber": build.number,
        "startTime": build.started_at,
        "currentPhase": build.phases[-1].name,
        "buildStatus": build.status,
        "buildComplete": build.is_over,
        "projectName": build.project,
        "sourceVersion": build.request.get("sourceVersion"),
        "phases": [_describe_phase(phase) for phase in build.phases],
        "source": project["source"],
        "environment": project["environment"]
        | {"environmentVariables": [{"name": name, "value": value} for name, value in build.environment.items()]},
        "serviceRole": project["serviceRole"],
        "initiator": f"sandbox/{call.account}",
        "exportedEnvironmentVariables": [{"name": name, "value": value} for name, value in build.exported.items()],
        "logs": {"groupName": f"/aws/codebuild/{build.project}", "streamName": build.id.partition(":")[2]},
        "artifacts": build.artifact.shown if build.artifact else None,
        "endTime": build.ended_at,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _describe_phase(phase: Phase) -> dict[str, Any]:
    shown: dict[str, Any] = {"phaseType": phase.name, "startTime": phase.started_at}
    if phase.status and phase.ended_at:
        took = int((phase.ended_at - phase.started_at).total_seconds())
        shown |= {"phaseStatus": phase.status, "endTime": phase.ended_at, "durationInSeconds": took}
    if phase.message:
        code, _, message = phase.message.partition(": ")
        shown["contexts"] = [{"statusCode": code, "message": message}]
    return shown
