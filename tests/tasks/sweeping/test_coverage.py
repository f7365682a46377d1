"""Inspector is said to scan something no more: it is asked, and only its own answer opens a question again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.case import COVERAGE, case_stream
from runbooks.records import CaseSuccessors, CoverageAsked, CoverageLost
from runbooks.verdict import VerdictKind
from tasks.intake import drain
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house

OTHER = "i-0b00000000000000b"
EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def open_house(
    tmp_path: Path, prefect: PrefectApi, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    opened: list[Any] = []

    def make(**settings: Any) -> SweepHouse:
        manager = sweep_house(tmp_path, **settings)
        opened.append(manager)
        house: SweepHouse = manager.__enter__()
        house.clock.now = executor_aws.cloud.clock.now()
        return house

    yield make
    for manager in opened:
        manager.__exit__(None, None, None)


@pytest.fixture
def house(open_house: Any, executor_aws: Sandbox) -> SweepHouse:
    """A case on an instance that is in the sandbox, with a response that nobody has begun."""
    house: SweepHouse = open_house()
    executor_aws.furnish(an_event())
    house.deliver()
    house.sweep()
    return house


def ended(house: SweepHouse, kind: VerdictKind | None, *, close: bool = False) -> None:
    row = house.newest(INSTANCE)
    house.take_over(row.id)
    house.end(row.id, str(kind or "person"), kind, close=close)
    house.clock.pass_by(minutes=5)


def said(house: SweepHouse, resource: str = INSTANCE, reason: str = "STALE_INVENTORY", number: int = 1) -> None:
    """A delivery says that the resource is scanned no more."""
    event = json.loads((EVENTS / "coverage_event.json").read_text()) | {"resources": [resource]}
    event["detail"]["scanStatus"]["reason"] = reason
    house.ledger.receive(f"coverage {resource} {reason} {number}", "webhook", json.dumps(event).encode())


def unmanage(sandbox: Sandbox, instance: str = INSTANCE) -> None:
    """The agent stops: Inspector does not scan the instance."""
    sandbox.cloud.world(ACCOUNT, REGION).nodes[instance].registered_at = None


def looks(house: SweepHouse) -> list[tuple[str, str]]:
    return [(row.purpose, row.status) for row in house.ledger.responses() if row.purpose == "verify"]


def answers(house: SweepHouse) -> list[tuple[str, str, int]]:
    records = [entry.record() for stream in house.ledger.streams(COVERAGE) for entry in house.ledger.entries(stream)]
    return [(each.status, each.reason, len(each.looks)) for each in records if isinstance(each, CoverageAsked)]


def lost(house: SweepHouse) -> list[CoverageLost]:
    entries = house.ledger.entries(case_stream(house.case_on(INSTANCE).id))
    return [record for entry in entries if isinstance(record := entry.record(), CoverageLost)]


def test_a_fixed_case_is_open_again_and_looked_at_when_inspector_confirms_it(
    house: SweepHouse, executor_aws: Sandbox
) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    findings = house.ledger.unanswered()
    unmanage(executor_aws)
    said(house)
    swept = house.sweep()
    assert (swept.asked, swept.troubles, looks(house)) == ([INSTANCE], [], [("verify", "starting")])
    assert house.case_on(INSTANCE).status == "open"
    assert house.newest(INSTANCE).cases == (house.case_on(INSTANCE).id,)
    (record,) = lost(house)
    assert (record.reason, record.status, record.reopens) == ("UNMANAGED_EC2_INSTANCE", "INACTIVE", True)
    assert answers(house) == [("INACTIVE", "UNMANAGED_EC2_INSTANCE", 1)]
    assert house.ledger.unanswered() == findings == ()
    assert house.sweep().asked == []
    house.ledger.rebuild()
    assert house.case_on(INSTANCE).status == "open"


def test_a_forged_word_leads_to_a_question_and_to_nothing_else(house: SweepHouse, executor_aws: Sandbox) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    said(house)
    assert house.sweep().asked == [INSTANCE]
    assert (looks(house), lost(house), house.case_on(INSTANCE).status) == ([], [], "closed")
    assert answers(house) == [("ACTIVE", "SUCCESSFUL", 0)]
    changing = [call for call in executor_aws.cloud.record.calls() if call["mutating"] and call["service"] != "sts"]
    assert changing == []


@pytest.mark.parametrize(
    ("kind", "number"), [(VerdictKind.FIXED, 1), (VerdictKind.NOT_FIXED, 1), (None, 1), (VerdictKind.UNVERIFIABLE, 0)]
)
def test_an_open_case_that_nobody_acts_on_is_looked_at_unless_it_will_be(
    house: SweepHouse, executor_aws: Sandbox, kind: VerdictKind | None, number: int
) -> None:
    ended(house, kind)
    unmanage(executor_aws)
    said(house)
    house.sweep()
    assert len(looks(house)) == number
    assert [each.reopens for each in lost(house)] == [False]


def test_whoever_acts_on_a_case_finds_it_out_by_themselves(house: SweepHouse, executor_aws: Sandbox) -> None:
    unmanage(executor_aws)
    said(house)
    house.sweep()
    assert (looks(house), len(lost(house))) == ([], 1)


def test_said_twice_it_is_looked_at_once(house: SweepHouse, executor_aws: Sandbox) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    unmanage(executor_aws)
    said(house)
    said(house, number=2)
    house.sweep()
    said(house, number=3)
    house.sweep()
    assert len(looks(house)) == 1
    assert len(lost(house)) == 2


def test_a_verdict_that_rests_on_the_successor_does_not_depend_on_what_it_replaced(
    house: SweepHouse, executor_aws: Sandbox
) -> None:
    case = house.case_on(INSTANCE).id
    replaced = CaseSuccessors(response=house.newest(INSTANCE).id, successors=(OTHER,))
    house.ledger.append(case_stream(case), replaced)
    ended(house, VerdictKind.FIXED, close=True)
    unmanage(executor_aws)
    said(house)
    assert (house.sweep().asked, looks(house)) == ([], [])
    executor_aws.furnish(an_event(OTHER, 2))
    unmanage(executor_aws, OTHER)
    said(house, OTHER)
    assert (house.sweep().asked, len(looks(house))) == ([OTHER], 1)
    assert [each.resource for each in lost(house)] == [OTHER]


def test_a_fixed_case_is_not_watched_for_ever(house: SweepHouse, executor_aws: Sandbox) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    house.clock.pass_by(hours=24 * 15)
    unmanage(executor_aws)
    said(house)
    assert (house.sweep().asked, looks(house), house.case_on(INSTANCE).status) == ([], [], "closed")


def test_while_inspector_does_not_answer_the_question_stays(house: SweepHouse, executor_aws: Sandbox) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    unmanage(executor_aws)
    said(house)
    executor_aws.cloud.faults.inject(Fault("inspector2:ListCoverage", FaultKind.THROTTLE, 10))
    first = house.sweep()
    assert (first.asked, [each.split(": ")[1] for each in first.troubles]) == ([], ["throttled"])
    assert house.case_on(INSTANCE).status == "closed"
    executor_aws.cloud.faults.clear()
    assert (house.sweep().asked, house.case_on(INSTANCE).status) == ([INSTANCE], "open")


def test_a_pass_that_died_after_opening_the_case_again_is_taken_up(house: SweepHouse, executor_aws: Sandbox) -> None:
    ended(house, VerdictKind.FIXED, close=True)
    unmanage(executor_aws)
    said(house)
    drain(house.ledger, house.catalog)
    written = CoverageLost(
        resource=INSTANCE,
        scan_type="PACKAGE",
        status="INACTIVE",
        reason="UNMANAGED_EC2_INSTANCE",
        reported=1,
        reopens=True,
    )
    house.ledger.append(case_stream(house.case_on(INSTANCE).id), written)
    house.sweep()
    assert (len(looks(house)), lost(house)) == (1, [written])


def test_a_gap_without_a_case_is_only_recorded_unless_somebody_wants_tickets(
    open_house: Any, executor_aws: Sandbox
) -> None:
    quiet: SweepHouse = open_house()
    said(quiet)
    quiet.sweep()
    assert (quiet.ledger.streams(COVERAGE), quiet.ledger.streams("notice/")) == ((), ())
    (delivery,) = quiet.ledger.deliveries()
    assert (delivery.state, delivery.code) == ("set-aside", "not-a-finding")


def test_a_gap_that_lasts_is_one_notice_for_each_resource_and_reason(open_house: Any, executor_aws: Sandbox) -> None:
    house: SweepHouse = open_house(coverage_gaps="ticket")
    executor_aws.furnish(an_event())
    executor_aws.furnish(an_event(OTHER, 2))
    unmanage(executor_aws)
    for number in range(3):
        said(house, number=number)
        said(house, OTHER, number=number)
    assert house.sweep().asked == []
    house.clock.pass_by(minutes=61)
    assert sorted(house.sweep().asked) == [INSTANCE, OTHER]
    subjects = [house.ledger.entries(stream)[0].body["subject"] for stream in house.ledger.streams("notice/")]
    assert subjects == [f"{INSTANCE} in {ACCOUNT}, {REGION}: PACKAGE UNMANAGED_EC2_INSTANCE"]
    said(house, number=9)
    house.sweep()
    house.clock.pass_by(minutes=61)
    house.sweep()
    assert len(house.ledger.streams("notice/")) == 1
