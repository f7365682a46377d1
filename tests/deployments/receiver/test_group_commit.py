"""Deliveries that come together are written together, and each is answered for by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from deployments.receiver.group_commit import MOST_TOGETHER, GroupCommit
from runbooks.errors import LedgerError
from tasks.gateways.ledger import Ledger, Receipt
from tasks.gateways.ledger.inbox import Incoming
from tests.deployments.receiver.commits import Door, commits_of, keys


def test_what_comes_together_is_one_transaction(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> list[Receipt]:
        group = GroupCommit(ledger.receive_all)
        return await asyncio.gather(*(group.keep(f"key-{number}", "webhook", b"{}") for number in range(MOST_TOGETHER)))

    receipts = asyncio.run(run())
    assert len(commits) == 1
    assert [receipt.new for receipt in receipts] == [True] * MOST_TOGETHER
    assert keys(ledger) == sorted(f"key-{number}" for number in range(MOST_TOGETHER))


def test_more_than_a_transaction_holds_takes_the_next(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> None:
        group = GroupCommit(ledger.receive_all)
        await asyncio.gather(
            *(group.keep(f"key-{number}", "webhook", b"{}") for number in range(2 * MOST_TOGETHER + 1))
        )

    asyncio.run(run())
    assert (len(commits), len(keys(ledger))) == (3, 2 * MOST_TOGETHER + 1)


def test_those_who_come_while_others_are_let_in_are_written_with_them(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> None:
        group = GroupCommit(ledger.receive_all)

        async def come(number: int) -> None:
            for _ in range(2 * number):
                await asyncio.sleep(0)
            await group.keep(f"key-{number}", "webhook", b"{}")

        await asyncio.gather(*map(come, range(20)))

    asyncio.run(run())
    assert (len(commits), len(keys(ledger))) == (1, 20)


def test_nobody_is_let_in_beyond_what_a_transaction_holds(ledger: Ledger) -> None:
    sizes: list[int] = []

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        sizes.append(len(batch))
        return ledger.receive_all(batch)

    async def run() -> None:
        group, coming = GroupCommit(write), list[asyncio.Task[Receipt]]()
        while not sizes:
            coming.append(asyncio.create_task(group.keep(f"key-{len(coming)}", "webhook", b"{}")))
            await asyncio.sleep(0)
        await asyncio.gather(*coming)

    asyncio.run(run())
    assert sizes[0] == MOST_TOGETHER


def test_each_gets_the_receipt_of_its_own_delivery(ledger: Ledger) -> None:
    async def run() -> list[Receipt]:
        group = GroupCommit(ledger.receive_all)
        return await asyncio.gather(*(group.keep(key, "webhook", b"{}") for key in ("b", "a", "b", "c", "a")))

    receipts = asyncio.run(run())
    assert [receipt.new for receipt in receipts] == [True, True, False, True, False]
    assert [receipt.id for receipt in receipts] == [
        ledger.receive(key, "", b"").id for key in ("b", "a", "b", "c", "a")
    ]


def test_a_batch_that_cannot_be_written_is_answered_for_by_none_of_it(ledger: Ledger) -> None:
    calls: list[int] = []

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        calls.append(len(batch))
        raise LedgerError("the disk is full")

    async def run() -> list[Receipt | BaseException]:
        group = GroupCommit(write)
        keeping = (group.keep(f"key-{number}", "webhook", b"{}") for number in range(5))
        return await asyncio.gather(*keeping, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [LedgerError] * 5
    assert calls == [5], "a ledger that cannot be written is not asked once more for each"


def test_after_a_batch_that_failed_the_next_one_is_written(ledger: Ledger) -> None:
    faults = [LedgerError("away"), None]

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        if fault := faults.pop(0):
            raise fault
        return ledger.receive_all(batch)

    async def run() -> Receipt:
        group = GroupCommit(write)
        with pytest.raises(LedgerError):
            await group.keep("key", "webhook", b"{}")
        return await group.keep("key", "webhook", b"{}")

    assert asyncio.run(run()).new
    assert keys(ledger) == ["key"]


def test_one_that_cannot_be_kept_fails_alone(ledger: Ledger) -> None:
    async def run() -> list[Receipt | BaseException]:
        group = GroupCommit(ledger.receive_all)
        keeping = (group.keep(key, "webhook", b"{}") for key in ("a", "b", "half a pair: \ud800", "c"))
        return await asyncio.gather(*keeping, return_exceptions=True)

    outcomes = asyncio.run(run())
    assert [isinstance(outcome, Receipt) for outcome in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], UnicodeEncodeError)
    assert keys(ledger) == ["a", "b", "c"]


def test_when_too_many_wait_the_next_is_refused_at_once(ledger: Ledger) -> None:
    door = Door(ledger)

    async def run() -> None:
        group = GroupCommit(door.receive_all, most_waiting=2)
        taken = [asyncio.create_task(group.keep("0", "webhook", b"{}"))]
        await asyncio.to_thread(door.reached.wait)
        taken += [asyncio.create_task(group.keep(key, "webhook", b"{}")) for key in ("1", "2")]
        with pytest.raises(LedgerError) as refused:
            await asyncio.create_task(group.keep("3", "webhook", b"{}"))
        assert refused.value.code == "ledger-busy"
        door.opened.set()
        await asyncio.gather(*taken)

    asyncio.run(run())
    assert (keys(ledger), door.batches) == (["0", "1", "2"], [1, 2])


def test_one_who_goes_away_takes_nobody_with_him(ledger: Ledger) -> None:
    door = Door(ledger)

    async def run() -> Receipt:
        group = GroupCommit(door.receive_all)
        leaving = asyncio.create_task(group.keep("a", "webhook", b"{}"))
        staying = asyncio.create_task(group.keep("b", "webhook", b"{}"))
        await asyncio.to_thread(door.reached.wait)
        leaving.cancel()
        door.opened.set()
        return await staying

    assert asyncio.run(run()).new
    assert keys(ledger) == ["a", "b"]
