"""The gate without being called: a scan that is complete is judged once, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any

import pytest

from tasks import gating
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tests.tasks.gating.judging import records
from tests.tasks.scanned import ACCOUNT, REGION, REPOSITORY, Registry
from tests.tasks.sweep_house import SweepHouse


def scan_event(registry: Registry, number: int = 1, **detail: Any) -> bytes:
    """Inspector's event that the initial scan of the bad image is complete."""
    arn, _, digest = registry.built["image_arn"].rpartition("/")
    event = {
        "version": "0",
        "id": f"00000000-0000-4000-8000-{number:012}",
        "detail-type": "Inspector2 Scan",
        "source": "aws.inspector2",
        "account": ACCOUNT,
        "time": "2026-03-02T09:15:31Z",
        "region": REGION,
        "resources": [arn],
        "detail": {
            "scan-status": "INITIAL_SCAN_COMPLETE",
            "repository-name": arn,
            "finding-severity-counts": {"CRITICAL": 0, "HIGH": 0, "MEDIUM": 0, "TOTAL": 0},
            "image-digest": digest,
            "image-tags": ["1.4.2"],
            "version": "1.0",
        }
        | detail,
    }
    return json.dumps(event).encode()


def drained(house: SweepHouse, *bodies: bytes) -> list[tuple[str, str | None]]:
    """State and code of each delivery, after one pass."""
    receipts = [house.ledger.receive(hashlib.sha256(body).hexdigest(), "webhook", body) for body in bodies]
    drain(house.ledger, house.catalog, gate=partial(gating.judge_scanned, house))
    found = [house.ledger.delivery(receipt.id) for receipt in receipts]
    return [(each.state, each.code) for each in found if each is not None]


def test_a_complete_scan_is_judged_without_being_asked_by_what_is_true_and_not_by_what_the_event_says(
    registry: Registry, house: SweepHouse
) -> None:
    assert drained(house, scan_event(registry)) == [("handled", None)]

    (record,) = records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")
    assert (record.ruling, record.gate) == ("refused", "default")
    assert record.by.startswith("delivery:")
    assert house.ledger.cases() == ()


def test_the_same_scan_is_judged_once_however_often_it_is_delivered(registry: Registry, house: SweepHouse) -> None:
    drained(house, scan_event(registry))
    assert drained(house, scan_event(registry, 2), scan_event(registry, 3)) == [("handled", None)] * 2

    assert len(records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")) == 1


def test_a_judgement_that_somebody_else_wrote_into_the_ledger_keeps_no_scan_from_being_judged(
    registry: Registry, house: SweepHouse
) -> None:
    stream = f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}"
    drained(house, scan_event(registry))
    (ours,) = records(house, stream)
    forged = ours.model_copy(update={"ruling": "passed", "refused": (), "signature": ""})
    other = house.again(Ledger.open(f"{house.settings.ledger}-forged", clock=house.clock, sign=house.sign))
    other.ledger.append(stream, forged)

    drained(other, scan_event(registry))

    assert [each.ruling for each in records(other, stream)] == ["passed", "refused"]
    other.ledger.close()


def test_a_pass_that_is_killed_while_the_gate_judges_loses_nothing(registry: Registry, house: SweepHouse) -> None:
    receipt = house.ledger.receive("one", "webhook", scan_event(registry))

    def killed(arn: str, delivery: str) -> None:
        gating.judge_scanned(house, arn, delivery)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain(house.ledger, house.catalog, gate=killed)
    assert [each.id for each in house.ledger.pending(10)] == [receipt.id]

    drain(house.ledger, house.catalog, gate=partial(gating.judge_scanned, house))
    assert house.ledger.pending(10) == ()
    assert len(records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")) == 1


def test_an_image_that_is_gone_by_now_is_set_aside_and_keeps_no_other_out(
    registry: Registry, house: SweepHouse
) -> None:
    gone = {"image-digest": f"sha256:{'00' * 32}"}
    assert drained(house, scan_event(registry, 1, **gone), scan_event(registry, 2)) == [
        ("set-aside", "no-such-image"),
        ("handled", None),
    ]


def test_without_a_gate_a_scan_is_set_aside(registry: Registry, house: SweepHouse) -> None:
    receipt = house.ledger.receive("one", "webhook", scan_event(registry))
    drain(house.ledger, house.catalog)
    delivery = house.ledger.delivery(receipt.id)
    assert delivery is not None
    assert (delivery.state, delivery.code) == ("set-aside", "no-gate")


def test_the_sweep_judges_what_was_scanned(registry: Registry, house: SweepHouse) -> None:
    house.ledger.receive("one", "webhook", scan_event(registry))

    swept = house.sweep()

    assert swept.deliveries == 1
    assert len(records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")) == 1
