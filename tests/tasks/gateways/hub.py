"""The sandbox's GitHub over the sandbox's AWS, and the steps that a workflow carries out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from deployments.sandbox.builds import Build, stop
from deployments.sandbox.github import TOKEN, Hub, github_app
from runbooks.build_terms import Workflow
from runbooks.steps import RebuildByWorkflow, TestByWorkflow
from tasks.gateways.actions import Elsewhere, actions
from tasks.gateways.github import GitHubGateway
from tests.serving import serving
from tests.tasks.gateways.aws_world import ACCOUNT, CASE, REGION, AwsWorld, a_target
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY

HOME = "example/checkout/.github/workflows"
REBUILD = f"{HOME}/rebuild.yml@main"
TRY = f"{HOME}/test.yml@main"
WORKFLOW = Workflow.parse(REBUILD)


@dataclass
class HubWorld:
    """GitHub beside AWS, as the product's processes reach them."""

    aws: AwsWorld
    hub: Hub
    url: str

    def __post_init__(self) -> None:
        self.forget_everything()

    def forget_everything(self) -> None:
        """A new process: nothing is remembered but what GitHub and AWS hold."""
        self.gateway = GitHubGateway(TOKEN, self.url, 5)
        self.aws.forget_everything()
        self.aws.actions = actions(self.aws.sessions, Elsewhere(self.gateway))

    @property
    def runs(self) -> list[Build]:
        return [build for _, build in self.hub.runs()]

    def advance(self, seconds: float) -> None:
        self.aws.sandbox.advance(seconds)

    def finish(self) -> None:
        for _ in range(10):
            self.advance(3)

    def cancel(self, build: Build) -> None:
        stop(self.aws.sandbox.cloud.world(ACCOUNT, REGION), build)

    def change(self, name: str, **changes: Any) -> None:
        """Somebody commits another version of a workflow."""
        recipes = self.aws.sandbox.cloud.world(ACCOUNT, REGION).recipes
        recipes[name] = replace(recipes[name], **changes)


@contextmanager
def github(aws: AwsWorld) -> Iterator[HubWorld]:
    hub = Hub(aws.sandbox.cloud)
    with serving(github_app(hub)) as url:
        yield HubWorld(aws, hub, url)


def a_dispatch(**values: Any) -> RebuildByWorkflow:
    given: dict[str, Any] = {
        "target": a_target(f"{REPOSITORY}:{NEW_TAG}", "image"),
        "cases": (CASE,),
        "workflow": REBUILD,
        "repository": REPOSITORY,
        "tag": NEW_TAG,
        "variables": {"IMAGE_TAG": NEW_TAG, "PACKAGES": "all"},
    }
    return RebuildByWorkflow.model_validate(given | values)


def a_try(image: str, **values: Any) -> TestByWorkflow:
    given: dict[str, Any] = {
        "target": a_target(f"{TRY}/{image}", "image"),
        "cases": (CASE,),
        "workflow": TRY,
        "image": image,
        "variables": {"IMAGE_URI": image},
    }
    return TestByWorkflow.model_validate(given | values)
