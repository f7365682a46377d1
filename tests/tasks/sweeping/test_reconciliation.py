"""Findings that no delivery brought are fetched from the sandbox's Inspector, once, and go the way of every other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import Fault, FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.case import SYSTEM_STREAM, reconciliation_stream
from runbooks.inspector import to_detail
from runbooks.records import Missed, Reconciled
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.inspector import InspectorGateway
from tasks.sweeping.reconciliation import pull
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def house(
    tmp_path: Path, prefect: PrefectApi, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SweepHouse]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    with sweep_house(tmp_path, inspector_account=ACCOUNT, inspector_regions=f"{REGION}, eu-north-1") as opened:
        opened.clock.now = executor_aws.cloud.clock.now()
        opened.sweep()
        yield opened


@pytest.fixture
def pass_by(house: SweepHouse, executor_aws: Sandbox) -> Any:
    def both_clocks(minutes: float) -> None:
        executor_aws.advance(minutes * 60)
        house.clock.now = executor_aws.cloud.clock.now()

    return both_clocks


def states(house: SweepHouse, region: str = REGION) -> list[Reconciled]:
    entries = house.ledger.entries(reconciliation_stream(ACCOUNT, region))
    return [record for entry in entries if isinstance(record := entry.record(), Reconciled)]


def missed(house: SweepHouse) -> list[Missed]:
    records = (entry.record() for entry in house.ledger.entries(SYSTEM_STREAM))
    return [record for record in records if isinstance(record, Missed)]


def asked(sandbox: Sandbox) -> int:
    return sum(call["operation"] == "ListFindings" for call in sandbox.cloud.record.calls())


def test_a_finding_that_was_never_delivered_becomes_a_case(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any
) -> None:
    arn = executor_aws.furnish(an_event())["finding_arn"]
    pass_by(minutes=15)
    assert (house.sweep().missed, house.sweep().deliveries) == (1, 1)
    (record,) = missed(house)
    assert record.arn == arn
    delivery = house.ledger.delivery(record.delivery)
    assert delivery is not None
    assert (delivery.source, delivery.state) == ("sweep", "handled")
    assert house.case_on(INSTANCE).status == "open"
    assert [finding.arn for finding in house.ledger.case_findings(house.case_on(INSTANCE).id)] == [arn]
    assert [(each.listed, each.missed) for each in states(house)] == [(0, 0), (1, 1)]


def test_what_was_delivered_or_may_still_be_is_not_missed(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any
) -> None:
    arn = executor_aws.furnish(an_event())["finding_arn"]
    pass_by(minutes=15)
    on_its_way = executor_aws.furnish(an_event("i-0b00000000000000b", 2))["finding_arn"]
    executor_aws.cloud.world(ACCOUNT, REGION).findings[on_its_way].updated_at = house.now() - timedelta(minutes=4)
    house.ledger.receive("by webhook", "webhook", _listed(house, arn))
    assert (house.sweep().missed, missed(house)) == (0, [])
    assert [(each.listed, each.missed) for each in states(house)] == [(0, 0), (1, 0)]


def test_inspector_is_asked_only_when_it_is_time_and_once_for_each_region(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any
) -> None:
    before = asked(executor_aws)
    pass_by(minutes=14)
    house.sweep()
    assert asked(executor_aws) == before
    pass_by(minutes=1)
    house.sweep()
    house.sweep()
    assert asked(executor_aws) == before + 2
    assert [len(states(house, region)) for region in (REGION, "eu-north-1")] == [2, 2]


def test_each_look_begins_before_the_end_of_the_one_before(house: SweepHouse, pass_by: Any) -> None:
    for _ in range(3):
        pass_by(minutes=15)
        house.sweep()
    untils = [each.until for each in states(house)]
    assert [later - earlier for earlier, later in pairwise(untils)] == [timedelta(minutes=15)] * 3


@pytest.mark.parametrize(
    ("kind", "code"), [(FaultKind.THROTTLE, "throttled"), (FaultKind.SERVER_ERROR, "InternalError")]
)
def test_a_refusal_is_told_and_made_good_the_next_time(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any, kind: FaultKind, code: str
) -> None:
    executor_aws.furnish(an_event())
    pass_by(minutes=15)
    with executor_aws.cloud.lock:
        executor_aws.cloud.faults.inject(Fault("inspector2:ListFindings", kind, 10))
    assert {each.split(": ")[1] for each in house.sweep().troubles} == {code}
    assert house.sweep().troubles == [], "it is not asked again before the next time"
    first, refused = states(house)
    assert (refused.until, refused.trouble.partition(":")[0]) == (first.until, code)
    with executor_aws.cloud.lock:
        executor_aws.cloud.faults.clear()
    pass_by(minutes=15)
    assert (house.sweep().missed, house.sweep().troubles) == (1, [])


def test_a_person_is_told_of_what_is_on_its_way_too_and_the_sweep_goes_on_from_there(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any
) -> None:
    arn = executor_aws.furnish(an_event())["finding_arn"]
    pass_by(minutes=2)
    now = house.now()
    assert (pull(house, REGION, now, "pull").missed, pull(house, REGION, now, "pull").missed) == (1, 0)
    (record,) = missed(house)
    (delivery,) = house.ledger.pending()
    assert (record.arn, record.delivery, delivery.source) == (arn, delivery.id, "pull")
    assert [each.until for each in states(house)[1:]] == [now, now]
    pass_by(minutes=20)
    house.sweep()
    pass_by(minutes=1)
    house.sweep()
    assert (len(missed(house)), len(house.ledger.deliveries())) == (1, 1)


def test_what_was_before_the_first_time_is_asked_for_by_its_date(
    house: SweepHouse, executor_aws: Sandbox, pass_by: Any
) -> None:
    executor_aws.furnish(an_event())
    pass_by(minutes=10 * 24 * 60)
    house.ledger.append(
        reconciliation_stream(ACCOUNT, REGION),
        Reconciled(account=ACCOUNT, region=REGION, until=house.now() - timedelta(minutes=30)),
    )
    now = house.now()
    assert pull(house, REGION, now, "pull").missed == 0
    assert pull(house, REGION, now, "pull", now - timedelta(days=9)).missed == 0
    assert pull(house, REGION, now, "pull", now - timedelta(days=11)).missed == 1


def test_a_date_after_the_last_time_leaves_no_gap(house: SweepHouse, executor_aws: Sandbox, pass_by: Any) -> None:
    executor_aws.furnish(an_event())
    pass_by(minutes=60)
    assert pull(house, REGION, house.now(), "pull", house.now() - timedelta(minutes=1)).missed == 1


def _listed(house: SweepHouse, arn: str) -> bytes:
    """The finding as an event would bring it."""
    finding = InspectorGateway(AwsSessions(house.settings.role_arn, session_name="test")).findings(
        ACCOUNT, REGION, [arn]
    )[arn]
    assert finding is not None
    return json.dumps(to_detail(finding)).encode()
