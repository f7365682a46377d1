"""Successors are noted once, and are known to later responses that have found none of their own."""

from __future__ import annotations

from pathlib import Path

from runbooks.case import case_stream
from runbooks.records import CaseSuccessors
from tasks.run import running
from tasks.services import use
from tasks.successors import note_successors
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case
from tests.tasks.sweep_house import sweep_house


def test_what_is_news_is_noted_and_what_is_known_is_not_noted_again(tmp_path: Path) -> None:
    with sweep_house(tmp_path) as house:
        case = open_case(house.ledger, "i-0a")
        (response,) = house.ledger.group_cases(RUNBOOK, "a" * 16, [case], "webhook", 50)
        with use(house), running(response, house.ledger.next_attempt(response), "run-1") as run:
            found = [note_successors(run, case, each) for each in ((), ("i-0b",), ("i-0b",), (), ("i-0c",), ())]

        assert found == [(), ("i-0b",), ("i-0b",), ("i-0b",), ("i-0c",), ("i-0c",)]
        entries = house.ledger.entries_of(case_stream(case), "case-successors")
        assert [entry.record() for entry in entries] == [
            CaseSuccessors(response=response, successors=("i-0b",)),
            CaseSuccessors(response=response, successors=("i-0c",)),
        ]
