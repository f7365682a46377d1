"""The gate without being called: a scan that is complete is judged once, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runbooks.catalog import gate_file, read_gate
from runbooks.gating import ImageName
from runbooks.records import GateJudged, GateWaiting, SetAsideRecord
from tasks import gate_evidence
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tasks.sweeping import gating
from tasks.sweeping.swept import Swept
from tests.tasks.gating.judging import judged, records
from tests.tasks.scanned import ACCOUNT, REGION, REPOSITORY, Registry
from tests.tasks.sweep_house import SweepHouse, sweep_house


def scan_event(registry: Registry, number: int = 1, image: str = "", **detail: Any) -> bytes:
    """Inspector's event that the initial scan is complete, of the bad image where no other is named."""
    arn, _, digest = (image or registry.built["image_arn"]).rpartition("/")
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


def taken_in(house: SweepHouse, *bodies: bytes) -> list[tuple[str, str | None]]:
    """State and code of each delivery, after one pass over the inbox."""
    receipts = [house.ledger.receive(hashlib.sha256(body).hexdigest(), "webhook", body) for body in bodies]
    drain(house.ledger, house.catalog, gate=partial(gating.request_judgement, house))
    found = [house.ledger.delivery(receipt.id) for receipt in receipts]
    return [(each.state, each.code) for each in found if each is not None]


def judge(house: SweepHouse) -> Swept:
    """The end of a sweep."""
    swept = Swept()
    asyncio.run(gating.judge_waiting(house, house.now(), swept))
    return swept


def drained(house: SweepHouse, *bodies: bytes) -> list[tuple[str, str | None]]:
    """As `taken_in`; then the gate judges."""
    became = taken_in(house, *bodies)
    assert judge(house).troubles == []
    return became


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


@pytest.mark.parametrize("judges_first", [False, True])
def test_a_pass_that_is_killed_once_the_gate_was_asked_loses_nothing(
    registry: Registry, house: SweepHouse, judges_first: bool
) -> None:
    receipt = house.ledger.receive("one", "webhook", scan_event(registry))

    def killed(arn: str, delivery: str) -> None:
        gating.request_judgement(house, arn, delivery)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain(house.ledger, house.catalog, gate=killed)
    assert [each.id for each in house.ledger.pending(10)] == [receipt.id]

    if judges_first:
        judge(house)
    drained(house)
    assert house.ledger.pending(10) == ()
    assert len(records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")) == 1


def test_an_image_that_is_gone_by_now_cannot_be_told_and_keeps_no_other_out(
    registry: Registry, house: SweepHouse
) -> None:
    digest = f"sha256:{'00' * 32}"
    gone = [scan_event(registry, number, **{"image-digest": digest}) for number in (1, 2)]

    assert drained(house, gone[0], scan_event(registry, 3)) == [("handled", None)] * 2
    drained(house, gone[1])

    rulings = [
        records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{each}") for each in (digest, registry.built["digest"])
    ]
    assert [[each.ruling for each in found] for found in rulings] == [["cannot-tell"], ["refused"]]
    assert rulings[0][0].reasons[0].startswith("no-such-image: ")


def test_what_waits_in_the_inbox_does_not_wait_for_the_gate(
    registry: Registry, house: SweepHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of scans are taken in without a call to AWS; each pass judges so many, and the next ones the rest."""
    monkeypatch.setattr(gating, "MOST", 2)
    scans = [scan_event(registry, number, **{"image-digest": f"sha256:{number:064x}"}) for number in range(5)]
    for number, body in enumerate(scans):
        house.ledger.receive(str(number), "webhook", body)
    house.deliver()

    drain(house.ledger, house.catalog, gate=partial(gating.request_judgement, house))

    assert registry.calls() == []
    assert len(house.ledger.cases()) == len(house.ledger.responses()) == 1
    reasons = [each.reason for each in house.ledger.deliveries("handled")]
    assert reasons[-1] == f"the gate is to judge {registry.built['image_arn'].rpartition('/')[0]}/sha256:{0:064x}"
    assert [len(judge(house).judged) for _ in range(4)] == [2, 2, 1, 0]
    assert house.ledger.newest("gate/", "gate-waiting") == ()


def test_without_a_gate_a_scan_is_set_aside(registry: Registry, house: SweepHouse) -> None:
    receipt = house.ledger.receive("one", "webhook", scan_event(registry))
    drain(house.ledger, house.catalog)
    delivery = house.ledger.delivery(receipt.id)
    assert delivery is not None
    assert (delivery.state, delivery.code) == ("set-aside", "no-gate")


def test_the_sweep_judges_what_was_scanned(registry: Registry, house: SweepHouse) -> None:
    house.ledger.receive("one", "webhook", scan_event(registry))

    swept = house.sweep()

    assert (swept.deliveries, swept.judged, swept.troubles) == (1, [registry.bad], [])
    assert swept.words == f"deliveries: 1; shown to the gate: {registry.bad}"
    assert len(records(house, f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}")) == 1


# --- word that comes before Inspector shows the scan ------------------------------------------------------------------


@pytest.fixture
def early(registry: Registry) -> str:
    """Inspector's name of the image that it is still to scan."""
    digest = judged(registry, registry.good).subject.digest
    assert digest is not None
    registry.forget_calls()
    return ImageName.parse(registry.good).arn(digest)


def stream_of(arn: str) -> str:
    name = ImageName.parse(arn)
    return f"gate/{name.account}/{name.region}/{name.repository}@{name.digest}"


def told(house: SweepHouse, arn: str) -> list[GateJudged | GateWaiting | SetAsideRecord]:
    """All that was written after the gate was asked."""
    found = [entry.record() for entry in house.ledger.entries(stream_of(arn))]
    assert all(isinstance(each, GateJudged | GateWaiting | SetAsideRecord) for each in found)
    return [each for each in found if not _only_asks(each)]  # type: ignore[misc]


def _only_asks(record: object) -> bool:
    return isinstance(record, GateWaiting) and record.since == record.look_again_at


def kinds(house: SweepHouse, arn: str) -> list[str]:
    return [each.kind for each in told(house, arn)]


def test_word_that_comes_before_inspector_shows_the_scan_is_waited_with(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    assert drained(house, scan_event(registry, image=early)) == [("handled", None)]

    (waiting,) = told(house, early)
    assert isinstance(waiting, GateWaiting)
    assert waiting.model_dump(exclude={"kind", "delivery"}) == {
        "since": house.now(),
        "reason": "its initial scan is still to come (PENDING_INITIAL_SCAN)",
        "look_again_at": house.now() + timedelta(seconds=15),
    }


def test_it_is_judged_again_when_its_time_has_come_and_then_no_more(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    drained(house, scan_event(registry, image=early))
    registry.scan()
    registry.forget_calls()
    house.clock.pass_by(seconds=14)
    assert house.sweep().judged == []
    assert registry.calls() == []

    house.clock.pass_by(seconds=1)
    swept = house.sweep()

    assert (swept.judged, swept.troubles) == ([str(ImageName.parse(early))], [])
    waiting, record = told(house, early)
    assert isinstance(waiting, GateWaiting)
    assert isinstance(record, GateJudged)
    assert (record.ruling, record.by) == ("passed", f"delivery:{waiting.delivery}")
    assert house.signer.verifies(stream_of(early), record)
    registry.forget_calls()
    house.clock.pass_by(minutes=60)
    assert house.sweep().judged == []
    assert registry.calls() == []


def test_the_pauses_grow_and_when_the_waiting_is_over_it_stays_that_nobody_can_tell(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    began = house.now()
    drained(house, scan_event(registry, image=early))
    for seconds in (15, 30, 60, 120, 240, 480, 900):
        waiting = told(house, early)[-1]
        assert isinstance(waiting, GateWaiting)
        assert waiting.look_again_at == began + timedelta(seconds=seconds)
        house.clock.now = waiting.look_again_at
        house.sweep()

    last = told(house, early)[-1]
    assert isinstance(last, GateJudged)
    assert (last.ruling, last.reasons) == (
        "cannot-tell",
        ("after 15 min: its initial scan is still to come (PENDING_INITIAL_SCAN)",),
    )


def test_word_that_is_sent_again_makes_no_second_record_whatever_came_of_the_first(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    drained(house, scan_event(registry, 1, early), scan_event(registry, 2, early))
    assert drained(house, scan_event(registry, 3, early)) == [("handled", None)]
    assert kinds(house, early) == ["gate-waiting"]

    house.clock.pass_by(minutes=15)
    house.sweep()
    drained(house, scan_event(registry, 4, early))
    assert kinds(house, early) == ["gate-waiting", "gate-judged", "set-aside"]
    aside = told(house, early)[-1]
    assert isinstance(aside, SetAsideRecord)
    assert aside.model_dump(exclude={"kind", "delivery"}) == {
        "code": "judged-already",
        "what": "a complete scan",
        "reason": "these rules have judged this scan already",
    }

    registry.scan()
    drained(house, scan_event(registry, 5, early), scan_event(registry, 6, early))
    assert [each.ruling for each in told(house, early) if isinstance(each, GateJudged)] == ["cannot-tell", "passed"]


def test_how_long_the_gate_waits_for_inspector_is_counted_from_the_first_look(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    taken_in(house, scan_event(registry, image=early))
    house.clock.pass_by(minutes=60)

    judge(house)

    waiting = told(house, early)[-1]
    assert isinstance(waiting, GateWaiting)
    assert (waiting.since, waiting.look_again_at) == (house.now(), house.now() + timedelta(seconds=15))


def test_what_will_never_be_told_is_judged_once_and_not_waited_with(registry: Registry, house: SweepHouse) -> None:
    registry.ecr().put_registry_scanning_configuration(scanType="ENHANCED", rules=[])

    drained(house, scan_event(registry), scan_event(registry, 2))

    (record,) = told(house, registry.built["image_arn"])
    assert isinstance(record, GateJudged)
    assert record.ruling == "cannot-tell"
    assert record.reasons[0].endswith("(INACTIVE, SCAN_FREQUENCY_MANUAL)")


def test_what_somebody_asks_by_command_meanwhile_does_not_end_the_waiting(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    too_early = judged(registry, registry.good, read_gate(gate_file("default")), have=house)
    gate_evidence.record(house, too_early, "command:jane")
    drained(house, scan_event(registry, image=early))
    gate_evidence.record(house, too_early, "command:jane")
    assert kinds(house, early) == ["gate-judged", "gate-waiting", "gate-judged", "gate-waiting"]

    registry.scan()
    house.clock.pass_by(seconds=15)
    house.sweep()

    assert kinds(house, early)[4:] == ["gate-judged"]
    last = told(house, early)[-1]
    assert isinstance(last, GateJudged)
    assert (last.ruling, last.by.partition(":")[0]) == ("passed", "delivery")


def test_an_image_that_is_deleted_while_it_is_waited_for_is_not_waited_for_any_more(
    registry: Registry, house: SweepHouse, early: str
) -> None:
    drained(house, scan_event(registry, image=early))
    name = ImageName.parse(early)
    registry.ecr().batch_delete_image(
        registryId=name.account, repositoryName=name.repository, imageIds=[{"imageDigest": name.digest}]
    )
    house.clock.pass_by(seconds=15)

    swept = house.sweep()

    last = told(house, early)[-1]
    assert (last.kind, swept.troubles) == ("gate-judged", [])
    assert isinstance(last, GateJudged)
    assert (last.ruling, last.reasons[0].partition(":")[0]) == ("cannot-tell", "no-such-image")


def test_two_sweeps_at_the_same_moment_leave_one_judgement(registry: Registry, house: SweepHouse, early: str) -> None:
    drained(house, scan_event(registry, image=early))
    registry.scan()
    house.clock.pass_by(seconds=15)

    (entry,) = house.ledger.newest("gate/", "gate-waiting")
    theirs = judged(registry, registry.good, have=house)

    class Slower(SweepHouse):
        """While it looks, another sweep has judged."""

        def now(self) -> datetime:
            if kinds(house, early) == ["gate-waiting"]:
                gate_evidence.append_judged(house, entry.stream, entry, theirs, "delivery:theirs")
            return super().now()

    slower, swept = Slower(house.settings, house.clock), Swept()
    vars(slower)["ledger"] = house.ledger

    asyncio.run(gating.judge_waiting(slower, house.now(), swept))

    assert (swept.judged, swept.troubles) == ([], [])
    assert kinds(house, early) == ["gate-waiting", "gate-judged"]


def test_nobody_waits_without_a_key_to_sign_what_comes_of_it(registry: Registry, tmp_path: Path, early: str) -> None:
    with sweep_house(tmp_path / "keyless", signing_key=None) as keyless:
        assert [state for state, _ in drained(keyless, scan_event(registry, image=early))] == ["set-aside"]
        assert list(keyless.ledger.streams("gate/")) == []
