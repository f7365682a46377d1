"""A function whose own code is vulnerable: rebuilt, put in, shifted, and proven by the scan that follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.errors import Refused
from runbooks.plan import Phase
from runbooks.planning.functions.rebuilding import gets_image, gets_package
from runbooks.steps import PublishVersion, RebuildPackage, ShiftAlias, UpdateFunctionCode
from runbooks.telling.plan_text import plan_markdown
from runbooks.verdict import VerdictKind
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import NAME, FunctionStory, a_runbook, furnished, story, versions, world
from tests.tasks.playing import prefect_alone

PROJECT = "order-export-build"
WORDS = "what customers call"


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


OWN_CODE = {"in_layer": False, "project": PROJECT}
WITHOUT_CONTAINMENT = a_runbook(contain={"when": ()})


def of_its_own_code(open_house: OpenHouse, folder: Path, **options: Any) -> FunctionStory:
    return story(open_house, folder, WITHOUT_CONTAINMENT, **(OWN_CODE | options))


def until_known(playing: FunctionStory) -> VerdictKind:
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    while (verified := playing.looked()).kind is None:
        playing.run.wait()
    return verified.kind


def test_its_code_is_rebuilt_put_in_published_shifted_and_proven(open_house: OpenHouse, tmp_path: Path):
    playing = of_its_own_code(open_house, tmp_path)
    house = playing.house
    before = world(house)
    (assessment,) = playing.triaged.acting
    assert (gets_package(assessment), gets_image(assessment)) == (True, False)
    assert assessment.triage.reasons[-1].startswith(f"rebuild its own code by {PROJECT}, with pyyaml to 5.4")

    assert playing.phase(Phase.REBUILD).result == "done"
    (rebuild,) = playing.asked
    assert [type(step) for step in rebuild.steps] == [RebuildPackage]
    assert not rebuild.approval.required
    assert world(house) == before

    assert playing.phase(Phase.REMEDIATE).result == "done"
    plan = playing.asked[-1]
    assert [type(step) for step in plan.steps] == [UpdateFunctionCode, PublishVersion, ShiftAlias]
    code = plan.steps[0]
    assert isinstance(code, UpdateFunctionCode)
    assert code.package.version is not None
    updated = {"code": code.package.code_sha256, "aliases": {"live": ("2", {}, WORDS)}}
    assert world(house) == before | updated
    words = plan_markdown(plan, keys=playing.run.keys)
    assert code.package.key in words
    assert "is known when Inspector has scanned the function with it" in words

    assert until_known(playing) is VerdictKind.FIXED
    assert house.mutating_calls() == [
        "codebuild:StartBuild",
        "lambda:UpdateFunctionCode",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
        "lambda:UpdateAlias",
    ]


def test_a_build_that_mends_nothing_changes_no_function(open_house: OpenHouse, tmp_path: Path):
    playing = of_its_own_code(open_house, tmp_path, build="keeps_packages")
    house = playing.house
    before = world(house)
    ended = playing.phase(Phase.REBUILD)
    assert ended.result == "failed"
    assert "has made the very code that order-export has: nothing was mended" in ended.detail
    with pytest.raises(Refused, match="no code was built for order-export"):
        playing.phase(Phase.REMEDIATE)
    assert world(house) == before
    assert house.mutating_calls() == ["codebuild:StartBuild"]


def test_what_the_ledger_alone_calls_the_builds_is_put_into_no_function(open_house: OpenHouse, tmp_path: Path):
    playing = of_its_own_code(open_house, tmp_path)
    assert playing.phase(Phase.REBUILD).result == "done"
    plan = playing.asked[-1]
    outcome = playing.house.history().step_outcomes(plan)[plan.steps[0].key]
    for forged in ({"bucket": "somebodys", "key": "theirs.zip"}, {"code_sha256": "another"}, {"version": "another"}):
        playing.run.journal.write(outcome.model_copy(update={"result": outcome.result | forged}))
        with pytest.raises(Refused, match="is not what its build has made"):
            playing.phase(Phase.REMEDIATE)
    assert playing.house.mutating_calls() == ["codebuild:StartBuild"]


def test_without_a_project_a_person_gets_it_as_before(open_house: OpenHouse, tmp_path: Path):
    playing = of_its_own_code(open_house, tmp_path, project=None)
    (assessment,) = playing.triaged.acting
    assert assessment.triage.remediation == "person"
    with pytest.raises(Refused, match="there is no build project order-export-build"):
        playing.phase(Phase.REMEDIATE)
    assert playing.house.mutating_calls() == []


def test_a_run_that_dies_after_the_build_goes_on_with_what_it_made(open_house: OpenHouse, tmp_path: Path):
    playing = of_its_own_code(open_house, tmp_path)
    house = playing.house
    assert playing.phase(Phase.REBUILD).result == "done"
    playing.run = house.take_over(after_a_death=True)
    assert playing.phase(Phase.REMEDIATE).result == "done"
    assert until_known(playing) is VerdictKind.FIXED
    assert house.mutating_calls().count("codebuild:StartBuild") == 1


def test_the_undo_of_a_whole_update_leaves_the_function_with_the_code_that_it_had(
    open_house: OpenHouse, tmp_path: Path
):
    playing = of_its_own_code(open_house, tmp_path)
    house = playing.house
    before = world(house)
    assert playing.phase(Phase.REBUILD).result == "done"
    assert playing.phase(Phase.REMEDIATE).result == "done"
    plan = playing.asked[-1]
    steps = tuple(undo for step in reversed(plan.steps) if (undo := step.undo))
    back = plan.model_copy(update={"phase": Phase.RELEASE, "steps": steps, "code": ""})
    playing.run.journal.write(made(back))
    run = playing.run.approved(back)
    assert run.carry_out(back) == {step.key: "done" for step in back.steps}
    assert world(house) == before


def test_code_that_no_version_has_is_published_first_and_given_back_from_there(open_house: OpenHouse, tmp_path: Path):
    house = furnished(open_house, WITHOUT_CONTAINMENT, **OWN_CODE)
    client = house.client("lambda")
    client.delete_alias(FunctionName=NAME, Name="live")
    client.delete_function(FunctionName=NAME, Qualifier="1")
    house.sandbox.cloud.record.clear()
    playing = FunctionStory(house, tmp_path)
    assert playing.phase(Phase.REBUILD).result == "done"
    assert playing.phase(Phase.REMEDIATE).result == "done"
    plan = playing.asked[-1]
    assert [type(step) for step in plan.steps] == [PublishVersion, UpdateFunctionCode]
    assert house.mutating_calls() == ["codebuild:StartBuild", "lambda:PublishVersion", "lambda:UpdateFunctionCode"]
    (kept,) = [number for number in versions(house) if number != "$LATEST"]
    old = client.get_function_configuration(FunctionName=NAME, Qualifier=kept)["CodeSha256"]
    step = plan.steps[1]
    assert isinstance(step, UpdateFunctionCode)
    assert old == step.expects.code_sha256 != client.get_function_configuration(FunctionName=NAME)["CodeSha256"]
