"""A Lambda function is contained, updated, shifted by a watched canary, and proven by what its alias serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.errors import Refused
from runbooks.plan import Phase, Plan
from runbooks.steps import PublishVersion, SetFunctionUrlAuth, SetReservedConcurrency, ShiftAlias
from runbooks.steps.function_update import UpdateFunctionConfiguration
from runbooks.telling.plan_text import plan_markdown
from runbooks.telling.verdict_text import verdicts_markdown
from runbooks.verdict import VerdictKind
from tasks.planning import make_plan
from tasks.triage import triage_again
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import (
    ALARM,
    BAKES,
    NAME,
    SCANNED_WITHIN,
    FunctionStory,
    a_runbook,
    furnished,
    set_alarm,
    story,
    versions,
    world,
)
from tests.tasks.gateways.aws_world import ACCOUNT, REGION
from tests.tasks.playing import prefect_alone

OWNERS_WORDS = "what customers call"
UPDATES = ["lambda:UpdateFunctionConfiguration", "lambda:PublishVersion", "lambda:UpdateAlias", "lambda:UpdateAlias"]


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def test_a_public_function_is_contained_updated_shifted_proven_and_released(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, known_exploited=True)
    house = playing.house
    old, new = house.built[0]["layer_version_arn"], house.built[0]["patched_layer_version_arn"]
    before = world(house)
    (assessment,) = playing.triaged.acting
    assert (assessment.triage.remediation, assessment.triage.contain) == ("update", True)

    assert playing.phase(Phase.CONTAIN).result == "done"
    assert world(house) == before | {"urls": ["AWS_IAM"]}

    assert playing.phase(Phase.REMEDIATE).result == "done"
    updated = {"layers": [new], "aliases": {"live": ("2", {}, OWNERS_WORDS)}}
    assert world(house) == before | {"urls": ["AWS_IAM"]} | updated
    assert house.mutating_calls() == ["lambda:UpdateFunctionUrlConfig", *UPDATES]
    contain, plan = playing.asked
    assert [type(step) for step in contain.steps] == [SetFunctionUrlAuth]
    assert [type(step) for step in plan.steps] == [UpdateFunctionConfiguration, PublishVersion, ShiftAlias]
    words = plan_markdown(plan, keys=playing.run.keys)
    assert "order-export-dependencies:2 in the place of order-export-dependencies:1" in words
    assert "is invoked by whoever has its URL and sqs orders: there the change is made at once" in words
    assert old not in world(house)["layers"]

    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.FIXED
    verdict = playing.verdict(plan)
    assert verdict.reasons[-1] == "alias live serves version 2: the same code, layers and runtime as were scanned"
    assert "live: 2" in verdicts_markdown([verdict], playing.run.keys)

    assert playing.phase(Phase.RELEASE).result == "done"
    assert world(house) == before | updated
    assert len(playing.asked) == 3
    assert not playing.asked[-1].approval.required


def test_a_closed_finding_alone_proves_nothing_while_the_alias_serves_the_old_version(
    open_house: OpenHouse, tmp_path: Path
):
    playing = story(open_house, tmp_path)
    house = playing.house
    assert playing.phase(Phase.REMEDIATE).result == "done"
    house.sandbox.advance(SCANNED_WITHIN)
    house.client("lambda").update_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    playing.run = house.take_over(after_a_death=True)
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.NOT_FIXED
    verdict = playing.verdict(playing.asked[0])
    assert set(verdict.evidence[0].model_dump()["findings"].values()) == {"CLOSED"}
    assert verdict.reasons == ("alias live still serves version 1, which has the vulnerability",)


def test_nothing_is_fixed_while_a_policy_lets_somebody_invoke_the_old_version_by_its_number(
    open_house: OpenHouse, tmp_path: Path
):
    house = furnished(open_house)
    house.client("lambda").add_permission(
        FunctionName=NAME,
        StatementId="nightly",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        Qualifier="1",
    )
    playing = FunctionStory(house, tmp_path)
    who = "events.amazonaws.com may invoke version 1 by its number"
    assert playing.phase(Phase.REMEDIATE).result == "done"
    assert f"{who}, which stays vulnerable: a person brings it to another" in playing.asked[0].not_covered
    house.sandbox.advance(SCANNED_WITHIN)
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.NOT_FIXED
    assert playing.verdict(playing.asked[0]).reasons == (f"{who}, which nobody has brought to another",)


def test_no_call_goes_to_a_version_that_cannot_be_made_ready(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path)
    house = playing.house
    before = world(house)
    house.sandbox.cloud.world(ACCOUNT, REGION).functions[NAME].failed["2"] = "its initialization has failed"
    ended = playing.phase(Phase.REMEDIATE)
    assert (ended.result, f"version 2 of {NAME} cannot be invoked" in ended.detail) == ("failed", True)
    assert world(house)["aliases"] == before["aliases"]
    assert house.mutating_calls() == UPDATES[:2]


def test_an_alarm_in_mid_bake_puts_the_alias_back_and_is_recorded_as_a_failure(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, a_runbook(deploy=BAKES))
    house = playing.house
    before = world(house)
    playing.raise_alarm_at(4)
    ended = playing.phase(Phase.REMEDIATE)
    assert ended.result == "failed"
    assert f"alias live was put back to version 1: alarm {ALARM} is raised" in ended.detail
    version, weights, description = world(house)["aliases"]["live"]
    assert (version, weights) == ("1", {})
    assert description.endswith(f"went back: alarm {ALARM} is raised] {OWNERS_WORDS}")
    assert world(house)["layers"] != before["layers"]
    assert house.mutating_calls() == [*UPDATES[:3], "cloudwatch:SetAlarmState", "lambda:UpdateAlias"]


def test_what_went_back_is_not_shifted_again_by_the_run_that_takes_over(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, a_runbook(deploy=BAKES))
    house = playing.house
    playing.raise_alarm_at(4)
    playing.phase(Phase.REMEDIATE)
    set_alarm(house, "OK")
    house.sandbox.cloud.record.clear()
    (plan,) = playing.asked
    *_, shift = plan.stages()
    run = house.take_over(after_a_death=True)
    look = run.actions["shift-alias"].look(list(shift), {step.key: plan.operation(step) for step in plan.steps})
    assert [each.status for each in look.values()] == ["failed"]
    assert house.mutating_calls() == []


def test_a_stopped_function_is_given_back_exactly_the_reservation_it_had(open_house: OpenHouse, tmp_path: Path):
    stopping = a_runbook(function={"stop": True, "require_iam": False}, contain={"when": (("exposed",),)})
    playing = story(open_house, tmp_path, stopping)
    house = playing.house
    assert world(house)["reserved"] is None
    assert playing.phase(Phase.CONTAIN).result == "done"
    assert world(house)["reserved"] == 0
    (plan,) = playing.asked
    (stop,) = plan.steps
    assert isinstance(stop, SetReservedConcurrency)
    assert "every call is refused (429), that of whoever has its URL ($LATEST)" in stop.describe()
    assert "sqs orders ($LATEST)" in stop.describe()
    assert "what queues and streams hold" in stop.describe()
    assert playing.phase(Phase.REMEDIATE).result == "done"
    assert "its canary sees no call" in " ".join(playing.asked[1].not_covered)
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.FIXED
    assert playing.phase(Phase.RELEASE).result == "done"
    assert world(house)["reserved"] is None
    assert house.mutating_calls() == ["lambda:PutFunctionConcurrency", *UPDATES, "lambda:DeleteFunctionConcurrency"]


def test_a_function_that_was_changed_since_the_plan_is_asked_about_again(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path)
    house = playing.house
    meddled: list[Plan] = []

    def meddle(plan: Plan) -> None:
        if not meddled:
            house.client("lambda").update_function_configuration(FunctionName=NAME, Timeout=60)
            house.sandbox.advance(5)
        meddled.append(plan)

    # What the alias serves has another timeout than $LATEST now: a person has to say whether that may go live.
    with pytest.raises(Refused, match=r"differs from it in more than the fix \(Timeout\)"):
        playing.phase(Phase.REMEDIATE, meddle)
    assert versions(house) == ["$LATEST", "1"]
    assert house.mutating_calls() == ["lambda:UpdateFunctionConfiguration"]


def test_a_run_that_dies_in_mid_canary_is_carried_on_without_starting_it_again(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, a_runbook(deploy=BAKES))
    house = playing.house
    with playing.running():
        plan = make_plan(Phase.REMEDIATE)
    playing.answered(plan, "approved")
    for number in (0, 1):
        while not playing.once(plan, number).finished:
            playing.run.wait()
    assert not playing.once(plan, 2).finished
    assert world(house)["aliases"]["live"][:2] == ("1", {"2": 0.1})
    playing.run = house.take_over(after_a_death=True)
    while not playing.once(plan, 2).finished:
        playing.run.wait()
    assert world(house)["aliases"]["live"] == ("2", {}, OWNERS_WORDS)
    assert house.mutating_calls() == UPDATES


def test_a_canary_that_took_too_long_is_brought_to_its_end_all_the_same(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, a_runbook(deploy=BAKES))
    house = playing.house
    with playing.running():
        plan = make_plan(Phase.REMEDIATE)
    playing.answered(plan, "approved")
    for number in (0, 1):
        while not playing.once(plan, number).finished:
            playing.run.wait()
    assert not playing.once(plan, 2).finished
    playing.run.give_up(plan, plan.steps[2:])
    house.sandbox.advance(90)
    playing.run = house.take_over(after_a_death=True)
    while not playing.once(plan, 2).finished:
        playing.run.wait()
    assert world(house)["aliases"]["live"] == ("2", {}, OWNERS_WORDS)
    assert house.mutating_calls() == UPDATES


def test_a_triage_between_the_update_and_inspectors_scan_leaves_the_case_provable(
    open_house: OpenHouse, tmp_path: Path
):
    playing = story(open_house, tmp_path)
    with playing.running():
        plan = make_plan(Phase.REMEDIATE)
    playing.answered(plan, "approved")
    assert not playing.once(plan, 0).finished
    with playing.running():
        (again,) = triage_again(plan.cases).assessments
    assert [finding.status for finding in again.facts.findings] == ["ACTIVE"]
    for number in (0, 1, 2):
        while not playing.once(plan, number).finished:
            playing.run.wait()
    playing.house.sandbox.advance(SCANNED_WITHIN)
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.FIXED
