"""The gate and the ledger: an open case holds an image back, and every judgement is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbooks.case import CaseKey
from runbooks.errors import BadInput, LedgerError, Unsafe
from runbooks.finding import Finding, Resource
from runbooks.gating import ImageName, Ruling
from tasks import gate_evidence
from tasks.gateways.ledger import Ledger
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gateways.ledger.samples import MORNING
from tests.tasks.gating.judging import judged, records
from tests.tasks.scanned import ACCOUNT, REGION, REPOSITORY, Registry
from tests.tasks.sweep_house import SweepHouse, sweep_house


def a_case(house: SweepHouse, arn: str) -> str:
    """An open case of the image."""
    resource = Resource(type="AWS_ECR_CONTAINER_IMAGE", id=arn, account=ACCOUNT, region=REGION)
    finding = Finding(
        arn=f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{'0' * 31}1",
        type="PACKAGE_VULNERABILITY",
        status="ACTIVE",
        severity="CRITICAL",
        title="CVE-2026-1",
        resource=resource,
        first_observed_at=MORNING,
        last_observed_at=MORNING,
        updated_at=MORNING,
    )
    taken = house.ledger.take_finding(CaseKey.of(finding, "ecr-critical-cve"), finding, "webhook")
    assert taken.case is not None
    return taken.case.id


def test_an_open_case_refuses_a_digest_that_is_otherwise_good_until_it_is_closed(
    registry: Registry, house: SweepHouse
) -> None:
    registry.scan()
    good = judged(registry, registry.good, have=house)
    assert good.ruling is Ruling.PASSED
    assert good.subject.digest is not None
    case = a_case(house, ImageName.parse(registry.good).arn(good.subject.digest))

    blocked = judged(registry, registry.good, have=house)

    assert (blocked.ruling, blocked.blocked_by) == (Ruling.REFUSED, case)
    house.ledger.close_case(case, "response-1", "fixed")
    assert judged(registry, registry.good, have=house).ruling is Ruling.PASSED


def test_a_case_of_another_digest_blocks_nothing(registry: Registry, house: SweepHouse) -> None:
    registry.scan()
    a_case(house, registry.built["image_arn"])

    assert judged(registry, registry.good, have=house).ruling is Ruling.PASSED


def test_an_open_case_refuses_what_was_not_scanned_either(registry: Registry, house: SweepHouse) -> None:
    digest = judged(registry, registry.good).subject.digest
    assert digest is not None
    a_case(house, ImageName.parse(registry.good).arn(digest))

    assert judged(registry, registry.good, have=house).ruling is Ruling.REFUSED


def test_a_ledger_that_cannot_be_read_lets_nothing_pass(registry: Registry, house: SweepHouse) -> None:
    registry.scan()

    class Broken(Ledger):
        def cases_on(self, resource_ids: Any) -> Any:
            raise LedgerError("the database is away")

    vars(house)["ledger"].__class__ = Broken

    judgement = judged(registry, registry.good, have=house)

    assert (judgement.ruling, judgement.reasons) == (Ruling.CANNOT_TELL, ("ledger: the database is away",))


# --- evidence --------------------------------------------------------------------------------------------------------


def test_a_judgement_is_recorded_under_its_digest_and_signed(registry: Registry, house: SweepHouse) -> None:
    judgement = judged(registry, registry.bad, have=house)

    stream = gate_evidence.record(house, judgement, "command:jane")

    assert stream == f"gate/{ACCOUNT}/{REGION}/{REPOSITORY}@{registry.built['digest']}"
    (record,) = records(house, stream)
    assert house.signer.verifies(stream, record)
    assert record.model_dump(exclude={"signature", "kind"}) == {
        "name": registry.uri,
        "digest": registry.built["digest"],
        "tags": ("1.4.2", "production"),
        "gate": "test",
        "gate_version": 1,
        "gate_digest": a_gate().digest,
        "ruling": "refused",
        "reasons": (),
        "refused": (f"{registry.built['vulnerability_id']} in openssl 3.0.2-0ubuntu1.10",),
        "accepted": (),
        "tolerated": 0,
        "blocked_by": None,
        "scanned_at": judgement.scanned_at,
        "judgement": judgement.digest,
        "by": "command:jane",
    }


def test_nothing_is_recorded_without_a_digest_or_without_a_key(registry: Registry, tmp_path: Path) -> None:
    with_digest = judged(registry, registry.bad)
    nameless = with_digest.subject.model_copy(update={"digest": None})
    without_digest = with_digest.model_copy(update={"subject": nameless})
    with sweep_house(tmp_path / "keyless", signing_key=None) as house:
        with pytest.raises(BadInput):
            gate_evidence.record(house, without_digest, "command:jane")
        with pytest.raises(Unsafe):
            gate_evidence.record(house, with_digest, "command:jane")
        assert list(house.ledger.streams()) == []
