"""AWS CodeBuild: its projects, and the builds that an operation has started."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from runbooks.errors import AnswerLost
from runbooks.function_package import PackageProject
from runbooks.steps.base import Role
from tasks.gateways.aws_errors import code_of, reads
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.bulk import HUNDRED, pages, portions

Members = Mapping[str, Any]

OPERATION_VARIABLE = "REMEDIATION_OPERATION"
"""The environment variable of a build that says which operation started it: CodeBuild forgets a token after minutes."""
LOOKED_THROUGH = 500
"""How many of a project's newest builds are looked through for those of an operation."""


class CodeBuildGateway:
    """Reads CodeBuild."""

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions

    @reads()
    def existing(self, account: str, region: str, projects: Sequence[str]) -> frozenset[str]:
        """Those of the projects that are there."""
        return frozenset(raw["name"] for raw in self._projects(account, region, projects))

    @reads()
    def package_projects(self, account: str, region: str, projects: Sequence[str]) -> dict[str, PackageProject]:
        """Those of the projects that are there, with where each leaves its artifact."""
        return {raw["name"]: _package_project(raw) for raw in self._projects(account, region, projects)}

    def _projects(self, account: str, region: str, projects: Sequence[str]) -> Iterator[Members]:
        client = self._sessions.client("codebuild", account, region, Role.READ)
        for portion in portions(sorted(set(projects)), HUNDRED):
            yield from client.batch_get_projects(names=list(portion))["projects"]


def read_builds(client: Any, project: str, operations: Collection[str]) -> dict[str, Members] | None:
    """The oldest build of each operation, among the newest of the project; None where there is no such project.

    Before the operation's own build nobody knows its name; after it whoever may start a build can use it.

    Raises:
        AnswerLost: CodeBuild lists one that it does not show: it may be an operation's.
    """
    found: dict[str, Members] = {}
    listed = pages(client, "list_builds_for_project", "ids", projectName=project, sortOrder="DESCENDING")
    newest = islice(listed, LOOKED_THROUGH)
    try:
        while portion := [*islice(newest, HUNDRED)]:
            builds = {raw["id"]: raw for raw in client.batch_get_builds(ids=portion)["builds"]}
            for identifier in portion:
                if identifier not in builds:
                    raise AnswerLost(f"CodeBuild lists build {identifier}, and does not show it yet")
                if (operation := _operation_of(builds[identifier])) in operations:
                    found[operation] = builds[identifier]
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        return None
    return found


def _package_project(raw: Members) -> PackageProject:
    """ProjectArtifacts (CodeBuild API reference): `location` is a bucket where `type` is S3."""
    artifacts = raw.get("artifacts") or {}
    in_s3 = artifacts.get("type") == "S3" and artifacts.get("location")
    return PackageProject(
        name=raw["name"], bucket=artifacts["location"] if in_s3 else None, path=artifacts.get("path") or ""
    )


def _operation_of(build: Members) -> str:
    variables = (build.get("environment") or {}).get("environmentVariables") or ()
    return next((each["value"] for each in variables if each["name"] == OPERATION_VARIABLE), "")
