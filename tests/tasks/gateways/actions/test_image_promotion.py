from __future__ import annotations

import json

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.errors import AnswerLost
from runbooks.repository_policy import with_pulls_denied, with_pulls_for
from runbooks.steps.base import Role
from tests.tasks.gateways.aws_world import AwsWorld, statuses
from tests.tasks.gateways.image_world import DENIES, REASON, REPOSITORY, a_closing, a_denial, furnish, undo_of

PULLER = "arn:aws:iam::210987654321:role/checkout-execution"
PULLS_FROM_ELSEWHERE = (
    '{ "Statement": [{"Sid": "Pull", "Effect": "Allow", "Action": "ecr:BatchGetImage",\n'
    '"Principal": {"AWS": "arn:aws:iam::111122223333:root"}}], "Version": "2012-10-17" }'
)


def transition(aws: AwsWorld) -> dict[str, object]:
    state = aws.client("codepipeline").get_pipeline_state(name="checkout")
    return next(each["inboundTransitionState"] for each in state["stageStates"] if each["stageName"] == "Production")


def policy(aws: AwsWorld) -> str:
    return aws.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"]


def give_policy(aws: AwsWorld, text: str) -> None:
    aws.client("ecr", Role.CONTAIN).set_repository_policy(repositoryName=REPOSITORY, policyText=text)
    aws.sandbox.cloud.record.clear()


def test_a_stage_is_closed_with_a_reason_that_codepipeline_takes_and_opened_again(aws: AwsWorld):
    furnish(aws)
    step = a_closing()
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"enabled": True, "reason": None})
    assert aws.act(step) == {"enabled": False, "reason": REASON}
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-left", {"enabled": False, "reason": REASON})
    assert look.result == look.found
    assert transition(aws)["disabledReason"] == REASON
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert transition(aws)["enabled"] is True


def test_other_stages_of_the_pipeline_stay_open(aws: AwsWorld):
    furnish(aws)
    aws.act(a_closing())
    state = aws.client("codepipeline").get_pipeline_state(name="checkout")
    assert {
        each["stageName"]: each.get("inboundTransitionState", {}).get("enabled") for each in state["stageStates"]
    } == {
        "Source": None,
        "Build": True,
        "Staging": True,
        "Production": False,
    }


def test_a_stage_that_somebody_else_closed_is_not_opened(aws: AwsWorld):
    furnish(aws)
    client = aws.client("codepipeline", Role.CONTAIN)
    client.disable_stage_transition(
        pipelineName="checkout", stageName="Production", transitionType="Inbound", reason="freeze until Monday"
    )
    assert statuses(aws.look(a_closing())) == ["as-left"]
    (look,) = aws.look(undo_of(a_closing()))
    assert look.status == "drifted"
    assert "freeze until Monday" in look.detail
    assert transition(aws)["enabled"] is False


@pytest.mark.parametrize("elsewhere", [{"pipeline": "billing"}, {"stage": "Canary"}])
def test_a_stage_that_is_gone_is_drift(aws: AwsWorld, elsewhere: dict[str, str]):
    furnish(aws)
    (look,) = aws.look(a_closing(**elsewhere))
    assert look.status == "drifted"
    assert look.detail.endswith("does not exist any more")


def test_a_closing_whose_answer_was_lost_is_found(aws: AwsWorld):
    furnish(aws)
    aws.look(a_closing())
    aws.fault("codepipeline:DisableStageTransition", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(a_closing())
    aws.forget_everything()
    assert statuses(aws.look(a_closing())) == ["as-left"]


def test_stages_of_one_pipeline_are_read_in_one_call(aws: AwsWorld):
    furnish(aws)
    aws.look(a_closing(), a_closing(stage="Staging"))
    assert aws.calls() == ["codepipeline:GetPipelineState"]


def test_pulls_are_denied_and_the_very_text_from_before_is_put_back(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, PULLS_FROM_ELSEWHERE)
    step = a_denial(expects=PULLS_FROM_ELSEWHERE)
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"policy": PULLS_FROM_ELSEWHERE})
    aws.act(step)
    assert statuses(aws.look(step)) == ["as-left"]
    assert json.loads(policy(aws)) == json.loads(DENIES)
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert policy(aws) == PULLS_FROM_ELSEWHERE


def test_a_repository_without_a_policy_is_left_without_one(aws: AwsWorld):
    furnish(aws)
    step = a_denial()
    (look,) = aws.look(step)
    assert (look.status, look.found) == ("as-expected", {"policy": None})
    aws.act(step)
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    with pytest.raises(aws.client("ecr").exceptions.RepositoryPolicyNotFoundException):
        policy(aws)
    assert aws.calls(mutating=True) == ["ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy"]


def test_a_policy_is_compared_by_what_it_says_and_not_by_how_it_is_written(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, json.dumps(json.loads(PULLS_FROM_ELSEWHERE), separators=(",", ":")))
    assert statuses(aws.look(a_denial(expects=PULLS_FROM_ELSEWHERE))) == ["as-expected"]


def test_a_policy_that_was_changed_since_the_plan_stays_as_it_is(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, PULLS_FROM_ELSEWHERE)
    (look,) = aws.look(a_denial(expects=None))
    assert (look.status, look.detail) == ("drifted", "the policy is another one since the plan was made")
    assert policy(aws) == PULLS_FROM_ELSEWHERE


@pytest.mark.parametrize("former", [None, PULLS_FROM_ELSEWHERE])
def test_our_denial_is_taken_away_with_whomever_a_deployment_has_it_leave_out(aws: AwsWorld, former: str | None):
    furnish(aws)
    step = a_denial(expects=former, leaves=with_pulls_denied(former))
    give_policy(aws, with_pulls_for(with_pulls_denied(former), (PULLER,)))
    undo = undo_of(step)
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    if former is not None:
        assert policy(aws) == former


def test_what_somebody_else_has_put_beside_our_denial_is_not_replaced_by_what_there_was_before(aws: AwsWorld):
    furnish(aws)
    step = a_denial(leaves=with_pulls_denied(None))
    give_policy(aws, with_pulls_denied(PULLS_FROM_ELSEWHERE))
    assert statuses(aws.look(undo_of(step))) == ["drifted"]


def test_only_a_step_that_puts_back_takes_another_denial_for_ours(aws: AwsWorld):
    furnish(aws)
    give_policy(aws, with_pulls_for(with_pulls_denied(None), (PULLER,)))
    assert statuses(aws.look(a_denial(leaves=with_pulls_denied(None)))) == ["drifted"]


def test_a_policy_of_a_repository_that_is_gone_is_drift(aws: AwsWorld):
    furnish(aws)
    (look,) = aws.look(a_denial(repository="shop/billing"))
    assert (look.status, look.detail) == ("drifted", "repository shop/billing does not exist any more")


def test_a_denial_whose_answer_was_lost_is_found(aws: AwsWorld):
    furnish(aws)
    aws.look(a_denial())
    aws.fault("ecr:SetRepositoryPolicy", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(a_denial())
    aws.forget_everything()
    assert statuses(aws.look(a_denial())) == ["as-left"]
