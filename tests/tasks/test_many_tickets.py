"""A large estate at first: what only people act upon becomes a few tickets with tables, and nobody is kept out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runbooks.catalog import Catalog
from runbooks.facts import SUSPICION_TAG
from runbooks.finding import Finding
from runbooks.inspector import to_detail
from runbooks.records import ResponseEnded
from tasks.gateways.ledger import Ledger, ResponseRow
from tasks.intake import COMMAND, drain
from tests.runbooks.builders import ACCOUNT, REGION, a_finding, a_resource
from tests.tasks.gateways.ledger.samples import Clock

CATALOG = Catalog.read()
SECONDS = 40


@dataclass
class House:
    """An inbox, a clock, and passes over the inbox; whatever was started has begun by the next pass."""

    ledger: Ledger
    clock: Clock

    def deliver(self, *findings: Finding, source: str = "webhook") -> None:
        for each in findings:
            self.ledger.receive(f"{each.arn} by {source}", source, json.dumps(to_detail(each)).encode())

    def drain(self, seconds: float = SECONDS) -> list[int]:
        """How many cases each response has that this pass has started."""
        before = {row.id for row in self.ledger.responses()}
        drain(self.ledger, CATALOG, grouping_seconds=seconds)
        started = [row for row in self.ledger.responses() if row.id not in before]
        for row in started:
            self.begin(row)
        return [len(row.cases) for row in started]

    def settle(self) -> list[int]:
        """What has come becomes quiet."""
        self.drain()
        self.clock.pass_by(seconds=SECONDS / 4)
        return self.drain()

    def begin(self, row: ResponseRow) -> None:
        attempt = self.ledger.next_attempt(row.id)
        self.ledger.take_over(row.id, attempt, "run", (), 30.0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    yield House(ledger, clock)
    ledger.close()


def in_code(number: int, **changes: Any) -> Finding:
    """A vulnerability of its own, in a repository of its own."""
    place = {"type": "CODE_REPOSITORY", "id": f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:repository/{number:04d}"}
    resource = a_resource(**(place | {"tags": {}, "details": {}} | changes.pop("resource", {})))
    return a_finding(number, **({"severity": "HIGH", "resource": resource} | changes))


def test_five_hundred_findings_of_a_kind_are_one_ticket(house: House) -> None:
    house.deliver(*(in_code(number) for number in range(500)))
    assert house.settle() == [500]


def test_what_trickles_in_for_half_a_day_is_a_ticket_an_hour_at_most(house: House) -> None:
    tickets: list[int] = []
    for number in range(12 * 6):
        house.deliver(in_code(number))
        tickets += house.settle()
        house.clock.pass_by(seconds=10 * 60 - SECONDS / 4)
    assert tickets[0] == 1, "the first is told of at once"
    assert len(tickets) <= 12
    house.clock.pass_by(hours=1)
    assert sum(tickets + house.drain()) == 12 * 6


def test_another_owner_kind_place_or_environment_is_another_ticket(house: House) -> None:
    other_place = "arn:aws:codeconnections:eu-north-1:210987654321:repository/x"
    house.deliver(
        in_code(1),
        in_code(2, resource={"tags": {"team": "payments"}}),
        in_code(3, resource={"tags": {"environment": "production"}}),
        in_code(4, type="CODE_VULNERABILITY"),
        in_code(5, resource={"type": "MACHINE_IMAGE"}),
        in_code(6, resource={"region": "eu-north-1", "id": other_place}),
        in_code(7, resource={"account": "999988887777"}),
    )
    assert house.settle() == [1] * 7


def test_what_is_urgent_or_asked_for_is_not_collected_and_takes_the_others_along(house: House) -> None:
    house.deliver(in_code(1))
    assert house.settle() == [1]
    house.deliver(in_code(2))
    assert house.settle() == []
    house.deliver(in_code(3, resource={"tags": {SUSPICION_TAG: "seen in the logs"}}))
    assert house.drain() == [2]
    house.deliver(in_code(4), source=f"{COMMAND}:jo")
    assert house.drain() == [1]


def test_what_is_over_before_its_ticket_is_never_told_of(house: House) -> None:
    house.deliver(in_code(1))
    assert house.settle() == [1]
    house.deliver(in_code(2))
    house.settle()
    later = in_code(2).updated_at + timedelta(minutes=1)
    closed = in_code(2, status="CLOSED", updated_at=later, last_observed_at=later)
    house.ledger.receive("closed", "webhook", json.dumps(to_detail(closed)).encode())
    house.clock.pass_by(hours=2)
    assert house.drain() == []
    assert [case.status for case in house.ledger.cases()] == ["open", "closed"]


def test_a_ticket_elsewhere_keeps_nobody_waiting_and_no_grouping_collects_nothing(house: House) -> None:
    house.deliver(in_code(1))
    house.settle()
    house.deliver(in_code(2, resource={"account": "999988887777"}))
    assert house.settle() == [1]
    house.deliver(in_code(3))
    assert house.drain(0) == [1]


def test_a_killed_pass_or_an_ended_response_makes_no_difference(house: House) -> None:
    house.deliver(in_code(1))
    house.settle()
    (first,) = house.ledger.responses()
    house.ledger.end_response(first.id, ResponseEnded(result="person", reason="handed over"), {})
    house.deliver(in_code(2))
    assert (house.settle(), house.settle()) == ([], [])
    house.clock.pass_by(minutes=60)
    assert house.drain() == [1]
