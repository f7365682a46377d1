"""What an update changed of a Lambda function is put back exactly, when a person asks for it and says yes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.case import case_stream
from runbooks.plan import Phase
from runbooks.verdict import VerdictKind
from tasks.write_up import conclude_release
from tests.runbooks.signatures import made
from tests.tasks.conftest import OpenHouse
from tests.tasks.function_story import SCANNED_WITHIN, story, world
from tests.tasks.playing import prefect_alone


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


def test_the_undo_of_a_whole_update_leaves_the_function_as_it_was(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path)
    house = playing.house
    before = world(house)
    assert playing.phase(Phase.REMEDIATE).result == "done"
    (plan,) = playing.asked
    steps = tuple(undo for step in reversed(plan.steps) if (undo := step.undo))
    back = plan.model_copy(update={"phase": Phase.RELEASE, "steps": steps, "code": ""})
    playing.run.journal.write(made(back))
    run = playing.run.approved(back)
    assert run.carry_out(back) == {step.key: "done" for step in back.steps}
    assert world(house) == before


def test_a_person_who_asks_for_a_release_has_the_update_put_back_and_is_told_what_comes_of_it(
    open_house: OpenHouse, tmp_path: Path
):
    playing = story(open_house, tmp_path)
    house = playing.house
    before = world(house)
    assert playing.phase(Phase.REMEDIATE).result == "done"
    house.sandbox.cloud.record.clear()
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "done"
    assert world(house) == before
    assert house.mutating_calls() == ["lambda:UpdateAlias", "lambda:UpdateFunctionConfiguration"]
    plan = playing.asked[-1]
    assert plan.approval.required
    assert "AND VULNERABLE AGAIN" in plan.reasons[0]
    assert any("a version does nothing until an alias names it" in words for words in plan.not_covered)
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "not-needed"
    assert world(house) == before


def test_a_case_whose_update_is_put_back_is_not_closed_by_the_verdict_from_before(
    open_house: OpenHouse, tmp_path: Path
):
    playing = story(open_house, tmp_path)
    (case,) = playing.run.cases
    assert playing.phase(Phase.REMEDIATE).result == "done"
    playing.house.sandbox.advance(SCANNED_WITHIN)
    assert playing.phase(Phase.VERIFY).result == "not-needed"
    assert playing.looked().kind is VerdictKind.FIXED
    playing.released(closes=False)
    ended = playing.phase(Phase.RELEASE)
    with playing.running():
        assert conclude_release(ended).result == "released"
    assert playing.house.ledger.entries_of(case_stream(case), "case-closed") == ()


def test_a_release_ends_the_containment_first_and_leaves_the_update(open_house: OpenHouse, tmp_path: Path):
    playing = story(open_house, tmp_path, known_exploited=True)
    house = playing.house
    before = world(house)
    assert playing.phase(Phase.CONTAIN).result == "done"
    assert playing.phase(Phase.REMEDIATE).result == "done"
    updated = world(house)
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "done"
    assert world(house) == updated | {"urls": before["urls"]}
    playing.released()
    assert playing.phase(Phase.RELEASE).result == "done"
    assert world(house) == before
