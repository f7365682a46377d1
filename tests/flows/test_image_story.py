"""A vulnerable image, from its block to its deployment: what the team releases meanwhile is never taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.furnish_service import ServiceOptions, furnish_service
from deployments.sandbox.made_up_finding import LIBEXPAT, Vulnerability, image_finding
from flows.playbooks.image import play
from flows.response_run import LookAgain
from runbooks.definition import Runbook
from runbooks.plan import Phase, Plan
from runbooks.records import PhaseEnded
from runbooks.repository_policy import denies_pulls
from runbooks.steps import SetRepositoryPolicy
from runbooks.verdict import NotYet
from tasks.examining import examine_candidate
from tasks.triage import triage_cases
from tests.runbooks.image_builders import an_image_runbook
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import FunctionStory, take_in
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.gateways.running_images import LONG_ENOUGH
from tests.tasks.harness import Run
from tests.tasks.playing import prefect_alone

REPOSITORY = {"repositoryName": "shop/checkout"}
MOVES = "production"
DENIES = {"stages": (), "deny_pulls": True}
WHEN_EXPLOITED = {"block": DENIES, "when": [["exploited-in-the-wild"]]}
MOST_RUNS = 60
AGAIN = "service checkout was deployed again since the plan was made"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


class ImageStory(FunctionStory):
    """A service runs the image by a tag that moves; nobody is asked about anything."""

    def begin(self) -> Run:
        self.waited: list[str] = []
        vars(self.have)["settings"] = self.have.settings.model_copy(update={"short_wait_seconds": 0})
        self.run = self.house.start()
        return self.run

    def play_until(self, phase: Phase, waits: bool = False) -> None:
        """The flow, run after run, until the phase has ended; with `waits` until it is waited for."""
        for _ in range(MOST_RUNS):
            try:
                with self.running():
                    asyncio.run(play())
            except LookAgain as pause:
                self.waited.append(pause.phase)
            if self.ended(phase) or (waits and self.waited[-1:] == [phase]):
                return
            self.again()
        raise AssertionError(f"it still waits: {self.waited[-5:]}")

    def again(self) -> None:
        """Another run takes over: what the one before held it holds no more."""
        self.run = self.house.take_over(after_a_death=True)

    def build(self) -> None:
        """Everything before the deployment, phase by phase."""
        with self.running():
            triage_cases()
        assert self.phase(Phase.REBUILD).went_well
        with self.running():
            while isinstance(found := examine_candidate(), NotYet):
                self.run.wait()
        assert found.passed, found.reasons
        assert self.phase(Phase.TEST).went_well
        self.asked.clear()

    def ended(self, phase: Phase) -> PhaseEnded | None:
        return self.house.history().phase_ended(phase)

    def release(self) -> str:
        """The team pushes a newer image under the same tag and forces a deployment, as AWS documents it; its digest."""
        client = self.house.client("ecr")
        (old,) = client.batch_get_image(**REPOSITORY, imageIds=[{"imageTag": MOVES}])["images"]
        manifest = json.loads(old["imageManifest"]) | {"annotations": {"org.opencontainers.image.version": "2.0.0"}}
        pushed = client.put_image(**REPOSITORY, imageManifest=json.dumps(manifest), imageTag=MOVES)["image"]
        self.house.client("ecs").update_service(cluster="shop", service="checkout", forceNewDeployment=True)
        for _ in range(LONG_ENOUGH // 20):
            self.house.sandbox.advance(20)
            self.run.wait()
        self.house.sandbox.cloud.record.clear()
        return pushed["imageId"]["imageDigest"]

    def runs(self) -> dict[str, int]:
        """Digest -> the tasks of the service that run it."""
        client, found = self.house.client("ecs"), dict[str, int]()
        arns = client.list_tasks(cluster="shop", serviceName="checkout")["taskArns"]
        for task in client.describe_tasks(cluster="shop", tasks=arns)["tasks"]:
            digest = task["containers"][0]["imageDigest"]
            found[digest] = found.get(digest, 0) + 1
        return found


def a_story(
    open_house: OpenHouse,
    folder: Path,
    tags: tuple[str, ...] = ("1.4.2", MOVES),
    beside: Vulnerability | None = None,
    **changes: Any,
) -> ImageStory:
    """One image, of a vulnerability that is exploited; or that nobody runs, and another one that somebody does."""
    runbook = an_image_runbook(
        rebuild={"project": "checkout-image", "test_project": None},
        deprecate={"archive": False, "remove_tags": False},
        **changes,
    )
    house = open_house(runbook=unasked(runbook))
    place = {"account": ACCOUNT, "region": REGION}
    options = ImageOptions.model_validate(place | {"tags": tags, "known_exploited": beside is not None})
    images = [furnish_image(house.sandbox.cloud, options)]
    if beside is not None:
        other = options.model_copy(update={"tags": ("1.4.3", MOVES), "known_exploited": False})
        finding = image_finding(beside, ACCOUNT, REGION, other.repository, other.tags)
        images.append(furnish_image(house.sandbox.cloud, other, finding))
    service = place | {"image": f"{images[0]['repository_uri']}:{MOVES}", "strategy": "ROLLING", "bake_minutes": 1}
    furnish_service(house.sandbox.cloud, ServiceOptions.model_validate(service))
    for image in images:
        take_in(house, image)
    return ImageStory(house, folder)


def unasked(runbook: Runbook) -> Runbook:
    values = runbook.model_dump()
    for section in ("contain", "rebuild", "remediate", "release", "deprecate"):
        values[section]["approval"]["required"] = False
    return Runbook.model_validate(values)


def exploited(story: ImageStory) -> None:
    """CISA adds the vulnerability to its catalogue."""
    now, cloud = story.house.now(), story.house.sandbox.cloud
    with cloud.lock:
        for advisory in cloud.world(ACCOUNT, REGION).advisories:
            advisory.details["cisaData"] = {"dateAdded": now, "dateDue": now, "action": "Apply mitigations"}


def built(story: ImageStory) -> str:
    ((_, outcome),) = story.house.history().succeeded(Phase.REBUILD)
    return str(outcome.result["digest"])


def deployed(story: ImageStory) -> Plan:
    plan = story.house.history().plan(Phase.REMEDIATE)
    assert plan is not None
    return plan


def test_what_nobody_has_released_meanwhile_gets_the_patched_image(open_house: OpenHouse, tmp_path: Path):
    story = a_story(open_house, tmp_path)
    story.play_until(Phase.DEPRECATE)
    assert story.runs() == {built(story): 4}


def test_a_release_while_the_image_was_built_is_seen_before_the_deployment_is_planned(
    open_house: OpenHouse, tmp_path: Path
):
    story = a_story(open_house, tmp_path)
    story.play_until(Phase.REBUILD, waits=True)
    released = story.release()
    story.again()
    story.play_until(Phase.REMEDIATE)
    assert (deployed(story).revision, deployed(story).steps) == (1, ())
    assert [call for call in story.house.mutating_calls() if call.startswith("ecs:")] == []
    assert story.runs() == {released: 4}


def test_an_image_that_a_release_leaves_to_nobody_needs_no_deployment_and_no_person(
    open_house: OpenHouse, tmp_path: Path
):
    story = a_story(open_house, tmp_path, tags=(MOVES,), contain={"when": ()})
    story.play_until(Phase.REBUILD, waits=True)
    released = story.release()
    story.again()
    with story.running():
        ended = asyncio.run(play())
    assert ended.result == "nothing-to-do"
    assert "nobody runs the image and no tag names it" in ended.reason
    assert story.house.history().plan(Phase.REMEDIATE) is None
    assert story.runs() == {released: 4}


def test_a_release_after_the_deployment_was_planned_is_not_overwritten(open_house: OpenHouse, tmp_path: Path):
    story = a_story(open_house, tmp_path)
    released = list[str]()

    def meddle(plan: Plan) -> None:
        released.append(story.release())

    story.build()
    story.phase(Phase.REMEDIATE, meddle)
    (asked,) = story.asked
    outcome = story.house.history().outcome(asked, asked.steps[-1])
    assert outcome is not None
    assert (outcome.status, outcome.detail) == ("drifted", AGAIN)
    assert (deployed(story).revision, deployed(story).steps) == (2, ())
    assert AGAIN in deployed(story).reasons[0]
    assert story.house.mutating_calls() == ["ecs:RegisterTaskDefinition"]
    assert story.runs() == {released[0]: 4}


def test_pulls_that_were_denied_since_the_alarm_are_seen_before_the_deployment_is_planned(
    open_house: OpenHouse, tmp_path: Path
):
    story = a_story(open_house, tmp_path, contain={"block": DENIES})
    story.play_until(Phase.REMEDIATE)
    let, *others = deployed(story).steps
    assert isinstance(let, SetRepositoryPolicy)
    assert [step.kind for step in others] == ["register-task-definition", "deploy-service"]
    assert denies_pulls(let.expects)
    assert denies_pulls(let.leaves)
    assert story.runs() == {built(story): 4}


def test_pulls_that_are_denied_for_an_image_that_nobody_runs_are_denied_to_the_one_beside_it(
    open_house: OpenHouse, tmp_path: Path
):
    story = a_story(open_house, tmp_path, contain=WHEN_EXPLOITED, beside=LIBEXPAT)
    story.play_until(Phase.REMEDIATE)
    exploited_one, running_one = story.run.cases
    contain = story.house.history().plan(Phase.CONTAIN)
    assert contain is not None
    assert (contain.cases, deployed(story).cases) == ((exploited_one,), (running_one,))
    assert [step.kind for step in deployed(story).steps] == [
        "set-repository-policy",
        "register-task-definition",
        "deploy-service",
    ]
    assert story.runs() == {built(story): 4}


def test_an_exploit_that_becomes_known_while_the_image_is_built_blocks_it_before_the_deployment_is_planned(
    open_house: OpenHouse, tmp_path: Path
):
    story = a_story(open_house, tmp_path, contain=WHEN_EXPLOITED)
    story.play_until(Phase.REBUILD, waits=True)
    assert story.ended(Phase.CONTAIN) is None
    exploited(story)
    story.again()
    story.play_until(Phase.REMEDIATE)
    assert story.house.mutating_calls()[:5] == [
        "codebuild:StartBuild",
        "ecr:SetRepositoryPolicy",
        "ecr:SetRepositoryPolicy",
        "ecs:RegisterTaskDefinition",
        "ecs:UpdateService",
    ]
    assert isinstance(deployed(story).steps[0], SetRepositoryPolicy)
    assert story.runs() == {built(story): 4}
