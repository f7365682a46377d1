"""Blocking promotion: which stages are closed, what denying pulls would break, and what is left alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.container_image import ImageFunction
from runbooks.errors import LimitExceeded, Refused
from runbooks.lifecycle_policy import same_policy
from runbooks.plan import Extent, Phase
from runbooks.planning.images.promotion import (
    LONGEST_REASON,
    closing_reason,
    plan_promotion_block,
    transition_reason,
)
from runbooks.repository_policy import denies_pulls, with_pulls_denied
from runbooks.steps import SetRepositoryPolicy, SetStageTransition
from runbooks.steps.image_promotion import is_our_reason
from runbooks.triage import assess
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
CLOSED: dict[str, Any] = {
    "stages": (a_stage(enabled=False, reason=closing_reason("shop/basket", "resp-another")),),
    "repository": a_repository(policy=with_pulls_denied(None)),
}
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


def test_a_denial_leaves_out_whoever_reads_the_repository_for_this_system() -> None:
    reader = "arn:aws:iam::210987654321:role/remediation-runbooks-read"
    runbook = an_image_runbook(**DENIES)
    assessment = an_image_assessment(runbook=runbook, repository=a_repository(reader=reader))
    (step,) = plan_promotion_block(RESPONSE, runbook, [assessment]).steps
    assert isinstance(step, SetRepositoryPolicy)
    assert step.leaves == with_pulls_denied(None, (), reader)
    assert reader in (step.leaves or "")


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


def test_a_stage_that_another_response_has_closed_is_closed_for_these_cases_too() -> None:
    """So that the ledger has it that they count on it: the step finds nothing to do."""
    runbook = an_image_runbook()
    theirs = closing_reason("shop/basket", "resp-another")
    plan = plan_promotion_block(
        RESPONSE, runbook, [an_image_assessment(runbook=runbook, stages=(a_stage(enabled=False, reason=theirs),))]
    )
    (step,) = plan.steps
    assert isinstance(step, SetStageTransition)
    assert (step.cases, step.enabled, step.reason) == ((IMAGE_CASE,), False, REASON)
    told = f"the way into checkout/Production is closed already ({theirs})"
    assert f"{told}: it stays so until the last case that counts on it is released" in plan.not_covered


def test_a_denial_of_another_response_is_stated_again_with_what_there_was_before_it() -> None:
    runbook = an_image_runbook(**DENIES)
    former = '{"Version": "2012-10-17", "Statement": [{"Sid": "Pull", "Effect": "Allow"}]}'
    denied = with_pulls_denied(former)
    plan = plan_promotion_block(
        RESPONSE, runbook, [an_image_assessment(runbook=runbook, repository=a_repository(policy=denied))]
    )
    (step,) = plan.steps
    assert isinstance(step, SetRepositoryPolicy)
    assert (step.cases, step.leaves) == ((IMAGE_CASE,), denied)
    assert same_policy(step.expects, former)
    assert "pulls are denied already, by an earlier plan of this system: " in " ".join(plan.not_covered)


def test_what_was_closed_for_the_very_cases_before_is_not_asked_about_again() -> None:
    runbook = an_image_runbook(contain={"block": {"deny_pulls": True, "stages": ("checkout/Production",)}})
    before, new = (an_image_case(of=digest(number), **CLOSED) for number in (1, 2))
    known = before.model_copy(update={"contained": True})
    assert plan_promotion_block(RESPONSE, runbook, [assess(known, runbook)]).steps == ()
    plan = plan_promotion_block(RESPONSE, runbook, [assess(known, runbook), assess(new, runbook)])
    assert [step.cases for step in plan.steps] == [(new.case,), (new.case,)]


def test_what_somebody_has_opened_meanwhile_is_closed_again_for_all() -> None:
    runbook = an_image_runbook()
    cases = [an_image_case(of=digest(number)) for number in (1, 2)]
    known = [cases[0].model_copy(update={"contained": True}), cases[1]]
    plan = plan_promotion_block(RESPONSE, runbook, [assess(each, runbook) for each in known])
    assert [step.cases for step in plan.steps] == [tuple(each.case for each in cases)]


def test_functions_are_told_to_fail_where_pulls_are_denied() -> None:
    runbook = an_image_runbook(**DENIES)
    function = ImageFunction(account=ACCOUNT, region=REGION, name="export", arn="arn", alias="live", version="1")
    (step,) = plan_promotion_block(
        RESPONSE, runbook, [an_image_assessment(runbook=runbook, functions=(function,))]
    ).steps
    assert "a function fails as soon as Lambda fetches its image anew" in step.describe()


def test_a_reason_keeps_the_name_of_its_response_however_long_the_repositorys_is() -> None:
    reason = closing_reason("shop/" + "x" * 400, RESPONSE)
    assert len(reason) <= LONGEST_REASON
    assert reason.endswith(f" (remediation {RESPONSE})")
    assert is_our_reason(reason)
    assert closing_reason(NAME, RESPONSE) == REASON
    for other in (None, "", "freeze until Monday", f"{reason} no more", "(remediation )"):
        assert not is_our_reason(other)


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
