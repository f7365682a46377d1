"""The sandbox's GitHub keeps GitHub's manners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deployments.sandbox.furnish_image import furnish_image
from deployments.sandbox.github import OPERATION, TOKEN, Hub, github_app
from deployments.sandbox.server import Sandbox
from tests.serving import serving

WORKFLOW = "/repos/example/checkout/actions/workflows/rebuild.yml"
BODY: dict[str, Any] = {"ref": "main", "inputs": {"IMAGE_TAG": "1.4.3", OPERATION: "rb-1"}}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(pace=0.0) as running:
        yield running


@pytest.fixture
def hub(sandbox: Sandbox) -> Hub:
    sandbox.reset()
    furnish_image(sandbox.cloud)
    return Hub(sandbox.cloud)


@pytest.fixture
def github(hub: Hub) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with serving(github_app(hub)) as url, httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        yield client


def test_a_dispatch_says_which_run_it_has_made_only_to_who_asks(github: httpx.Client, hub: Hub) -> None:
    silent = github.post(f"{WORKFLOW}/dispatches", json=BODY)
    assert (silent.status_code, silent.content) == (204, b"")
    telling = github.post(f"{WORKFLOW}/dispatches", json=BODY | {"return_run_details": True})
    assert telling.status_code == 200
    run = github.get(telling.json()["run_url"]).json()
    assert (run["id"], run["html_url"]) == (telling.json()["workflow_run_id"], telling.json()["html_url"])
    assert run["display_title"] == "Remediation rb-1"
    assert len(list(hub.runs())) == 2


def test_a_run_goes_from_queued_to_its_conclusion_and_pushes_an_image(
    github: httpx.Client, hub: Hub, sandbox: Sandbox
) -> None:
    github.post(f"{WORKFLOW}/dispatches", json=BODY)
    ((world, build),) = hub.runs()
    seen = []
    for _ in range(40):
        (run,) = github.get(f"{WORKFLOW}/runs").json()["workflow_runs"] or [
            {"status": "not listed", "conclusion": None}
        ]
        seen.append((run["status"], run["conclusion"]))
        sandbox.advance(0.2)
    assert list(dict.fromkeys(seen)) == [("not listed", None), ("in_progress", None), ("completed", "success")]
    assert build.exported["IMAGE_TAG"] == "1.4.3"
    assert [one.tags for one in world.container_images.values()][-1] == ["1.4.3"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (WORKFLOW, BODY | {"return_details": True}, 400, '"return_details" is not a permitted key.'),
        (WORKFLOW, BODY | {"ref": "gone"}, 422, "No ref found for: gone"),
        (WORKFLOW, BODY | {"inputs": {"X": "1"}}, 422, 'Unexpected inputs provided: ["X"]'),
        (WORKFLOW.replace("rebuild", "nothing"), BODY, 404, "Not Found"),
        (WORKFLOW.replace("example", "somebody"), BODY, 404, "Not Found"),
    ],
)
def test_a_dispatch_that_is_wrong_is_refused(
    github: httpx.Client, hub: Hub, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    answer = github.post(f"{path}/dispatches", json=body)
    assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert list(hub.runs()) == []


def test_who_shows_no_token_is_told_nothing(github: httpx.Client) -> None:
    answer = github.get(WORKFLOW, headers={"Authorization": "Bearer another"})
    assert (answer.status_code, answer.json()) == (401, {"message": "Bad credentials"})


def test_runs_come_page_by_page_the_newest_first(github: httpx.Client, sandbox: Sandbox) -> None:
    for number in range(5):
        github.post(f"{WORKFLOW}/dispatches", json={"ref": "main", "inputs": {OPERATION: f"rb-{number}"}})
        sandbox.advance(2)
    pages = [github.get(f"{WORKFLOW}/runs?per_page=2&page={page}").json() for page in (1, 2, 3, 4)]
    titles = [[run["display_title"].removeprefix("Remediation rb-") for run in page["workflow_runs"]] for page in pages]
    assert titles == [["4", "3"], ["2", "1"], ["0"], []]
    assert [page["total_count"] for page in pages] == [5] * 4


def test_a_run_is_no_build_of_codebuild(github: httpx.Client, hub: Hub, sandbox: Sandbox) -> None:
    github.post(f"{WORKFLOW}/dispatches", json=BODY)
    ((world, build),) = hub.runs()
    assert build.is_workflow_run
    assert [one.id for one in world.builds.values() if not one.is_workflow_run] == []
