"""The record in PostgreSQL instead of a file: the same product, the same way of a finding."""

from __future__ import annotations

import pytest

from tests.end_to_end.product import Product

pytestmark = [pytest.mark.postgres]


def test_a_finding_goes_its_whole_way_with_the_ledger_in_postgresql(product_on_postgresql: Product) -> None:
    product = product_on_postgresql
    incident = product.deliver(6)
    incident.approve("contain", "remediate")
    assert incident.ended().result == "fixed"
    assert [plan.phase.value for plan in incident.history().plans.values()] == [
        "contain",
        "remediate",
        "verify",
        "release",
    ]
    assert incident.interfaces() == incident.interfaces(incident.before)
    verified = product.ledger.verify()
    assert verified.ok
    assert verified.entries > 50
    assert list(product.local.folder.glob("ledger*")) == [], "nothing is kept in a file beside it"
