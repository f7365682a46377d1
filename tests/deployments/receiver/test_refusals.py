"""A flood of refused requests is counted, and cannot fill the ledger."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.receiver.refusals import Refusals
from runbooks.case import SYSTEM_STREAM
from runbooks.chain import Entry
from runbooks.records import Record, SetAsideRecord
from tasks.gateways.ledger import Lease, Ledger


@pytest.fixture
def ledger(tmp_path: Path, empty_ledger: Path) -> Iterator[Ledger]:
    shutil.copy(empty_ledger, tmp_path)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", wait_seconds=0.2)
    yield ledger
    ledger.close()


def written(ledger: Ledger) -> list[tuple[str, str]]:
    records = [entry.record() for entry in ledger.entries(SYSTEM_STREAM)]
    return [(record.code, record.reason) for record in records if isinstance(record, SetAsideRecord)]


class Noticing(Ledger):
    """A ledger that tells of its second entry."""

    def __init__(self, ledger: Ledger, tell: Callable[[], object]) -> None:
        super().__init__(ledger._database, ledger._clock)
        self._tell = tell

    def append(self, stream: str, *records: Record, lease: Lease | None = None) -> tuple[Entry, ...]:
        made = super().append(stream, *records, lease=lease)
        if made[-1].sequence == 2:
            self._tell()
        return made


async def flood(refusals: Refusals, times: int, code: str = "wrong-signature") -> None:
    for _ in range(times):
        await refusals.note(code, "not Slack's")


def test_the_first_of_each_kind_is_written_at_once_and_the_rest_by_their_number(ledger: Ledger) -> None:
    async def story() -> None:
        refusals = Refusals(ledger, "a request")
        await flood(refusals, 1_000)
        await flood(refusals, 1, "replayed")
        assert written(ledger) == [("wrong-signature", "not Slack's"), ("replayed", "not Slack's")]
        await refusals.flush("wrong-signature")
        await refusals.flush("replayed")
        await flood(refusals, 1, "replayed")

    asyncio.run(story())
    assert written(ledger)[2:] == [("wrong-signature", "not Slack's (999 times)"), ("replayed", "not Slack's")]


def test_the_number_is_written_without_another_request(ledger: Ledger) -> None:
    async def story() -> None:
        second, loop = asyncio.Event(), asyncio.get_running_loop()
        refusals = Refusals(Noticing(ledger, lambda: loop.call_soon_threadsafe(second.set)), "a request", pause=0.05)
        await flood(refusals, 2)
        await asyncio.wait_for(second.wait(), 60)

    asyncio.run(story())
    assert written(ledger) == [("wrong-signature", "not Slack's")] * 2


def test_what_could_not_be_written_is_counted_and_written_later(ledger: Ledger, tmp_path: Path) -> None:
    holder = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")

    async def story() -> None:
        refusals = Refusals(ledger, "a request")
        with holder._database.writing():
            await flood(refusals, 2)
        await refusals.flush("wrong-signature")

    asyncio.run(story())
    holder.close()
    assert written(ledger) == [("wrong-signature", "not Slack's (2 times)")]
