"""The executor patches an image in place: whatever dies, copa is run until its image stands under the tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from runbooks.case import CaseKey
from runbooks.errors import Halted
from runbooks.event import read_payload
from runbooks.plan import Plan
from tasks.gateways import copacetic
from tasks.gateways.actions.image_patching import BY_COPA
from tests.runbooks.signatures import made
from tests.tasks.aftermath import statuses_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.gateways.copa import Copa, a_patch, pushing
from tests.tasks.gateways.image_world import NEW_TAG, REPOSITORY
from tests.tasks.harness import House, Run
from tests.tasks.shaky import Died, Shaky
from tests.tasks.test_image_steps import Striking, the_plan


@pytest.fixture
def copa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copa:
    monkeypatch.setattr(copacetic, "ASKS_EVERY_SECONDS", 0.05)
    return Copa.install(tmp_path, monkeypatch)


def begun(open_house: OpenHouse, copa: Copa) -> tuple[House, Run, Plan]:
    """A house whose one case is about an image that is to be patched, by an approved plan."""
    house = open_house()
    house.built.append(
        furnish_image(house.sandbox.cloud, ImageOptions(account=ACCOUNT, region=REGION, repository=REPOSITORY))
    )
    (finding,) = read_payload(json.dumps(house.built[0]["event"], default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    copa.tell(**pushing(house.sandbox, house.built[0]["digest"]))
    run = house.start()
    plan = the_plan(run, [a_patch(house.built[0], cases=run.cases)])
    run.journal.write(made(plan))
    return house, run.approved(plan), plan


def tagged(house: House) -> list[str]:
    described = house.client("ecr").describe_images(repositoryName=REPOSITORY)["imageDetails"]
    return [raw["imageDigest"] for raw in described if NEW_TAG in raw.get("imageTags", ())]


def is_patched_once(house: House, plan: Plan) -> None:
    """By one image, which stands under the tag and is the outcome's."""
    (step,) = plan.steps
    outcome = house.history().step_outcomes(plan)[step.key]
    assert (outcome.status, outcome.result) == ("done", {"build": BY_COPA, "digest": tagged(house)[0]})
    assert house.mutating_calls().count("ecr:PutImage") == 1


def test_an_image_is_patched_and_its_digest_is_the_outcome(open_house: OpenHouse, copa: Copa) -> None:
    house, run, plan = begun(open_house, copa)
    run.carry_out(plan)
    is_patched_once(house, plan)
    assert len(copa.calls) == 1


@pytest.mark.parametrize(
    ("blow", "at", "calls"),
    [
        ("dies before the call", "ecr:GetAuthorizationToken", 1),
        ("dies after the call", "ecr:GetAuthorizationToken", 1),
        ("dies before the commit", "outcome", 1),
    ],
)
def test_whatever_it_dies_at_the_image_is_patched_once(
    open_house: OpenHouse, copa: Copa, blow: Any, at: str, calls: int
) -> None:
    house, run, plan = begun(open_house, copa)
    shaky = house.shake(Striking(blow=blow, at=at))
    with pytest.raises(Died):
        run.carry_out(plan)
    assert shaky.struck == at
    house.shake(Shaky())
    house.take_over(after_a_death=True).carry_out(plan)
    is_patched_once(house, plan)
    assert len(copa.calls) == calls


def interrupted(house: House, copa: Copa, run: Run, plan: Plan, by: BaseException) -> None:
    """Something happens while copa is at work."""
    asked: list[str] = []

    def watch(name: str) -> None:
        asked.append(name)
        if asked.count("PutImage") == 2:
            copa.until_it_waits()
            raise by

    copa.tell(waits=True)
    house.watch = watch
    if isinstance(by, Halted):
        progress = run.once(plan, next(iter(plan.stages())))
        assert (progress.held, progress.waiting) == ("halted", "stop")
    else:
        with pytest.raises(type(by)):
            run.carry_out(plan)
    assert (len(copa.calls), tagged(house)) == (1, [])
    copa.tell(waits=False)
    house.watch = lambda name: None


@pytest.mark.parametrize("by", [Died("ecr:PutImage"), Halted("stop")], ids=["dies", "halted"])
def test_a_patch_that_was_interrupted_is_begun_anew(open_house: OpenHouse, copa: Copa, by: BaseException) -> None:
    house, run, plan = begun(open_house, copa)
    interrupted(house, copa, run, plan, by)
    house.take_over(after_a_death=True).carry_out(plan)
    is_patched_once(house, plan)
    assert len(copa.calls) == 2


def test_a_patch_that_fails_is_told_with_what_copa_said_and_is_not_tried_again(
    open_house: OpenHouse, copa: Copa
) -> None:
    house, run, plan = begun(open_house, copa)
    copa.tell(manifest=None, ends=1, says="unsupported osType")
    run.carry_out(plan)
    (step,) = plan.steps
    assert statuses_of(house, plan) == {step.key: "failed"}
    outcome = house.history().step_outcomes(plan)[step.key]
    assert outcome.detail == "copa-failed: copa ended with exit code 1: unsupported osType"
    assert (len(copa.calls), tagged(house)) == (1, [])
