"""Whether a workflow, or copa, can make an image: looked at with the facts, so that triage asks a person in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.github import TOKEN, Hub, github_app
from deployments.sandbox.server import Sandbox
from runbooks.definition import Rebuild
from tasks.builders import why_not
from tasks.gateways.actions.workflow_dispatch import NO_TOKEN
from tasks.services import Services
from tasks.settings import Settings
from tests.serving import serving
from tests.tasks.gateways.aws_world import AwsWorld
from tests.tasks.gateways.copa import Copa
from tests.tasks.gateways.hub import HOME, REBUILD
from tests.tasks.gateways.image_world import REPOSITORY, furnish

BY_WORKFLOW = Rebuild(workflow=REBUILD)
IN_PLACE = Rebuild(patch_in_place=True)


@pytest.fixture
def have(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    executor_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    furnish(AwsWorld(executor_aws))
    with serving(github_app(Hub(executor_aws.cloud))) as url:
        yield Services(Settings.model_validate({"github_token": TOKEN, "github_api": url}))


def test_a_project_is_no_matter_of_these(have: Services) -> None:
    assert why_not(have, Rebuild(), REPOSITORY) is None


def test_a_workflow_that_is_there_builds(have: Services) -> None:
    assert why_not(have, BY_WORKFLOW, REPOSITORY) is None


@pytest.mark.parametrize(
    ("workflow", "repository", "words"),
    [
        (
            f"{HOME}/x.yml@main",
            REPOSITORY,
            f"there is no workflow {HOME}/x.yml@main, or the token of GitHub may not see it",
        ),
        ("example/{repository}/.github/workflows/rebuild.yml@main", "x" * 101, "a person has to build it"),
    ],
)
def test_one_that_is_not_is_named(have: Services, workflow: str, repository: str, words: str) -> None:
    why = why_not(have, Rebuild(workflow=workflow), repository)
    assert why is not None
    assert words in why


def test_without_a_token_no_workflow_is_dispatched() -> None:
    assert why_not(Services(Settings()), BY_WORKFLOW, REPOSITORY) == NO_TOKEN


def test_copa_is_looked_for_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_not(Services(Settings()), IN_PLACE, REPOSITORY) == "copa is not on the path of the worker"
    Copa.install(tmp_path, monkeypatch)
    assert why_not(Services(Settings()), IN_PLACE, REPOSITORY) is None
