"""Answers are written down with what they lead to, in one commit, and a code counts once whoever else is at it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from runbooks.approval import Submission
from runbooks.case import APPROVERS_STREAM, response_stream
from runbooks.errors import NotFound, Overtaken
from runbooks.plan import ApprovalRule, Plan
from runbooks.records import ApprovalAsked, CaseClosed, Decision, Record, ResponseEnded
from runbooks.signing import Signer
from tasks.answering import settle, submit
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tasks.registering import registry
from tasks.services import Services
from tasks.settings import Settings
from tests.runbooks.builders import a_contain_plan
from tests.runbooks.signatures import JANE, JOE, SIGNER, added, code_of, decided, made, signed
from tests.tasks.gateways.ledger.samples import MORNING, Clock, kinds, start

UNTIL = MORNING + timedelta(hours=1)


@dataclass(frozen=True)
class House(Services):
    """Services on a ledger of the test's own, at a time that stands still."""

    url: str = ""
    clock: Clock = field(default_factory=Clock)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.open(self.url, clock=self.clock, wait_seconds=30, sign=self.sign)

    @cached_property
    def signer(self) -> Signer:
        return SIGNER

    def now(self) -> Any:
        return self.clock.now


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made_here = a_house(f"sqlite:///{tmp_path}/ledger.db")
    made_here.ledger.append(APPROVERS_STREAM, *signed(added(JANE), added(JOE)))
    with closing(made_here.ledger):
        yield made_here


def a_house(url: str) -> House:
    return House(Settings(), url=url, clock=Clock())


def asked(house: House, **rule: Any) -> Plan:
    """A plan that is asked about."""
    response = start(house.ledger)
    plan = a_contain_plan().model_copy(update={"response": response, "approval": ApprovalRule(**rule)})
    house.ledger.append(response_stream(response), made(plan))
    house.ledger.ask(response, ApprovalAsked(digest=plan.digest, attempt=1, expires_at=UNTIL, flow_run="run-1"))
    return plan


def a_yes(plan: Plan, name: str = JANE, **changes: Any) -> Submission:
    values: dict[str, Any] = {
        "response": plan.response,
        "digest": plan.digest,
        "says": "approve",
        "claimed": name,
        "code": SecretStr(code_of(name, MORNING)),
        "channel": "command",
        "submitted_at": MORNING,
        "request": f"request of {name}",
    }
    return Submission(**(values | changes))


def written(house: House, plan: Plan) -> list[str]:
    return kinds(house.ledger, response_stream(plan.response))[3:]


def test_an_answer_is_written_with_its_decision_and_the_code_that_it_used_up(house: House) -> None:
    plan = asked(house)
    answered = submit(house, a_yes(plan))
    assert answered.decision == read_history(house.ledger, plan.response).decisions[plan.digest]
    assert answered.decision is not None
    assert answered.decision.answer == "approved"
    assert written(house, plan) == ["answer-given", "decision"]
    standing = registry(house).named(JANE)
    assert standing is not None
    assert standing.last_timecode == int(MORNING.timestamp()) // 30
    row = house.ledger.approval(plan.digest, 1)
    assert row is not None
    assert (row.answer, row.approver) == ("approved", JANE)


def test_a_refused_answer_is_written_too_and_leaves_the_question_open(house: House) -> None:
    plan = asked(house)
    answered = submit(house, a_yes(plan, code=SecretStr("000000")))
    assert (answered.answer.code, answered.decision) == ("wrong-code", None)
    assert written(house, plan) == ["answer-given"]
    assert [row.answer for row in house.ledger.approvals()] == [None]
    standing = registry(house).named(JANE)
    assert standing is not None
    assert standing.wrong_codes == 1


def test_the_sixth_guess_is_refused_though_it_is_right(house: House) -> None:
    plan = asked(house)
    codes = [submit(house, a_yes(plan, code=SecretStr(f"00000{n}"), request=str(n))).answer.code for n in range(5)]
    assert codes == ["wrong-code"] * 5
    assert submit(house, a_yes(plan)).answer.code == "locked"
    assert submit(house, a_yes(plan, JOE)).decision is not None


def test_two_people_make_a_quorum(house: House) -> None:
    plan = asked(house, quorum=2)
    assert submit(house, a_yes(plan)).decision is None
    again = a_yes(plan, code=SecretStr(code_of(JANE, MORNING, 1)), request="again")
    assert submit(house, again).answer.code == "same-person"
    decision = submit(house, a_yes(plan, JOE)).decision
    assert decision is not None
    assert (decision.answer, decision.approvers) == ("approved", (JANE, JOE))


def test_an_answer_after_the_end_is_refused_and_written_down(house: House) -> None:
    plan = asked(house)
    house.ledger.end_response(plan.response, ResponseEnded(result="person", reason="enough"), {})
    assert submit(house, a_yes(plan)).answer.code == "settled"
    assert written(house, plan) == ["response-ended", "answer-given"]
    assert house.ledger.response(plan.response).status == "ended"  # type: ignore[union-attr]


def test_an_answer_to_a_response_that_never_was_is_not_written(house: House) -> None:
    plan = asked(house)
    with pytest.raises(NotFound):
        submit(house, a_yes(plan, response="resp-none"))
    assert written(house, plan) == []


def test_a_row_in_the_table_of_approvals_approves_nothing(house: House) -> None:
    plan = asked(house)
    with house.ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE approvals SET answer = 'approved', approver = 'eve'")
    assert read_history(house.ledger, plan.response).decisions == {}
    assert submit(house, a_yes(plan)).decision is not None


def test_the_sweep_and_the_runbook_sign_what_they_decide(house: House) -> None:
    plan = asked(house)
    expired = Decision(digest=plan.digest, attempt=1, answer="expired", approver=None, channel="sweep")
    assert settle(house, plan.response, expired) is True
    assert settle(house, plan.response, expired) is False
    decision = read_history(house.ledger, plan.response).decisions[plan.digest]
    assert SIGNER.verifies(response_stream(plan.response), decision)


# --- at the same moment ----------------------------------------------------------------------------------------------


def meddling(house: House, times: int, record: Callable[[int], tuple[str, Record]]) -> None:
    """Somebody else writes between the reading and the writing, so many times."""
    write = house.ledger.append_after
    left = iter(range(times))

    def overtaken(seen: Any, records: Any) -> None:
        if (number := next(left, None)) is not None:
            house.ledger.append(*record(number))
        write(seen, records)

    object.__setattr__(house.ledger, "append_after", overtaken)


def test_who_was_overtaken_reads_and_weighs_again(house: House) -> None:
    plan = asked(house)
    stream = response_stream(plan.response)
    meddling(house, 1, lambda number: (stream, decided(plan, "rejected", JOE)))
    assert submit(house, a_yes(plan)).answer.code == "settled"


def test_who_is_overtaken_again_and_again_gives_up_with_nothing_written(house: House) -> None:
    plan = asked(house)
    meddling(house, 99, lambda number: (APPROVERS_STREAM, CaseClosed(response=str(number), reason="noise")))
    with pytest.raises(Overtaken):
        submit(house, a_yes(plan))
    assert written(house, plan) == []


def test_of_many_threads_with_one_code_one_counts(house: House) -> None:
    plans = [a_plan_of(house, f"i-{number}") for number in range(6)]
    codes: list[str] = []
    threads = [threading.Thread(target=lambda plan=plan: codes.append(_submitted(house, plan))) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["approved", *["used-code"] * 5]


def test_of_two_processes_with_one_code_one_counts(house: House) -> None:
    plans = [a_plan_of(house, f"i-{number}") for number in range(2)]
    context = multiprocessing.get_context("fork")
    barrier, said = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_submit_elsewhere, args=(house.url, plan.model_dump_json(), barrier, said))
        for plan in plans
    ]
    for process in processes:
        process.start()
    answers = sorted(said.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert answers == ["approved", "used-code"]
    assert kinds(house.ledger, APPROVERS_STREAM)[2:] == ["code-tried", "code-tried"]


def a_plan_of(house: House, instance: str) -> Plan:
    response = start(house.ledger, instance)
    plan = a_contain_plan().model_copy(update={"response": response, "approval": ApprovalRule()})
    house.ledger.append(response_stream(response), made(plan))
    house.ledger.ask(response, ApprovalAsked(digest=plan.digest, attempt=1, expires_at=UNTIL, flow_run="run-1"))
    return plan


def _submitted(house: House, plan: Plan) -> str:
    answered = submit(house, a_yes(plan))
    return answered.decision.answer if answered.decision else answered.answer.code


def _submit_elsewhere(url: str, plan: str, barrier: Any, said: Any) -> None:
    house = a_house(url)
    barrier.wait()
    said.put(_submitted(house, Plan.model_validate_json(plan)))
    house.ledger.close()
