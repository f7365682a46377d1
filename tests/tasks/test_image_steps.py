"""The executor with the steps about a repository, its pipeline and its images: each done once, whatever dies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from runbooks.case import CaseKey
from runbooks.event import read_payload
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.steps import Step
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.gateways.image_world import (
    EXPIRES_ALL_BUT_ONE,
    REASON,
    REPOSITORY,
    a_closing,
    a_denial,
    a_lifecycle,
    a_mutability,
    a_rebuild,
    a_tag_removal,
    an_archiving,
)
from tests.tasks.harness import House, Run
from tests.tasks.shaky import Blow, Died, Shaky

CALLS = [
    "codepipeline:DisableStageTransition",
    "ecr:BatchDeleteImage",
    "ecr:UpdateImageStorageClass",
    "ecr:StartLifecyclePolicyPreview",
    "ecr:PutLifecyclePolicy",
    "ecr:PutImageTagMutability",
    "codebuild:StartBuild",
    "ecr:SetRepositoryPolicy",
]


@dataclass
class Striking(Shaky):
    """Breaks at the first call of one operation."""

    at: str = ""

    def _strikes(self, blow: Blow, count: int, name: str) -> bool:
        if self.struck or self.blow != blow or name != self.at:
            return False
        self.struck = name
        return True


def furnished(open_house: OpenHouse) -> House:
    """A house whose one case is about an image that nobody runs."""
    house = open_house()
    options = ImageOptions(account=ACCOUNT, region=REGION, repository=REPOSITORY)
    house.built.append(furnish_image(house.sandbox.cloud, options))
    (finding,) = read_payload(json.dumps(house.built[0]["event"], default=str)).findings
    house.ledger.take_finding(CaseKey.of(finding, house.runbook.name), finding, "webhook")
    return house


def steps_of(house: House, case: str) -> list[Step]:
    digest = house.built[0]["digest"]
    steps = [
        a_closing(),
        a_tag_removal(digest),
        an_archiving(digest),
        a_lifecycle(),
        a_mutability(),
        a_rebuild(),
        # Last: it keeps the image's own manifest from being read.
        a_denial(),
    ]
    return [step.model_copy(update={"cases": (case,)}) for step in steps]


def the_plan(run: Run, steps: Sequence[Step], revision: int = 1) -> Plan:
    runbook = run.house.runbook
    return Plan(
        response=run.house.response,
        runbook=runbook.name,
        runbook_digest=runbook.digest,
        phase=Phase.VERIFY,
        revision=revision,
        cases=run.cases,
        steps=tuple(steps),  # type: ignore[arg-type]
        reasons=("tried out",),
        approval=ApprovalRule(required=False),
    )


def carried_out(run: Run, plan: Plan) -> dict[str, str]:
    run.journal.write(*([] if plan.digest in run.journal.history().plans else [made(plan)]))
    return run.approved(plan).carry_out(plan)


def world(house: House) -> dict[str, Any]:
    """All that the steps change."""
    ecr, pipeline = house.client("ecr"), house.client("codepipeline").get_pipeline_state(name="checkout")
    described = ecr.describe_images(repositoryName=REPOSITORY, filter={"imageStatus": "ANY"})["imageDetails"]
    (repository,) = ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    return {
        "images": {raw["imageDigest"]: (raw["imageStatus"], sorted(raw.get("imageTags", ()))) for raw in described},
        "mutability": repository["imageTagMutability"],
        "policy": text_of(ecr, "get_repository_policy", "policyText"),
        "lifecycle": text_of(ecr, "get_lifecycle_policy", "lifecyclePolicyText"),
        "stages": {
            state["stageName"]: state.get("inboundTransitionState", {}).get("disabledReason")
            for state in pipeline["stageStates"]
        },
    }


def text_of(client: Any, operation: str, member: str) -> str | None:
    try:
        return getattr(client, operation)(repositoryName=REPOSITORY)[member]
    except client.exceptions.ClientError as error:
        assert error.response["Error"]["Code"].endswith("PolicyNotFoundException")
        return None


def test_every_step_is_done_once_and_its_undo_puts_back_exactly_what_was_there(open_house: OpenHouse):
    house = furnished(open_house)
    before = world(house)
    run = house.start()
    plan = the_plan(run, steps_of(house, run.cases[0]))
    assert set(carried_out(run, plan).values()) == {"done"}
    assert house.mutating_calls() == CALLS
    after = world(house)
    assert after["images"][house.built[0]["digest"]] == ("ARCHIVED", ["1.4.2"])
    assert (after["mutability"], after["lifecycle"]) == ("IMMUTABLE", EXPIRES_ALL_BUT_ONE)
    assert after["stages"]["Production"] == REASON
    undo = the_plan(run, [undo for step in reversed(plan.steps) if (undo := step.undo)], revision=2)
    assert set(carried_out(run, undo).values()) == {"done"}
    back = world(house)
    # The image that was built stays, as its step says.
    (new,) = set(back["images"]) - set(before["images"])
    del back["images"][new]
    assert back == before


@pytest.mark.parametrize("blow", ["dies before the call", "dies after the call", "answer lost"])
def test_whatever_call_it_dies_at_each_is_sent_once_and_the_end_is_the_same(open_house: OpenHouse, blow: Blow):
    for name in CALLS:
        house = furnished(open_house)
        run = house.start()
        plan = the_plan(run, steps_of(house, run.cases[0]))
        run.journal.write(made(plan))
        run = run.approved(plan)
        shaky = house.shake(Striking(blow=blow, at=name))
        try:
            run.carry_out(plan)
        except Died:
            house.shake(Shaky())
            run = house.take_over(after_a_death=True)
            run.carry_out(plan)
        assert shaky.struck == name
        outcomes = house.history().step_outcomes(plan)
        assert {step.key: outcomes[step.key].status for step in plan.steps} == {step.key: "done" for step in plan.steps}
        assert house.mutating_calls() == CALLS, name
