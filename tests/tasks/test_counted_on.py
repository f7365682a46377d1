"""What another contained case counts on stays closed, and the last case to be released opens it.

Each response is played by the product's own tasks on the sandbox: what is contained, what a release plans, and what it
does when the world or the ledger has moved since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.furnish_function import furnish_function
from deployments.sandbox.furnish_function_options import FunctionOptions
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from runbooks.case import CaseKey
from runbooks.definition import Runbook
from runbooks.in_force import COUNTED_ON
from runbooks.plan import Phase, Plan
from runbooks.repository_policy import denies_pulls
from runbooks.steps import SetRepositoryPolicy, SetStageTransition
from tasks.acting import carry_out_stage
from tasks.containments import contained_by, contained_cases, counted_on
from tasks.gateways.inspector import InspectorGateway
from tasks.planning import make_plan
from tests.runbooks.image_builders import an_image_runbook
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import a_runbook as a_function_runbook
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.harness import House, the_runbook
from tests.tasks.playing import prefect_alone
from tests.tasks.ward import Ward, take_in

REPOSITORY, PIPELINE, STAGE = "shop/checkout", "checkout", "Production"
FORMER = (
    '{"Version": "2012-10-17", "Statement": [{"Sid": "Pull", "Effect": "Allow", '
    '"Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": ["ecr:BatchGetImage"]}]}'
)
BLOCKS = an_image_runbook(contain={"block": {"stages": (f"{PIPELINE}/{STAGE}",), "deny_pulls": True}})


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def an_image_of(house: House, tag: str, repository: str = REPOSITORY) -> str:
    """Another vulnerable image, and its case."""
    place = {"account": ACCOUNT, "region": REGION, "repository": repository, "tags": (tag,)}
    options = ImageOptions.model_validate(place | {"known_exploited": True})
    return take_in(house, furnish_image(house.sandbox.cloud, options))


def one_more_of(house: House, tag: str) -> str:
    """Another image of the first one's repository, built with the same vulnerability; its case."""
    variables = [{"name": name, "value": value} for name, value in (("IMAGE_TAG", tag), ("PACKAGES", ""))]
    house.client("codebuild").start_build(projectName=house.built[0]["project"], environmentVariablesOverride=variables)
    house.sandbox.advance(120)
    wanted = [{"imageTag": tag}]
    (image,) = house.client("ecr").describe_images(repositoryName=REPOSITORY, imageIds=wanted)["imageDetails"]
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}/{image['imageDigest']}"
    (finding,) = InspectorGateway(house.sessions).findings_of(ACCOUNT, REGION, arn)
    key = CaseKey.of(finding, house.runbook.name)
    house.ledger.take_finding(key, finding, "webhook")
    return key.id


@pytest.fixture
def ward(open_house: OpenHouse, tmp_path: Path) -> tuple[Ward, str, str]:
    """Two images of one repository, which one pipeline takes to production; and its policy lets somebody pull."""
    house = open_house(runbook=BLOCKS)
    one, other = an_image_of(house, "1.4.2"), one_more_of(house, "1.4.3")
    house.client("ecr").set_repository_policy(repositoryName=REPOSITORY, policyText=FORMER)
    house.sandbox.cloud.record.clear()
    return Ward(house, tmp_path), one, other


def way_in(house: House) -> tuple[bool, str | None]:
    stages = house.client("codepipeline").get_pipeline_state(name=PIPELINE)["stageStates"]
    (state,) = (stage["inboundTransitionState"] for stage in stages if stage["stageName"] == STAGE)
    return state["enabled"], state.get("disabledReason")


def policy(house: House) -> dict[str, Any]:
    return json.loads(house.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"])


def is_closed(house: House) -> bool:
    """Both: the way into production, and pulling. They open and close together here."""
    closed, denied = not way_in(house)[0], denies_pulls(json.dumps(policy(house)))
    assert closed == denied
    return closed


def statuses(ward: Ward, plan: Plan) -> dict[str, str]:
    return {key.partition(":")[0]: each.status for key, each in ward.house.history().step_outcomes(plan).items()}


def test_of_two_images_the_one_that_closed_the_stage_is_released_first_and_it_stays_closed_for_the_other(
    ward: tuple[Ward, str, str],
):
    playing, first, second = ward
    house = playing.house
    playing.contain(first)
    reason = way_in(house)[1]
    playing.contain(second)
    assert [type(step) for step in playing.asked[-1].steps] == [SetStageTransition, SetRepositoryPolicy]
    assert statuses(playing, playing.asked[-1]) == {
        "set-stage-transition": "already-done",
        "set-repository-policy": "already-done",
    }
    assert playing.is_contained(second)
    house.sandbox.cloud.record.clear()

    ended = playing.release(first)
    key = house.ledger.case(second)
    assert key is not None
    waits = f"not as long as case {second} ({key.key.name}) counts on it; the last to be released does it"
    assert [words for words in playing.asked[-1].not_covered if words.endswith(waits)] == [
        f"Put the former policy of repository {REPOSITORY} back: {waits}",
        f"Open the way into stage {STAGE} of pipeline {PIPELINE}: {waits}",
    ]
    assert (ended.result, ended.detail.count(waits)) == ("done", 2)
    assert is_closed(house)
    assert house.mutating_calls() == []
    assert (playing.is_contained(first), playing.is_contained(second)) == (False, True)

    assert playing.release(second).result == "done"
    assert way_in(house) == (True, None)
    assert policy(house) == json.loads(FORMER)
    assert house.mutating_calls() == ["ecr:SetRepositoryPolicy", "codepipeline:EnableStageTransition"]
    assert not playing.is_contained(second)
    assert reason is not None


def test_of_two_images_the_one_that_found_it_closed_is_released_first_and_the_very_original_is_put_back_last(
    ward: tuple[Ward, str, str],
):
    playing, first, second = ward
    house = playing.house
    playing.contain(first)
    playing.contain(second)
    assert playing.release(second).result == "done"
    assert is_closed(house)
    assert (playing.is_contained(first), playing.is_contained(second)) == (True, False)
    assert playing.release(first).result == "done"
    assert way_in(house) == (True, None)
    assert house.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"] == FORMER
    assert not playing.is_contained(first)


def test_of_two_images_in_one_response_the_one_that_is_released_by_hand_leaves_it_closed_for_the_other(
    ward: tuple[Ward, str, str],
):
    playing, first, second = ward
    playing.contain(first, second)
    assert playing.release(second).result == "done"
    assert is_closed(playing.house)
    assert (playing.is_contained(first), playing.is_contained(second)) == (True, False)
    assert playing.release(first).result == "done"
    assert not is_closed(playing.house)
    assert house_text(playing) == FORMER


def house_text(playing: Ward) -> str:
    return playing.house.client("ecr").get_repository_policy(repositoryName=REPOSITORY)["policyText"]


def test_both_released_together_open_it_at_once(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    playing.contain(first)
    playing.contain(second)
    assert playing.release(first, second).result == "done"
    assert not is_closed(playing.house)
    assert house_text(playing) == FORMER
    assert [words for words in playing.asked[-1].not_covered if "counts on it" in words] == []


def test_two_repositories_that_feed_one_pipeline_keep_its_stage_closed_for_each_other(
    open_house: OpenHouse, tmp_path: Path
):
    house = open_house(runbook=an_image_runbook(contain={"block": {"stages": (f"{PIPELINE}/{STAGE}",)}}))
    checkout, basket = an_image_of(house, "1.4.2"), an_image_of(house, "7", "shop/basket")
    playing = Ward(house, tmp_path)
    playing.contain(checkout)
    playing.contain(basket)
    playing.release(checkout)
    assert not way_in(house)[0]
    playing.release(basket)
    assert way_in(house) == (True, None)


def test_who_is_contained_after_the_release_was_approved_still_keeps_it_closed(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    house = playing.house
    playing.contain(first)
    waiting = playing.respond(first, purpose="release")
    with playing.running():
        plan = make_plan(Phase.RELEASE)
    playing.answered(plan, "approved")
    assert [words for words in plan.not_covered if "counts on it" in words] == []
    house.ledger.wait(waiting, "release", "an approval", house.now(), lease=playing.run.lease)
    playing.contain(second)

    house.response = waiting
    playing.run = house.take_over()
    playing.go_on(plan)
    assert statuses(playing, plan) == {"set-repository-policy": "already-done", "set-stage-transition": "already-done"}
    assert {tuple(each.result[COUNTED_ON]) for each in house.history().step_outcomes(plan).values()} == {(second,)}
    assert is_closed(house)


def test_who_asked_for_it_before_it_was_opened_closes_it_again(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    house = playing.house
    playing.contain(first)
    waiting = playing.respond(second)
    with playing.running():
        plan = make_plan(Phase.CONTAIN)
    house.ledger.wait(waiting, "contain", "an approval", house.now(), lease=playing.run.lease)
    playing.release(first)
    assert not is_closed(house), "nobody has approved the second one's containment yet"

    house.response = waiting
    playing.run = house.take_over()
    playing.answered(plan, "approved")
    playing.go_on(plan)
    assert statuses(playing, plan) == {"set-stage-transition": "done", "set-repository-policy": "done"}
    assert is_closed(house)
    playing.end("person")
    playing.release(second)
    assert not is_closed(house)
    assert policy(house) == json.loads(FORMER)


def test_killed_in_mid_release_it_leaves_what_somebody_counts_on_since(ward: tuple[Ward, str, str]):
    """The pulls were allowed before the death, and denied again by whom they were to be denied for."""
    playing, first, second = ward
    house = playing.house
    playing.contain(first)
    waiting = playing.respond(first, purpose="release")
    with playing.running():
        plan = make_plan(Phase.RELEASE)
    playing.answered(plan, "approved")
    with playing.running():
        assert carry_out_stage(plan, 0, "the first").finished
    assert not denies_pulls(json.dumps(policy(house)))
    house.ledger.release(playing.run.lease)
    playing.contain(second)
    assert is_closed(house)

    house.response = waiting
    playing.run = house.take_over()
    playing.go_on(plan)
    assert statuses(playing, plan) == {"set-repository-policy": "done", "set-stage-transition": "already-done"}
    assert is_closed(house)


def test_a_stage_that_somebody_else_closed_is_counted_on_by_nobody_and_never_opened(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    house = playing.house
    house.client("codepipeline").disable_stage_transition(
        pipelineName=PIPELINE, stageName=STAGE, transitionType="Inbound", reason="freeze until Monday"
    )
    playing.contain(first)
    playing.contain(second)
    playing.release(first)
    playing.release(second)
    assert way_in(house) == (False, "freeze until Monday")
    assert policy(house) == json.loads(FORMER)


def test_a_case_that_is_closed_keeps_nothing_closed(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    playing.contain(first)
    playing.contain(second)
    playing.house.ledger.close_case(second, playing.house.response, "a person has closed it")
    playing.release(first)
    assert not is_closed(playing.house)


def test_a_containment_that_was_rejected_keeps_nothing_closed(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    playing.contain(first)
    assert playing.contain(second, answer="rejected").result == "rejected"
    playing.release(first)
    assert not is_closed(playing.house)


# --- instances and functions: two runbooks hold a case on one of them ------------------------------------------------


def of_another_runbook(house: House, case: str, runbook: Runbook) -> str:
    """A case of another runbook about the same resource."""
    row = house.ledger.case(case)
    assert row is not None
    key = row.key.model_copy(update={"runbook": runbook.name})
    house.ledger.take_finding(key, house.ledger.case_findings(case)[0], "webhook")
    return key.id


@pytest.mark.parametrize("first_released", ["who isolated it", "who found it isolated"])
def test_an_instance_that_two_runbooks_contain_is_isolated_until_both_let_go(
    open_house: OpenHouse, tmp_path: Path, first_released: str
):
    one, two = the_runbook(), the_runbook().model_copy(update={"name": "another"})
    house = open_house(runbook=one)
    house.furnish(an_event())
    (case,) = (row.id for row in house.ledger.cases("open"))
    other = of_another_runbook(house, case, two)
    interface = house.client("ec2").describe_instances(InstanceIds=[INSTANCE])["Reservations"][0]["Instances"][0][
        "NetworkInterfaces"
    ][0]["NetworkInterfaceId"]
    before = house.groups_of(interface)

    playing = Ward(house, tmp_path)
    playing.contain(case, runbook=one)
    isolated = house.groups_of(interface)
    assert isolated != before
    playing.contain(other, runbook=two)
    assert (playing.is_contained(case), playing.is_contained(other)) == (True, True)

    order = [(case, one), (other, two)]
    (early, its_own), (late, latter) = order if first_released == "who isolated it" else reversed(order)
    assert playing.release(early, runbook=its_own).result in ("done", "not-needed")
    assert house.groups_of(interface) == isolated
    assert (playing.is_contained(early), playing.is_contained(late)) == (False, True)
    assert playing.release(late, runbook=latter).result == "done"
    assert house.groups_of(interface) == before
    assert not playing.is_contained(late)


def test_a_function_that_two_runbooks_stop_is_called_again_when_both_let_go(open_house: OpenHouse, tmp_path: Path):
    one = a_function_runbook(function={"stop": True})
    two = one.model_copy(update={"name": "another"})
    house = open_house(runbook=one)
    chosen = FunctionOptions.model_validate({"account": ACCOUNT, "region": REGION, "known_exploited": True})
    case = take_in(house, furnish_function(house.sandbox.cloud, chosen))
    other = of_another_runbook(house, case, two)
    name = "order-export"

    def reserved() -> int | None:
        return house.client("lambda").get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")

    before = reserved()
    playing = Ward(house, tmp_path)
    playing.contain(case, runbook=one)
    assert reserved() == 0
    playing.contain(other, runbook=two)
    playing.release(case, runbook=one)
    assert reserved() == 0
    playing.release(other, runbook=two)
    assert reserved() == before


# --- what the ledger is asked ----------------------------------------------------------------------------------------


def test_what_is_told_of_a_case_is_what_was_changed_for_it_and_what_it_counts_on(ward: tuple[Ward, str, str]):
    playing, first, second = ward
    ledger = playing.house.ledger
    playing.contain(first)
    playing.contain(second)
    (one, other) = ledger.responses()
    assert contained_cases(ledger, one, contains=True) == {first}
    assert contained_cases(ledger, other, contains=True) == {second}
    assert {plan.response for plan in contained_by(ledger, other).plans} == {other.id}
    playing.respond(first, purpose="release")
    with playing.running():
        plan = make_plan(Phase.RELEASE)
    assert {key.id for who in counted_on(ledger, plan).values() for key in who} == {second}
    assert counted_on(ledger, plan.model_copy(update={"phase": Phase.CONTAIN})) == {}
