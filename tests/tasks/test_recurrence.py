"""What was fixed and is seen again says so: in both cases, and in the alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from runbooks.case import case_stream
from runbooks.inspector import to_detail
from runbooks.records import CaseSuccessors, Recurred
from tasks.intake import drain
from tasks.recurrence import recurrences
from tests.runbooks.builders import a_finding, a_package, a_resource
from tests.tasks.sweep_house import SweepHouse, sweep_house

OLD, NEW = "i-0a1b2c3d4e5f60718", "i-0b1b2c3d4e5f60719"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def old(house: SweepHouse) -> str:
    """A case that was fixed at eight: its instance was replaced by another."""
    house.deliver(1, OLD)
    drain(house.ledger, house.catalog)
    case, row = house.case_on(OLD).id, house.newest(OLD)
    house.ledger.append(case_stream(case), CaseSuccessors(response=row.id, successors=(NEW,)))
    house.end(row.id, "fixed", close=True)
    return case


def seen(house: SweepHouse, instance: str, **changes: object) -> str:
    """A finding on the instance is delivered; the case that takes it."""
    number = int(str(changes.pop("number", 1)))
    house.deliver(number, instance, **changes)
    drain(house.ledger, house.catalog)
    return house.case_on(instance).id


def noted(house: SweepHouse, case: str) -> list[Recurred]:
    records = (entry.record() for entry in house.ledger.entries(case_stream(case)))
    return [record for record in records if isinstance(record, Recurred)]


def test_the_same_finding_opens_its_case_again_as_a_recurrence(house: SweepHouse, old: str) -> None:
    fixed_at = house.now()
    house.clock.pass_by(days=13)
    case = seen(house, OLD)
    assert case == old
    (record,) = noted(house, old)
    assert (record.fixed_in, record.case, record.fixed_at) == (old, old, fixed_at)
    assert recurrences(house.ledger, (old,)) == (f"{old}, closed as fixed at 2026-03-02 08:00:00 UTC",)


def test_the_same_package_on_the_replacement_is_a_recurrence_in_a_case_of_its_own(house: SweepHouse, old: str) -> None:
    house.clock.pass_by(days=1)
    case = seen(house, NEW, number=2, vulnerability_id="CVE-2026-10001")
    assert case != old
    assert noted(house, case) == noted(house, old)
    assert [(each.fixed_in, each.case) for each in noted(house, case)] == [(old, case)]
    assert recurrences(house.ledger, (case,)) == (f"{old} on {OLD}, closed as fixed at 2026-03-02 08:00:00 UTC",)
    assert recurrences(house.ledger, (old,)) == ()


def test_another_vulnerability_or_package_on_the_replacement_is_none(house: SweepHouse, old: str) -> None:
    house.clock.pass_by(days=1)
    other_package = (a_package(name="zlib1g"),)
    seen(house, NEW, number=2)
    case = seen(house, NEW, number=3, vulnerability_id="CVE-2026-10001", packages=other_package)
    assert noted(house, case) == noted(house, old) == []


def test_after_the_runbooks_time_nobody_watches_any_more(house: SweepHouse, old: str) -> None:
    house.clock.pass_by(days=14, minutes=1)
    assert noted(house, seen(house, OLD)) == []


def test_a_case_that_was_closed_for_another_reason_recurs_in_nothing(house: SweepHouse) -> None:
    house.deliver(1, OLD)
    drain(house.ledger, house.catalog)
    row = house.newest(OLD)
    house.ledger.close_case(row.cases[0], row.id, "nothing to do")
    house.end(row.id, "nothing-to-do")
    house.clock.pass_by(days=1)
    assert noted(house, seen(house, OLD)) == []


def test_a_pass_killed_before_the_note_is_made_good_by_the_next(house: SweepHouse, old: str) -> None:
    house.clock.pass_by(days=1)
    later = house.now() - timedelta(seconds=1)
    finding = a_finding(1, resource=a_resource(OLD), updated_at=later)
    receipt = house.ledger.receive("again", "webhook", json.dumps(to_detail(finding)).encode())
    house.ledger.take_finding(house.case_on(OLD).key, finding, "webhook", receipt.id)
    assert noted(house, old) == []
    for _ in range(2):
        drain(house.ledger, house.catalog)
        assert len(noted(house, old)) == 1
    assert house.newest(OLD).status == "new"
