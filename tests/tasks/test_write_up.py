"""How a look that the sweep had started ends: a proven fix closes the case, and what is new is told to a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.slack_workspace import Workspace
from runbooks.case import case_stream, response_stream
from runbooks.records import CaseTriaged, CaseVerdict, PlanMade, ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.intake import drain
from tasks.run import running
from tasks.services import use
from tasks.write_up import conclude_look
from tests.runbooks.builders import a_contain_plan, a_verdict, an_assessment, case_facts
from tests.runbooks.histories import carried_out
from tests.tasks.sweep_house import SweepHouse, slack_workspace, sweep_house

INSTANCE = "i-0a1b2c3d4e5f60718"


@pytest.fixture
def slack() -> Iterator[tuple[Workspace, dict[str, Any]]]:
    with slack_workspace() as found:
        yield found


@pytest.fixture
def house(tmp_path: Path, slack: tuple[Workspace, dict[str, Any]]) -> Iterator[SweepHouse]:
    """A response has ended that could not verify its case."""
    with sweep_house(tmp_path, **slack[1]) as opened:
        opened.deliver()
        drain(opened.ledger, opened.catalog)
        yield opened


def looked(house: SweepHouse, kind: VerdictKind, started_by: str = "sweep") -> ResponseEnded:
    """A look, from its start to its end, with this verdict."""
    case, ledger = house.case_on(INSTANCE).id, house.ledger
    house.clock.pass_by(hours=6)
    row = ledger.start_response("ec2-high-severity-cve", (case,), started_by, purpose="verify")
    with use(house), running(row.id, 0, "run"):
        verdict = a_verdict(kind, case=case)
        judged = CaseVerdict(response=row.id, remediation=None, verdict=verdict)
        ledger.append(case_stream(case), house.sign(case_stream(case), judged))
        return conclude_look.fn(str(kind), "it was looked at")


def unverifiable(house: SweepHouse, *, contained: bool = False) -> None:
    """What went before: the playbook, which could not prove that it had helped."""
    row = house.newest(INSTANCE)
    facts = case_facts(*house.ledger.case_findings(row.cases[0]), case=row.cases[0])
    triaged = CaseTriaged(response=row.id, assessment=an_assessment(facts))
    house.ledger.append(case_stream(row.cases[0]), triaged)
    if contained:
        plan = a_contain_plan(triaged.assessment).model_copy(update={"response": row.id})
        done = [each.record for each in carried_out(plan, 1)]
        house.ledger.append(response_stream(row.id), PlanMade(digest=plan.digest, plan=plan), *done)
    house.end(row.id, "unverifiable", VerdictKind.UNVERIFIABLE)


def for_a_person(slack: tuple[Workspace, dict[str, Any]]) -> list[str]:
    return [each.text for each in slack[0].messages if each.text.startswith("A person is needed")]


def test_a_fix_that_is_proven_at_last_closes_the_case(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.FIXED)
    assert (ended.result, house.case_on(INSTANCE).status, for_a_person(slack)) == ("fixed", "closed", [])


def test_fixed_but_still_contained_is_told_to_a_person_and_stays_open(
    house: SweepHouse, slack: tuple[Workspace, Any]
) -> None:
    unverifiable(house, contained=True)
    ended = looked(house, VerdictKind.FIXED)
    assert (ended.result, ended.contained, house.case_on(INSTANCE).status) == ("fixed", True, "open")
    assert for_a_person(slack) == ["A person is needed: fixed. it was looked at"]


def test_not_fixed_is_told_to_a_person(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.NOT_FIXED)
    assert (ended.result, house.case_on(INSTANCE).status) == ("not fixed", "open")
    assert for_a_person(slack) == ["A person is needed: not fixed. it was looked at"]


def test_only_the_last_look_in_vain_is_told_to_a_person(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    results = [looked(house, VerdictKind.UNVERIFIABLE).result for _ in range(4)]
    assert results == ["unverifiable"] * 3 + ["person"]
    (told,) = for_a_person(slack)
    assert "it was looked at 4 times again, and could not be verified" in told


def test_whoever_asked_for_a_look_reads_the_verdict_and_nobody_else_is_called(
    house: SweepHouse, slack: tuple[Workspace, Any]
) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.NOT_FIXED, "command")
    assert (ended.result, for_a_person(slack)) == ("not fixed", [])
