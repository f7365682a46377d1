"""What one payload may cost: no name is too long for the ledger, no list too long to read, no reason to write down."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbooks.case import COVERAGE, SYSTEM_STREAM
from runbooks.catalog import Catalog
from runbooks.inspector_json import LONGEST_NAME
from runbooks.records import SetAsideRecord
from tasks.gateways.ledger import Ledger
from tasks.intake import drain

EVENTS = Path(__file__).parent.parent / "events"
CATALOG = Catalog.read()
FOREIGN = {"SchemaVersion": "2018-10-08", "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/guardduty"}
"""A finding of another product, as Security Hub has it."""
TOO_LONG = "".join(random.Random(1).choices([chr(0x10000 + n) for n in range(4_096)], k=LONGEST_NAME))
"""As many characters as a name may have, of four bytes each, which do not compress: PostgreSQL indexes 2,704 bytes."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    on_sqlite = request.param == "sqlite"
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db" if on_sqlite else request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


@pytest.fixture
def on_postgresql(postgres_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(postgres_url)
    yield opened
    opened.close()


def event(name: str = "ec2_package_event", **detail: Any) -> dict[str, Any]:
    """A fixture's event with some members of its detail changed."""
    read = json.loads((EVENTS / f"{name}.json").read_text())
    read["detail"] |= detail
    return read


def outcomes(ledger: Ledger, *payloads: object) -> list[tuple[str, str | None]]:
    """State and code of each, after one pass over all of them."""
    taken = [ledger.receive(str(number), "webhook", json.dumps(each).encode()) for number, each in enumerate(payloads)]
    drain(ledger, CATALOG, gaps=True)
    found = [ledger.delivery(each.id) for each in taken]
    return [(each.state, each.code) for each in found if each is not None]


def on(resource: str) -> dict[str, Any]:
    """A finding on a resource with this id."""
    made = event(findingArn="arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000002")
    made["detail"]["resources"][0]["id"] = resource
    return made


def test_a_name_that_no_database_indexes_keeps_no_other_delivery_out(ledger: Ledger) -> None:
    longer = "a" * (LONGEST_NAME + 1)
    lost = event("coverage_event") | {"resources": [longer]}

    assert outcomes(ledger, event(findingArn=longer), on(longer), lost, event()) == [
        ("set-aside", "malformed-finding"),
        ("set-aside", "malformed-finding"),
        ("set-aside", "not-a-finding"),
        ("handled", None),
    ]
    assert len(ledger.cases()) == len(ledger.responses()) == 1


@pytest.mark.postgres
def test_what_postgresql_cannot_index_is_set_aside_alone_and_the_next_pass_is_free(on_postgresql: Ledger) -> None:
    lost = event("coverage_event") | {"resources": [TOO_LONG]}

    assert outcomes(on_postgresql, event(findingArn=TOO_LONG), on(TOO_LONG), lost, event()) == [
        ("set-aside", "not-recordable"),
        ("set-aside", "not-recordable"),
        ("set-aside", "not-recordable"),
        ("handled", None),
    ]
    assert on_postgresql.pending() == ()
    (case,) = on_postgresql.cases()
    assert case.key.resource_id == "i-0a1b2c3d4e5f60718"
    assert on_postgresql.streams(COVERAGE) == ()
    reasons = [each.reason or "" for each in on_postgresql.deliveries("set-aside")]
    assert all("the database cannot hold this: index row size " in each and "\n" not in each for each in reasons)


def test_what_is_said_of_a_delivery_is_short_however_much_of_it_is_set_aside(ledger: Ledger) -> None:
    bad, foreign = [0] * 4_000, [FOREIGN] * 20
    body = {"findings": [*bad, *foreign, event()["detail"]]}

    assert outcomes(ledger, body, {"findings": bad}) == [("handled", None), ("set-aside", "malformed-finding")]

    of_all, of_none = (each.reason or "" for each in reversed(ledger.deliveries()))
    assert of_all.startswith("taken into case-")
    parts = of_all.split("; ")
    assert len(parts) == 1 + 10 + 1 + 10 + 1
    assert (parts[11], parts[-1]) == ("inspector-finding: 3,990 more", "security-hub-finding: 10 more")
    assert all(len(each) < 4_000 for each in (of_all, of_none))
    recorded = [each.record() for each in ledger.entries_of(SYSTEM_STREAM, "set-aside")]
    assert [each.reason for each in recorded if isinstance(each, SetAsideRecord)] == [of_none]


def test_a_kind_of_which_much_is_set_aside_hides_no_other_from_whoever_replays_it(ledger: Ledger) -> None:
    outcomes(ledger, {"findings": [*[0] * 50, FOREIGN]})

    (delivery,) = ledger.deliveries()
    assert ledger.set_aside(kind="security-hub-finding") == ledger.set_aside(kind="inspector-finding") == (delivery.id,)


def test_a_list_of_more_than_anybody_sends_is_set_aside_as_one(ledger: Ledger) -> None:
    (receipt,) = [ledger.receive("one", "webhook", json.dumps({"findings": [0] * 300_000}).encode())]
    drain(ledger, CATALOG)

    delivery = ledger.delivery(receipt.id)
    assert delivery is not None
    assert (delivery.state, delivery.code) == ("set-aside", "too-many")
    assert delivery.reason == ("finding-list: $.findings lists 300,000 findings, more than 5,000: send fewer at a time")
    assert len(delivery.body) == 900_014
