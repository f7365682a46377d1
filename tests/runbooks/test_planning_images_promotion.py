"""Blocking promotion: which stages are closed, what denying pulls would break, and what is left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.errors import LimitExceeded, Refused
from runbooks.plan import Extent, Phase
from runbooks.planning.images.promotion import plan_promotion_block, transition_reason
from runbooks.repository_policy import denies_pulls, with_pulls_denied
from runbooks.steps import SetRepositoryPolicy, SetStageTransition
from tests.runbooks.builders import ACCOUNT, REGION, RESPONSE, a_target
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    NAME,
    a_repository,
    a_stage,
    an_image_assessment,
    an_image_case,
    an_image_key,
    an_image_runbook,
    digest,
)

DENIES = {"contain": {"block": {"deny_pulls": True, "stages": ()}}}
REASON = "shop-checkout has a critical vulnerability (remediation response-0001)"


def test_the_stage_is_closed_with_a_reason_that_codepipeline_takes() -> None:
    runbook = an_image_runbook()
    assessment = an_image_assessment(runbook=runbook)
    plan = plan_promotion_block(RESPONSE, runbook, [assessment], revision=2)
    assert plan.steps == (
        SetStageTransition(
            target=a_target("pipeline-stage", "checkout/Production"),
            cases=(IMAGE_CASE,),
            pipeline="checkout",
            stage="Production",
            enabled=False,
            reason=REASON,
        ),
    )
    assert (plan.phase, plan.revision, plan.cases) == (Phase.CONTAIN, 2, (IMAGE_CASE,))
    assert plan.reasons == assessment.triage.reasons
    assert plan.releases_when_fixed
    assert plan.approval.required
    assert plan.environments == ("production",)
    assert plan.not_covered == (
        "what is in a stage already goes on to its end",
        "nobody is kept from pulling the image: what runs may restart and scale out with it",
        "the gate refuses the image as long as its case is open, whatever becomes of this plan",
    )


def test_what_somebody_else_has_closed_is_left_to_them_and_what_is_not_there_is_said() -> None:
    runbook = an_image_runbook(contain={"block": {"stages": ("checkout/Production", "basket/Production")}})
    stages = (a_stage(enabled=False, reason="holidays"),)
    plan = plan_promotion_block(RESPONSE, runbook, [an_image_assessment(runbook=runbook, stages=stages)])
    assert plan.steps == ()
    assert plan.not_covered[1:3] == (
        "the way into checkout/Production is closed already (holidays): it is left so, and is not opened afterwards",
        "there is no stage basket/Production, which the runbook names: nothing is closed there",
    )


def test_denying_pulls_says_whom_it_hits_and_keeps_the_policy_that_was_there() -> None:
    policy = '{"Version": "2008-10-17", "Statement": []}'
    runbook = an_image_runbook(**DENIES)
    assessment = an_image_assessment(runbook=runbook, repository=a_repository(policy=policy))
    plan = plan_promotion_block(RESPONSE, runbook, [assessment])
    (step,) = plan.steps
    assert isinstance(step, SetRepositoryPolicy)
    assert (step.repository, step.expects, step.leaves) == (NAME, policy, with_pulls_denied(policy))
    assert denies_pulls(step.leaves)
    assert step.describe() == (
        "Deny pulls from repository shop/checkout: what runs goes on, and what restarts or scales out fails, with "
        "every image of the repository: service checkout (4 tasks) and service basket (2 tasks)"
    )
    undo = step.undo
    assert isinstance(undo, SetRepositoryPolicy)
    assert undo.leaves == policy
    assert "the integration test pulls the patched image from here" in " ".join(plan.not_covered)


def test_pulls_that_are_denied_already_are_left_so() -> None:
    runbook = an_image_runbook(**DENIES)
    repository = a_repository(policy=with_pulls_denied(None))
    plan = plan_promotion_block(RESPONSE, runbook, [an_image_assessment(runbook=runbook, repository=repository)])
    assert plan.steps == ()
    assert "pulls are denied already, by an earlier plan of this system: that is left so" in plan.not_covered


def test_a_policy_that_cannot_be_read_is_a_persons_matter() -> None:
    runbook = an_image_runbook(**DENIES)
    assessment = an_image_assessment(runbook=runbook, repository=a_repository(policy="no policy"))
    with pytest.raises(Refused) as refused:
        plan_promotion_block(RESPONSE, runbook, [assessment])
    assert refused.value.code == "person"


def test_two_digests_of_a_repository_close_a_stage_once_for_both() -> None:
    runbook = an_image_runbook()
    both = [an_image_assessment(an_image_case(of=digest(number)), runbook) for number in (1, 2)]
    plan = plan_promotion_block(RESPONSE, runbook, both)
    assert [step.cases for step in plan.steps] == [tuple(an_image_key(digest(number)).id for number in (1, 2))]
    assert plan.extents == tuple(
        Extent(
            case=each.case,
            place=f"{ACCOUNT}/{REGION}",
            environment="production",
            services={"shop/checkout": 4, "shop/basket": 2},
        )
        for each in both
    )


def test_more_cases_than_the_runbook_allows_are_refused() -> None:
    runbook = an_image_runbook(limits={"maximum_cases": 1})
    both = [an_image_assessment(an_image_case(of=digest(number)), runbook) for number in (1, 2)]
    with pytest.raises(LimitExceeded, match="2 cases, and ecr-critical-cve allows 1"):
        plan_promotion_block(RESPONSE, runbook, both)


def test_what_is_suspected_of_being_compromised_is_not_opened_by_itself() -> None:
    runbook = an_image_runbook()
    plan = plan_promotion_block(RESPONSE, runbook, [an_image_assessment(runbook=runbook, suspected="jane")])
    assert not plan.releases_when_fixed


def test_who_is_tagged_for_it_is_blocked_without_asking() -> None:
    choice = {"when": [["known-exploit"]], "tags": {"environment": "production"}}
    runbook = an_image_runbook(contain={"pre_authorised": choice})
    plan = plan_promotion_block(RESPONSE, runbook, [an_image_assessment(runbook=runbook)])
    assert plan.approval.pre_authorised is not None
    assert not plan.releases_when_fixed


@given(st.text(max_size=400))
def test_any_reason_fits_what_codepipeline_takes(text: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9!@ \(\)\.\*\?\-]{1,300}", transition_reason(text))


def test_a_reason_that_fits_is_left_as_it_is() -> None:
    assert transition_reason(REASON) == REASON
    assert transition_reason("arn:aws:ecr: x_y/z") == "arn-aws-ecr- x-y-z"
