"""An alias is shifted by a canary that waits, is watched, and goes back; each part is found again by anyone."""

from __future__ import annotations

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.alias_mark import AliasMark
from runbooks.errors import AnswerLost
from runbooks.steps import ShiftAlias
from tests.tasks.gateways.aws_world import AwsWorld, operation, statuses
from tests.tasks.gateways.function_world import (
    ALARM,
    NAME,
    WORDS,
    a_shift,
    alias,
    carry_out,
    furnish,
    set_alarm,
    updated_and_published,
)

CANARY = ("1", {"2": 0.1})
SHIFTING = "UpdateAlias"


@pytest.fixture
def step(aws: AwsWorld) -> ShiftAlias:
    updated_and_published(aws, furnish(aws))
    return a_shift()


def keep_ready(aws: AwsWorld) -> None:
    aws.client("lambda").put_provisioned_concurrency_config(
        FunctionName=NAME, Qualifier="live", ProvisionedConcurrentExecutions=2
    )


def begun(aws: AwsWorld, step: ShiftAlias) -> ShiftAlias:
    aws.look(step)
    aws.act(step)
    return step


def test_a_share_goes_there_first_and_the_description_says_whose_doing_it_is(aws: AwsWorld, step: ShiftAlias):
    begun(aws, step)
    version, weights, description = alias(aws)
    assert (version, weights) == CANARY
    mark = AliasMark.of(description)
    assert mark is not None
    assert (mark.operation, mark.went_back) == (operation(step), None)
    assert description.endswith(WORDS)


def test_it_bakes_for_its_minutes_and_then_takes_all_in_one_call(aws: AwsWorld, step: ShiftAlias):
    begun(aws, step)
    (look,) = aws.look(step)
    assert look.status == "in-progress"
    assert look.detail.startswith("10 % of the calls go to version 2, baking until ")
    aws.sandbox.advance(9 * 60)
    assert statuses(aws.look(step)) == ["in-progress"]
    aws.sandbox.advance(61)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("half-done", "all calls go to version 2 now")
    aws.act(step)
    assert alias(aws) == ("2", {}, WORDS)
    assert statuses(aws.look(step)) == ["as-left"]
    first, last = aws.parameters(SHIFTING)
    assert first["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
    assert (last["FunctionVersion"], last["RoutingConfig"]) == ("2", {"AdditionalVersionWeights": {}})


def test_an_alarm_that_is_raised_meanwhile_leads_back_and_stays_a_failure(aws: AwsWorld, step: ShiftAlias):
    begun(aws, step)
    set_alarm(aws, "ALARM")
    (look,) = aws.look(step)
    assert (look.status, look.detail) == ("half-done", f"going back: alarm {ALARM} is raised")
    aws.act(step)
    version, weights, description = alias(aws)
    assert (version, weights) == ("1", {})
    assert description == f"[{operation(step)} went back: alarm {ALARM} is raised] {WORDS}"
    set_alarm(aws, "OK")
    aws.forget_everything()
    (look,) = aws.look(step)
    assert look.status == "failed"
    assert look.detail == f"alias live was put back to version 1: alarm {ALARM} is raised"


def test_an_alarm_that_is_taken_away_meanwhile_leads_back_too(aws: AwsWorld, step: ShiftAlias):
    begun(aws, step)
    aws.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])
    (look,) = aws.look(step)
    assert (look.status, look.detail) == (
        "half-done",
        f"going back: alarm {ALARM} does not exist, so that it watches nothing",
    )


@pytest.mark.parametrize(("state", "words"), [("ALARM", "is raised"), (None, "does not exist")])
def test_it_does_not_begin_while_nothing_would_lead_back(
    aws: AwsWorld, step: ShiftAlias, state: str | None, words: str
):
    if state is None:
        aws.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])
    else:
        set_alarm(aws, state)
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert words in look.detail


@pytest.mark.parametrize("act", range(3))
def test_each_call_whose_answer_was_lost_is_found_again(aws: AwsWorld, step: ShiftAlias, act: int):
    """The canary, the way on and the way back."""
    if act:
        begun(aws, step)
        if act == 1:
            aws.sandbox.advance(601)
        else:
            set_alarm(aws, "ALARM")
    aws.look(step)
    aws.fault(f"lambda:{SHIFTING}", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(AnswerLost):
        aws.act(step)
    aws.forget_everything()
    assert statuses(aws.look(step)) == [("in-progress", "as-left", "failed")[act]]
    assert len(aws.parameters(SHIFTING)) == (1 if act == 0 else 2)


def test_somebody_elses_deployment_is_not_disturbed(aws: AwsWorld, step: ShiftAlias):
    client = aws.client("lambda")
    client.update_alias(
        FunctionName=NAME, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}}, Description="theirs"
    )
    (look,) = aws.look(step)
    assert (look.status, look.detail) == (
        "drifted",
        "alias live serves version 1 and, for 50%, 2, and the plan found 1",
    )


def test_a_canary_that_somebody_else_moves_is_left_to_them(aws: AwsWorld, step: ShiftAlias):
    begun(aws, step)
    client = aws.client("lambda")
    client.update_alias(FunctionName=NAME, Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    (look,) = aws.look(step)
    assert look.status == "drifted"
    assert look.detail.startswith("somebody else moved alias live during its canary")


def test_a_canary_is_undone_from_the_middle_as_from_the_end(aws: AwsWorld, step: ShiftAlias):
    before = alias(aws)
    begun(aws, step)
    undo = step.undo
    assert undo is not None
    aws.operations.clear()
    assert statuses(aws.look(undo)) == ["as-expected"]
    aws.act(undo)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert alias(aws) == before


def test_what_aws_itself_still_sends_to_the_former_version_is_waited_for_and_is_nobodys_drift(
    aws: AwsWorld, step: ShiftAlias
):
    """An alias with provisioned concurrency serves its former version until the other one's environments are ready."""
    keep_ready(aws)
    begun(aws, step)
    aws.sandbox.advance(601)
    aws.look(step)
    aws.act(step)
    assert alias(aws) == ("2", {"1": 1.0}, WORDS)
    (look,) = aws.look(step)
    assert (look.status, look.detail) == (
        "in-progress",
        "AWS is bringing the calls of alias live to version 2: it serves version 2 and, for 100%, 1",
    )
    aws.sandbox.advance(10)
    assert statuses(aws.look(step)) == ["as-left"]
    assert alias(aws) == ("2", {}, WORDS)
    assert len(aws.parameters(SHIFTING)) == 2


def test_the_way_back_too_waits_for_what_aws_itself_still_sends_on(aws: AwsWorld, step: ShiftAlias):
    before = alias(aws)
    assert carry_out(aws, step) == "as-left"
    keep_ready(aws)
    undo = step.undo
    assert undo is not None
    aws.look(undo)
    aws.act(undo)
    assert alias(aws) == ("1", {"2": 1.0}, WORDS)
    assert statuses(aws.look(undo)) == ["in-progress"]
    aws.sandbox.advance(10)
    assert statuses(aws.look(undo)) == ["as-left"]
    assert alias(aws) == before


def test_another_version_beside_the_new_one_is_somebody_elses_doing(aws: AwsWorld, step: ShiftAlias):
    assert carry_out(aws, step) == "as-left"
    client = aws.client("lambda")
    client.update_function_configuration(FunctionName=NAME, Timeout=99)
    aws.sandbox.advance(5)
    client.publish_version(FunctionName=NAME, Description="theirs")
    aws.sandbox.advance(5)
    client.update_alias(FunctionName=NAME, Name="live", RoutingConfig={"AdditionalVersionWeights": {"3": 0.5}})
    assert statuses(aws.look(step)) == ["drifted"]


def test_what_others_published_is_not_undone(aws: AwsWorld, step: ShiftAlias):
    client = aws.client("lambda")
    client.update_function_configuration(FunctionName=NAME, Timeout=99)
    aws.sandbox.advance(5)
    client.publish_version(FunctionName=NAME, Description="theirs")
    aws.sandbox.advance(5)
    client.update_alias(FunctionName=NAME, Name="live", FunctionVersion="3")
    undo = step.undo
    assert undo is not None
    (look,) = aws.look(undo)
    assert (look.status, "did not publish" in look.detail) == ("drifted", True)


def test_without_the_plans_own_version_nothing_is_shifted(aws: AwsWorld):
    furnish(aws)
    (look,) = aws.look(a_shift())
    assert (look.status, look.detail) == ("drifted", f"{NAME} has no version that this plan has published")


def test_a_long_description_is_whole_again_in_the_end(aws: AwsWorld):
    updated_and_published(aws, furnish(aws))
    words = "w" * 256
    aws.client("lambda").update_alias(FunctionName=NAME, Name="live", Description=words)
    step = begun(aws, a_shift(description=words, bake_minutes=0))
    assert len(alias(aws)[2]) <= 256
    assert statuses(aws.look(step)) == ["half-done"]
    aws.act(step)
    assert alias(aws) == ("2", {}, words)
