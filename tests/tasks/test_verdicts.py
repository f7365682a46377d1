"""Only a verdict that this system reached is one: a release may rest on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbooks.case import case_stream
from runbooks.records import CaseTriaged, CaseVerdict
from runbooks.verdict import Verdict, VerdictKind
from tasks.verdicts import newest_verdict, verdicts_on
from tests.runbooks.builders import a_finding, a_package, a_verdict, an_assessment, case_facts
from tests.tasks.contained import OTHER
from tests.tasks.gateways.aws_world import INSTANCE
from tests.tasks.sweep_house import SweepHouse, sweep_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as opened:
        opened.deliver(instance=INSTANCE)
        opened.sweep()
        yield opened


def judged(house: SweepHouse, kind: VerdictKind, *, signed: bool) -> Verdict:
    row = house.newest(INSTANCE)
    (case,) = row.cases
    verdict = a_verdict(kind, case=case)
    record = CaseVerdict(response=row.id, remediation=None, verdict=verdict)
    house.ledger.append(case_stream(case), house.sign(case_stream(case), record) if signed else record)
    return verdict


def test_a_verdict_that_somebody_wrote_into_the_database_is_none(house: SweepHouse) -> None:
    row = house.newest(INSTANCE)
    judged(house, VerdictKind.FIXED, signed=False)

    assert verdicts_on(house, row, None) == {}
    assert newest_verdict(house, row.cases[0]) is None


def test_the_last_word_is_the_last_that_was_signed(house: SweepHouse) -> None:
    row = house.newest(INSTANCE)
    judged(house, VerdictKind.UNVERIFIABLE, signed=True)
    said = judged(house, VerdictKind.NOT_FIXED, signed=True)
    judged(house, VerdictKind.FIXED, signed=False)

    assert verdicts_on(house, row, None) == {row.cases[0]: said}
    assert newest_verdict(house, row.cases[0]) == said


def test_a_verdict_on_one_case_says_nothing_of_another(house: SweepHouse) -> None:
    house.deliver(2, OTHER, packages=(a_package(name="zlib1g"),))
    house.sweep()
    mine, other = house.newest(INSTANCE), house.newest(OTHER)
    judged(house, VerdictKind.FIXED, signed=True)

    (copied,) = house.ledger.entries_of(case_stream(mine.cases[0]), "case-verdict")
    record = copied.record()
    assert isinstance(record, CaseVerdict)
    house.ledger.append(case_stream(other.cases[0]), record)

    assert newest_verdict(house, other.cases[0]) is None


@pytest.mark.parametrize(("status", "counts"), [("ACTIVE", False), ("CLOSED", True)])
def test_what_was_proven_before_triage_found_more_to_do_is_no_word_on_it(
    house: SweepHouse, status: str, counts: bool
) -> None:
    row = house.newest(INSTANCE)
    (case,) = row.cases
    said = judged(house, VerdictKind.FIXED, signed=True)
    later = an_assessment(case_facts(a_finding(2, status=status), case=case))
    house.ledger.append(case_stream(case), CaseTriaged(response="resp-later", assessment=later))

    assert newest_verdict(house, case) == (said if counts else None)
