"""A delivery is kept once, until something has been decided about it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runbooks.case import SYSTEM_STREAM
from runbooks.errors import NotFound
from runbooks.records import Missed, SetAsideRecord
from tasks.gateways.ledger import Delivery, Ledger, Receipt
from tests.tasks.gateways.ledger.samples import MORNING, Clock, contents

BODY = b'{"odd": "\\u0000", "raw": "\xff"}'


def ids(deliveries: tuple[Delivery, ...]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_a_delivery_is_kept_byte_by_byte(ledger: Ledger) -> None:
    receipt = ledger.receive("event/1", "webhook", BODY)
    kept = Delivery(id=receipt.id, key="event/1", source="webhook", body=BODY, received_at=MORNING, state="pending")
    assert receipt.new
    assert ledger.pending() == ledger.deliveries() == (kept,)
    assert ledger.delivery(receipt.id) == kept
    assert ledger.delivery("delivery-0") is None


def test_the_same_key_again_is_the_same_delivery(ledger: Ledger, clock: Clock) -> None:
    first = ledger.receive("event/1", "webhook", b"first")
    clock.pass_by(minutes=1)
    assert ledger.receive("event/1", "webhook", b"second") == Receipt(id=first.id, new=False)
    assert [(kept.body, kept.received_at) for kept in ledger.pending()] == [(b"first", MORNING)]


def test_many_deliveries_are_kept_in_one_commit_each_as_it_would_be_alone(ledger: Ledger) -> None:
    known = ledger.receive("event/2", "webhook", b"two")
    batch = [("event/3", "sqs", b"3"), ("event/2", "sqs", b"2"), ("event/1", "sqs", b"1"), ("event/3", "sqs", b"again")]
    receipts = ledger.receive_all(batch)
    assert [receipt.new for receipt in receipts] == [True, False, True, False]
    assert receipts[1].id == known.id
    assert receipts[0].id == receipts[3].id
    kept = {(each.key, each.source, each.body, each.state) for each in ledger.deliveries()}
    assert kept == {
        ("event/1", "sqs", b"1", "pending"),
        ("event/2", "webhook", b"two", "pending"),
        ("event/3", "sqs", b"3", "pending"),
    }
    assert ledger.receive_all([]) == ()


def test_a_thousand_deliveries_and_more_are_one_commit_too(ledger: Ledger) -> None:
    batch = [(f"event/{number:04d}", "sqs", b"{}") for number in range(2500)]
    assert all(receipt.new for receipt in ledger.receive_all(batch))
    assert not any(receipt.new for receipt in ledger.receive_all(batch))
    assert [each.key for each in ledger.pending(5000)] == [key for key, *_ in batch]


def test_batches_with_keys_in_common_do_not_hold_each_other_up(
    url: str, opened: Callable[[str], Ledger], ledger: Ledger
) -> None:
    batch = [(f"event/{number}", "sqs", b"{}") for number in range(50)]
    started = threading.Barrier(4)
    new: list[int] = []

    def receive(turn: int) -> None:
        other = opened(url)
        started.wait()
        new.append(sum(receipt.new for receipt in other.receive_all(batch[turn * 10 :] + batch[: turn * 10])))

    threads = [threading.Thread(target=receive, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(new), sum(new), len(ledger.pending())) == (4, 50, 50)


def test_what_was_missed_is_kept_and_said_once(ledger: Ledger) -> None:
    first = ledger.receive_missed("sweep/1", "pull", "arn:1", b"{}")
    assert ledger.receive_missed("sweep/1", "sweep", "arn:1", b"{}") == Receipt(id=first.id, new=False)
    assert [(each.source, each.state) for each in ledger.deliveries()] == [("pull", "pending")]
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [Missed(arn="arn:1", delivery=first.id)]


def test_a_settled_delivery_does_not_come_back(ledger: Ledger) -> None:
    first = ledger.receive("event/1", "webhook", b"{}")
    ledger.settle(first.id)
    assert ledger.receive("event/1", "webhook", b"{}") == Receipt(id=first.id, new=False)
    assert ledger.pending() == ()


def test_one_of_many_at_once_is_new(ledger: Ledger) -> None:
    receipts: list[Receipt] = []

    def receive() -> None:
        receipts.append(ledger.receive("event/1", "webhook", b"{}"))

    threads = [threading.Thread(target=receive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receipt.new for receipt in receipts) == [False] * 7 + [True]
    assert len({receipt.id for receipt in receipts}) == len(ledger.pending()) == 1


def test_what_came_first_is_looked_at_first(ledger: Ledger) -> None:
    made = [ledger.receive(f"event/{number}", "webhook", b"{}").id for number in (3, 1, 2)]
    assert ids(ledger.pending(2)) == made[:2]
    ledger.settle(made[0])
    assert ids(ledger.pending()) == made[1:]
    assert ids(ledger.deliveries(limit=2)) == [made[2], made[1]]
    assert ids(ledger.deliveries("handled")) == [made[0]]


def test_a_delivery_is_settled_once(ledger: Ledger, clock: Clock) -> None:
    receipt = ledger.receive("event/1", "webhook", b"{}")
    later = clock.pass_by(minutes=1)
    assert ledger.settle(receipt.id) is True
    clock.pass_by(minutes=1)
    assert ledger.settle(receipt.id, "set-aside", "unknown-kind", "too late") is False
    settled = ledger.delivery(receipt.id)
    assert settled is not None
    assert (settled.state, settled.settled_at, settled.code) == ("handled", later, None)
    assert ledger.entries(SYSTEM_STREAM) == ()


def test_what_is_set_aside_is_written_down_and_kept(ledger: Ledger) -> None:
    receipt = ledger.receive("event/1", "webhook", BODY)
    ledger.settle(receipt.id, "set-aside", "not-a-finding", "a scan event")
    (kept,) = ledger.deliveries("set-aside")
    assert (kept.body, kept.code, kept.reason) == (BODY, "not-a-finding", "a scan event")
    record = SetAsideRecord(
        delivery=receipt.id, code="not-a-finding", what="a delivery from webhook", reason="a scan event"
    )
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [record]


def test_the_unreadable_is_set_aside_as_it_arrives_and_once(ledger: Ledger) -> None:
    first = ledger.receive_set_aside("body/1", "webhook", b"{", "not-json", "it ends too soon")
    before = contents(ledger)
    again = ledger.receive_set_aside("body/1", "webhook", b"{", "not-json", "it ends too soon")
    assert (first.new, again) == (True, Receipt(id=first.id, new=False))
    assert contents(ledger) == before
    assert ledger.pending() == ()
    record = SetAsideRecord(
        delivery=first.id, code="not-json", what="a delivery from webhook", reason="it ends too soon"
    )
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [record]
    (kept,) = ledger.deliveries("set-aside")
    assert (kept.body, kept.settled_at, kept.code) == (b"{", MORNING, "not-json")


def test_a_delivery_that_is_not_there_cannot_be_settled(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.settle("delivery-0")
