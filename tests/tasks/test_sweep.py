"""One pass of the sweep: what concerns one response does not keep the others waiting. There is no Prefect here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from pydantic import SecretStr

from runbooks.errors import LedgerError
from runbooks.records import ResponseEnded
from tasks.gateways.ledger import ApprovalRow, Delivery, Ledger
from tasks.services import Services
from tasks.settings import Settings
from tasks.sweep import Swept, sweep
from tests.tasks.gateways.ledger.samples import MORNING, Clock, question, start
from tests.tasks.sweep_house import SIGNING_KEY

NOBODY = "http://127.0.0.1:9/api"
FLOW_RUN = "6f0c1f0e-7d39-4a55-9f0a-0f3f1b6a2c11"
TOMORROW = MORNING + timedelta(days=1)


class BusyLedger(Ledger):
    """A ledger in which somebody else is at work, and whose inbox may not be readable."""

    ends: str | None = None
    """The response that ends between the sweep's look at its question and its answer."""
    inbox_is_broken = False

    def expired_approvals(self, now: datetime) -> tuple[ApprovalRow, ...]:
        found = super().expired_approvals(now)
        if self.ends is not None:
            self.end_response(self.ends, ResponseEnded(result="person", reason="somebody ended it"), {})
        return found

    def pending(self, limit: int = 100) -> tuple[Delivery, ...]:
        if self.inbox_is_broken:
            raise LedgerError("the inbox cannot be read")
        return super().pending(limit)


@dataclass(frozen=True)
class House(Services):
    """The services of one sweep, around a ledger and a time of the test's own."""

    at: datetime = TOMORROW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[BusyLedger]:
    opened = BusyLedger.open(f"sqlite:///{tmp_path}/ledger.db", clock=Clock())
    yield opened
    opened.close()


@pytest.fixture
def have(tmp_path: Path, ledger: BusyLedger) -> House:
    house = House(Settings(home=tmp_path, signing_key=SecretStr(SIGNING_KEY)))
    vars(house)["ledger"] = ledger
    return house


def swept(have: House) -> Swept:
    with temporary_settings({PREFECT_API_URL: NOBODY, PREFECT_CLIENT_MAX_RETRIES: 0}):
        return asyncio.run(sweep(have))


def asked(ledger: Ledger, resource: str, digest: str) -> str:
    response = start(ledger, resource)
    ledger.ask(response, question(digest=digest).model_copy(update={"flow_run": FLOW_RUN}))
    return response


def about(found: Swept) -> list[str]:
    """What each trouble is about."""
    return [trouble.partition(":")[0] for trouble in found.troubles]


def test_a_response_that_ends_while_its_question_expires_keeps_no_other_question_open(
    have: House, ledger: BusyLedger
) -> None:
    ended, other = asked(ledger, "i-0a", "a" * 64), asked(ledger, "i-0b", "b" * 64)
    ledger.ends = ended

    found = swept(have)

    assert found.expired == [other]
    assert found.troubles[0] == f"{ended}: response-ended: {ended} has ended: person"
    assert [row.answer for each in (ended, other) for row in ledger.approvals(each)] == ["superseded", "expired"]


def test_an_inbox_that_cannot_be_read_keeps_no_response_waiting(have: House, ledger: BusyLedger) -> None:
    ledger.inbox_is_broken = True
    response = asked(ledger, "i-0a", "a" * 64)

    found = swept(have)

    assert found.troubles[0] == "inbox: ledger: the inbox cannot be read"
    assert (found.deliveries, found.expired) == (0, [response])


def test_a_response_is_visited_once_in_a_pass_though_its_status_changes_on_the_way(
    have: House, ledger: BusyLedger
) -> None:
    response = start(ledger, "i-0a")

    found = swept(have)

    row = ledger.response(response)
    assert row is not None
    assert (row.status, row.attempt, row.flow_run) == ("starting", 1, None)
    assert about(found) == [response]
