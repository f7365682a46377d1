"""The journal of one run: written down before it is done, and outside AWS done once for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text

from runbooks.case import response_stream
from runbooks.errors import AnswerLost, LeaseLost
from runbooks.plan import Phase
from runbooks.records import Intent, Outcome, Waiting
from tasks.journal import Journal, dated, read_history
from tests.tasks.aftermath import records_of
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House, Run


class DiedHere(BaseException):
    """The process is gone."""


@dataclass
class Board:
    """Somewhere outside AWS where messages are posted, each marked with its operation."""

    house: House
    posted: list[str] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)
    written_before: list[list[str]] = field(default_factory=list)
    trouble: BaseException | None = None
    reaches: bool = True
    """Whether a post in trouble gets there all the same."""

    def post(self, operation: str) -> dict[str, Any]:
        self.written_before.append([record.kind for record in records_of(self.house) if _is_of(record, operation)])
        if self.reaches or not self.trouble:
            self.posted.append(operation)
        if self.trouble:
            raise self.trouble
        return {"message": len(self.posted)}

    def find(self, operation: str) -> dict[str, Any] | None:
        self.searched.append(operation)
        return {"message": self.posted.index(operation) + 1} if operation in self.posted else None

    def once(self, run: Run, subject: str = "alert") -> dict[str, Any]:
        return run.journal.once("post-message", subject, find=self.find, act=self.post)


def _is_of(record: object, operation: str) -> bool:
    return isinstance(record, Intent | Outcome) and record.operation == operation


@pytest.fixture
def house(open_house: OpenHouse) -> House:
    house = open_house()
    house.furnish(an_event())
    return house


@pytest.fixture
def run(house: House) -> Run:
    return house.start()


@pytest.fixture
def board(house: House) -> Board:
    return Board(house)


def test_it_is_written_down_before_it_is_done_and_done_once_for_ever(house: House, run: Run, board: Board):
    assert board.once(run) == {"message": 1}
    assert board.once(run) == {"message": 1}
    assert board.once(house.take_over(after_a_death=True)) == {"message": 1}
    (operation,) = board.posted
    assert board.written_before == [["intent"]]
    assert board.searched == []
    assert [(each.kind, each.status) for each in records_of(house) if isinstance(each, Outcome)] == [
        ("outcome", "done")
    ]
    assert house.history().intents[operation].epoch == 1


def test_two_subjects_and_two_responses_are_two_operations(house: House, run: Run, board: Board):
    board.once(run, "alert")
    board.once(run, "progress")
    assert len(set(board.posted)) == 2


@pytest.mark.parametrize("trouble", [AnswerLost("no answer"), DiedHere()])
def test_what_was_posted_though_no_answer_came_is_found_and_not_posted_again(
    house: House, run: Run, board: Board, trouble: BaseException
):
    board.trouble = trouble
    with pytest.raises(type(trouble)):
        board.once(run)
    board.trouble = None
    assert board.once(house.take_over(after_a_death=True)) == {"message": 1}
    assert len(board.posted) == len(board.searched) == 1
    assert [each.status for each in records_of(house) if isinstance(each, Outcome)] == ["already-done"]


def test_what_never_got_there_is_looked_for_and_then_posted(house: House, run: Run, board: Board):
    board.trouble, board.reaches = AnswerLost("no answer"), False
    with pytest.raises(AnswerLost):
        board.once(run)
    board.trouble = None
    assert board.once(run) == {"message": 1}
    assert len(board.posted) == len(board.searched) == 1
    assert board.written_before == [["intent"], ["intent"]]


def test_a_run_that_was_overtaken_posts_nothing(house: House, run: Run, board: Board):
    house.take_over(after_a_death=True)
    before = records_of(house)
    with pytest.raises(LeaseLost):
        board.once(run)
    assert board.posted == []
    assert records_of(house) == before


def test_a_run_that_was_overtaken_writes_none_of_several_records(house: House, run: Run):
    house.take_over(after_a_death=True)
    before = records_of(house)
    waiting = Waiting(phase="contain", reason="nothing", look_again_at=house.now())
    with pytest.raises(LeaseLost):
        run.journal.write(waiting, waiting)
    assert records_of(house) == before


def test_an_intent_names_the_epoch_it_was_written_under_and_the_first_original_is_kept(house: House, run: Run):
    run.journal.write(run.journal.intend("rb-1", "swap", "eni-1", {"groups": ["sg-1"]}, "d" * 64))
    later = house.take_over(after_a_death=True)
    later.journal.write(later.journal.intend("rb-1", "swap", "eni-1", {"groups": ["sg-quarantine"]}, "d" * 64))
    written = [(each.epoch, each.original) for each in records_of(house) if isinstance(each, Intent)]
    assert written == [(1, {"groups": ["sg-1"]}), (2, {"groups": ["sg-quarantine"]})]
    assert house.history().intents["rb-1"].original == {"groups": ["sg-1"]}


def test_the_history_is_that_of_the_entries_alone(house: House, run: Run):
    plan = run.plan(Phase.CONTAIN)
    run = run.approved(plan)
    run.carry_out(plan)
    history = read_history(house.ledger, house.response)
    assert history == run.journal.history()
    assert history.plans == {plan.digest: plan}
    assert list(history.step_outcomes(plan)) == [step.key for step in plan.steps]
    elsewhere = Journal(house.ledger, "resp-0000000000", run.lease)
    assert elsewhere.history().entries == []


def test_what_a_newer_version_wrote_is_passed_over(house: House, run: Run):
    entries = house.ledger.entries(response_stream(house.response))
    newer = entries[-1].model_copy(update={"kind": "from-the-future", "body": {"kind": "from-the-future"}})
    assert dated([*entries, newer]) == dated(entries)
    assert len(dated(entries)) == len(entries)


def test_an_entry_that_was_edited_since_it_was_read_counts_as_it_stands_now(house: House, run: Run):
    run.journal.write(Waiting(phase="contain", reason="as it was written", look_again_at=house.now()))
    before = run.journal.history()
    with house.ledger._database.writing() as connection:
        connection.execute(text("DROP TRIGGER entries_refuse_update"))
        connection.execute(text("UPDATE entries SET body = replace(body, 'as it was written', 'as it was edited')"))
    after = run.journal.history()
    assert before.waiting is not None
    assert after.waiting is not None
    assert (before.waiting.reason, after.waiting.reason) == ("as it was written", "as it was edited")
    assert after == read_history(house.ledger, house.response)
