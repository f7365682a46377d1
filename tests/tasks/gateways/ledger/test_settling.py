"""Deliveries settled by the hundred are settled as one by one: once, and what is set aside is written down."""

from __future__ import annotations

from runbooks.case import SYSTEM_STREAM
from runbooks.records import SetAsideRecord
from tasks.gateways.ledger import Ledger, Settlement
from tests.tasks.gateways.ledger.samples import Clock, contents


def test_each_is_settled_with_its_reason_and_only_once(ledger: Ledger, clock: Clock) -> None:
    ids = [ledger.receive(f"key-{number}", "webhook", b"{}").id for number in range(4)]
    ledger.settle(ids[0])
    at = clock.pass_by(seconds=1)
    settlements = [
        Settlement(ids[0], "set-aside", "not-json", "too late"),
        Settlement(ids[1], "handled"),
        Settlement(ids[2], "set-aside", "not-json", "it is none"),
    ]
    assert ledger.settle_all(settlements) == 2
    rows = {row.id: (row.state, row.code, row.reason, row.settled_at == at) for row in ledger.deliveries()}
    assert rows == {
        ids[0]: ("handled", None, None, False),
        ids[1]: ("handled", None, None, True),
        ids[2]: ("set-aside", "not-json", "it is none", True),
        ids[3]: ("pending", None, None, False),
    }
    told = SetAsideRecord(delivery=ids[2], code="not-json", what="a delivery from webhook", reason="it is none")
    assert [entry.record() for entry in ledger.entries(SYSTEM_STREAM)] == [told]
    before = contents(ledger)
    assert (ledger.settle_all(settlements), ledger.settle_all([])) == (0, 0)
    assert contents(ledger) == before
