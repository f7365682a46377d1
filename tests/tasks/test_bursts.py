"""A burst is a handful of responses: settled, joined, each case in one, whatever the order, however often killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from runbooks.catalog import Catalog
from runbooks.definition import Runbook
from runbooks.errors import BadInput
from runbooks.finding import Finding
from runbooks.inspector import to_detail
from runbooks.records import ResponseEnded
from tasks.gateways.ledger import CaseRow, Ledger, ResponseRow, Sighting, Taken
from tasks.intake import COMMAND, drain
from tests.runbooks.builders import a_finding, a_package, a_resource, a_runbook
from tests.tasks.gateways.ledger.samples import MORNING, Clock
from tests.tasks.harness import EMPTY_LEDGER
from tests.tasks.shaky import Died

SECONDS = 40
PUBLIC = {"awsEc2Instance": {"ipV4Addresses": ["10.0.0.1", "203.0.113.7"]}}


@dataclass
class House:
    """An inbox, a clock, and passes over the inbox."""

    ledger: Ledger
    clock: Clock
    runbook: Runbook = field(default_factory=a_runbook)
    count: int = 0

    def deliver(self, *findings: Finding, source: str = "webhook", account: str = "") -> str:
        """Each in an event of its own, as the account that is named sends it; the last delivery."""
        delivery = ""
        for finding in findings:
            self.count += 1
            body: dict[str, Any] = to_detail(finding)
            if account:
                body = {
                    "version": "0",
                    "id": f"00000000-0000-4000-8000-{self.count:012d}",
                    "source": "aws.inspector2",
                    "detail-type": "Inspector2 Finding",
                    "account": account,
                    "time": "2026-03-02T09:16:00Z",
                    "region": "eu-west-1",
                    "resources": [finding.resource.id],
                    "detail": body,
                }
            delivery = self.ledger.receive(f"event/{self.count}", source, json.dumps(body).encode()).id
        return delivery

    def drain(self, seconds: float = SECONDS, **how: Any) -> tuple[str, ...]:
        return drain(self.ledger, Catalog([self.runbook]), grouping_seconds=seconds, **how).responses

    def settle(self) -> tuple[str, ...]:
        """What has been taken becomes quiet."""
        self.drain()
        self.clock.pass_by(seconds=SECONDS / 4)
        return self.drain()

    def case_on(self, instance: str) -> CaseRow:
        (case,) = self.ledger.cases_on([instance])
        return case

    def response_on(self, instance: str) -> ResponseRow | None:
        return self.ledger.response(self.case_on(instance).response_id or "")

    @property
    def groups(self) -> list[list[str]]:
        """The resources of every response."""
        rows = {row.id: row.key.resource_id for row in self.ledger.cases()}
        return sorted(sorted(rows[case] for case in each.cases) for each in self.ledger.responses())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock)
    yield House(ledger, clock)
    ledger.close()


def on(instance: str, number: int = 1, package: str = "libssl3", **changes: Any) -> Finding:
    """A finding on the instance; each instance has its own finding of a vulnerability."""
    resource = a_resource(instance, **changes.pop("resource", {}))
    times = dict.fromkeys(("first_observed_at", "last_observed_at", "updated_at"), MORNING)
    arn = f"arn:aws:inspector2:eu-west-1:210987654321:finding/{instance[2:]:0>24}{number:08x}"
    packages = (a_package(name=package),)
    return a_finding(number, **{"arn": arn, "resource": resource, "packages": packages, **times, **changes})


# --- settling and joining --------------------------------------------------------------------------------------------


def test_a_burst_settles_and_is_one_response_for_each_kind_of_remediation(house: House) -> None:
    for number in range(6):
        house.deliver(on(f"i-a{number}"), on(f"i-b{number}", package="zlib1g"), on(f"i-a{number}", 2))
        assert house.drain() == ()
        house.clock.pass_by(seconds=5)
    assert house.drain() == ()
    house.clock.pass_by(seconds=5)
    assert len(house.drain()) == 2
    assert house.groups == [[f"i-{fleet}{number}" for number in range(6)] for fleet in "ab"]
    assert house.drain() == ()


def test_a_burst_that_does_not_end_is_begun_after_the_time_it_may_wait(house: House) -> None:
    waited = 0
    while not house.drain():
        house.deliver(on(f"i-{waited}"))
        house.drain()
        house.clock.pass_by(seconds=5)
        waited += 5
    assert waited == SECONDS
    assert [len(row.cases) for row in house.ledger.responses()] == [SECONDS / 5]


def test_settling_goes_on_in_another_process(house: House) -> None:
    house.deliver(on("i-a"))
    house.drain()
    house.clock.pass_by(seconds=SECONDS / 4)
    url = house.ledger._database.url.render_as_string()
    other = House(Ledger.open(url, clock=house.clock), house.clock)
    assert len(other.drain()) == 1
    other.ledger.close()


def test_one_like_a_response_that_no_run_has_begun_joins_it_at_the_next_pass(house: House) -> None:
    house.deliver(on("i-a"))
    (response,) = house.settle()
    house.ledger.next_attempt(response)
    house.deliver(on("i-b"))
    assert house.settle() == (response,)
    house.ledger.take_over(response, 1, "run", [], 60)
    house.deliver(on("i-c"))
    (other,) = house.settle()
    assert (other != response, house.groups) == (True, [["i-a", "i-b"], ["i-c"]])


def test_what_is_exploited_and_exposed_waits_for_nobody(house: House) -> None:
    house.deliver(on("i-a"), on("i-b", resource={"details": PUBLIC}), on("i-c", package="zlib1g"))
    assert len(house.drain()) == 1
    assert house.groups == [["i-a", "i-b"]]


def test_what_a_person_asks_for_waits_for_nobody_and_is_theirs_alone(house: House) -> None:
    house.deliver(on("i-a"))
    house.drain()
    delivery = house.deliver(on("i-b"), source=f"{COMMAND}:jdoe")
    (response,) = house.drain()
    settled, row = house.ledger.delivery(delivery), house.ledger.response(response)
    assert settled is not None
    assert row is not None
    assert (settled.state, row.cases, row.status) == ("handled", (house.case_on("i-b").id,), "new")
    house.settle()
    house.deliver(on("i-c"), source=f"{COMMAND}:mmuster")
    house.drain()
    assert house.groups == [["i-a"], ["i-b"], ["i-c"]]


def test_a_response_has_no_more_cases_than_the_runbook_allows(house: House) -> None:
    house.runbook = a_runbook(limits={"maximum_cases": 4})
    house.deliver(*(on(f"i-{number}") for number in range(10)))
    house.settle()
    assert sorted(map(len, house.groups)) == [2, 4, 4]


def test_more_than_a_pass_takes_is_no_settled_burst(house: House) -> None:
    house.deliver(*(on(f"i-{number}") for number in range(5)))
    house.drain(most=3)
    house.clock.pass_by(seconds=SECONDS / 4)
    house.deliver(*(on(f"i-{number}") for number in range(5, 10)))
    assert house.drain(most=3) == ()
    house.settle()
    assert [len(each) for each in house.groups] == [10]


def test_with_no_time_to_wait_each_pass_answers_what_it_took(house: House) -> None:
    house.deliver(on("i-a"), on("i-b"))
    assert len(house.drain(0)) == 1
    assert house.groups == [["i-a", "i-b"]]


# --- one is one ------------------------------------------------------------------------------------------------------


def test_the_same_finding_is_one_however_it_comes(house: House) -> None:
    finding = on("i-a")
    house.deliver(finding, account="210987654321")
    house.deliver(finding, account="999988887777")
    house.deliver(finding, source="sweep")
    (response,) = house.settle()
    house.clock.pass_by(days=1)
    house.deliver(finding)
    house.deliver(on("i-a", resource={"tags": {"remediation:response": response}}, updated_at=house.clock.now))
    assert house.settle() == ()
    assert [len(house.ledger.case_findings(row.id)) for row in house.ledger.cases()] == [1]
    assert house.groups == [["i-a"]]


def test_the_echo_of_our_own_tags_starts_nothing_after_its_response_either(house: House) -> None:
    house.deliver(on("i-a"))
    (response,) = house.settle()
    house.ledger.end_response(response, ResponseEnded(result="rejected", reason="not now"), {})
    house.deliver(on("i-a", updated_at=house.clock.pass_by(hours=1)))
    assert house.settle() == ()
    house.deliver(on("i-a", updated_at=house.clock.pass_by(hours=1), severity="HIGH"))
    assert len(house.settle()) == 1


def test_a_finding_that_closes_while_its_burst_settles_leaves_nothing_to_do(house: House) -> None:
    house.deliver(on("i-a"), on("i-b"))
    house.drain()
    delivery = house.deliver(on("i-a", status="CLOSED", updated_at=house.clock.pass_by(seconds=1)))
    house.settle()
    settled = house.ledger.delivery(delivery)
    assert settled is not None
    assert (settled.state, settled.code) == ("handled", None)
    assert (house.groups, house.case_on("i-a").status) == ([["i-b"]], "closed")
    house.deliver(on("i-a", updated_at=house.clock.pass_by(seconds=60)))
    house.settle()
    assert (house.groups, house.case_on("i-a").status) == ([["i-a", "i-b"]], "open")


class Picky(Ledger):
    """A ledger that cannot hold what is on one instance."""

    def take(self, sightings: Sequence[Sighting]) -> tuple[Taken, ...]:
        if any(each.finding.resource.id == "i-a" for each in sightings):
            raise BadInput("the database cannot hold this", code="not-recordable")
        return super().take(sightings)


def test_one_that_cannot_be_recorded_is_set_aside_and_keeps_no_other_one_waiting(house: House) -> None:
    house.ledger = Picky.open(house.ledger._database.url.render_as_string(), clock=house.clock)
    broken = house.deliver(on("i-a"))
    house.deliver(on("i-b"))
    house.settle()
    settled = house.ledger.delivery(broken)
    assert settled is not None
    assert (settled.state, settled.code, house.groups) == ("set-aside", "not-recordable", [["i-b"]])
    house.ledger.close()


# --- whatever the order, however often killed ------------------------------------------------------------------------


@dataclass
class Mortal:
    """A database whose process dies at one of its commits: before it, or right after it."""

    database: Any
    dies_at: tuple[int, bool] | None = None
    commits: int = 0

    def reading(self) -> Any:
        return self.database.reading()

    @contextmanager
    def writing(self, **how: Any) -> Iterator[Connection]:
        number, self.commits = self.commits, self.commits + 1
        with self.database.writing(**how) as connection:
            yield connection
            if self.dies_at == (number, False):
                raise Died
        if self.dies_at == (number, True):
            raise Died


INSTANCES = ("i-a", "i-b", "i-c", "i-d")
SIGHTINGS = [
    (instance, number, package, status, hours)
    for instance, package in zip(INSTANCES, ("libssl3", "libssl3", "zlib1g", "libssl3"), strict=True)
    for number, status, hours in ((1, "ACTIVE", 0), (2, "ACTIVE", 0), (2, "CLOSED", 1), (1, "ACTIVE", 2))
]
"""On every instance one finding that is sent again later, and one that closes."""


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.lists(st.sampled_from(SIGHTINGS), max_size=20).flatmap(lambda more: st.permutations([*SIGHTINGS, *more])),
    deaths=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=6),
    portion=st.integers(3, 9),
)
def test_any_order_any_repetition_and_any_death_end_in_the_same_cases_and_responses(
    ledgers: Path,
    tmp_path_factory: pytest.TempPathFactory,
    order: list[Any],
    deaths: list[tuple[int, bool]],
    portion: int,
) -> None:
    clock, file = Clock(), tmp_path_factory.mktemp("burst") / "ledger.db"
    shutil.copy(ledgers / EMPTY_LEDGER, file)
    ledger = Ledger.open(f"sqlite:///{file}", clock=clock)
    house, mortal = House(ledger, clock), Mortal(ledger._database)
    for instance, number, package, status, hours in order:
        house.deliver(on(instance, number, package, status=status, updated_at=MORNING + timedelta(hours=hours)))
    ledger._database = mortal  # type: ignore[assignment]
    for death in [*deaths, None, None]:
        mortal.dies_at, mortal.commits = death, 0
        try:
            house.drain(most=portion)
            if not ledger.pending(1):
                clock.pass_by(seconds=SECONDS / 4)
        except Died:
            pass
    ledger._database = mortal.database
    while ledger.pending(1):
        house.drain(most=portion)
    house.settle()

    assert {row.key.resource_id: row.status for row in ledger.cases()} == dict.fromkeys(INSTANCES, "open")
    assert house.groups == [["i-a", "i-b", "i-d"], ["i-c"]]
    for instance in INSTANCES:
        findings = ledger.case_findings(house.case_on(instance).id)
        newest = {finding.arn[-8:]: (finding.status, (finding.updated_at - MORNING)) for finding in findings}
        assert newest == {"00000001": ("ACTIVE", timedelta(hours=2)), "00000002": ("CLOSED", timedelta(hours=1))}
    assert ledger.verify().ok
    assert {delivery.state for delivery in ledger.deliveries(limit=100)} <= {"handled", "set-aside"}
    ledger.close()
