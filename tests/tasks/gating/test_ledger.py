"""The gate and the ledger: an open case holds an image back, and every judgement is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.case import CaseKey
from runbooks.errors import BadInput, LedgerError, Unsafe
from runbooks.finding import Finding, Resource
from runbooks.gating import ImageName, Ruling
from tasks import gate_evidence
from tasks.gateways.ledger import Ledger
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gateways.ledger.samples import MORNING
from tests.tasks.gating.judging import judged, records
from tests.tasks.scanned import ACCOUNT, REGION, REPOSITORY, Registry, platform
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


def test_an_open_case_of_a_platform_refuses_its_index_and_one_of_the_index_does_so_too(
    registry: Registry, house: SweepHouse
) -> None:
    good, other = registry.push_good(), f"sha256:{'00' * 32}"
    registry.scan()
    indexes = [registry.push_index(tag, platform(good), platform(other, tag)) for tag in ("arm64", "s390x")]
    arn = ImageName.parse(registry.bad).arn
    of_platform = a_case(house, arn(good))

    def blocked() -> list[str | None]:
        return [judged(registry, f"{registry.uri}@{index}", have=house).blocked_by for index in indexes]

    assert blocked() == [of_platform, of_platform]
    house.ledger.close_case(of_platform, "response-1", "fixed")
    assert blocked() == [None, None]
    of_index = a_case(house, arn(indexes[1]))
    assert blocked() == [None, of_index]


def test_a_case_of_another_platform_blocks_no_plain_digest(registry: Registry, house: SweepHouse) -> None:
    good = registry.push_good()
    registry.scan()
    index = registry.push_index("both", platform(good), platform(registry.built["digest"], "linux/arm64"))
    a_case(house, registry.built["image_arn"])

    assert judged(registry, f"{registry.uri}@{good}", have=house).ruling is Ruling.PASSED
    assert judged(registry, f"{registry.uri}@{index}", have=house).blocked_by is not None


def test_an_open_case_holds_back_also_when_inspector_does_not_answer_and_the_rules_pass_what_cannot_be_told(
    registry: Registry, house: SweepHouse
) -> None:
    case = a_case(house, registry.built["image_arn"])
    registry.fault("inspector2:ListCoverage", FaultKind.THROTTLE, times=5)

    judgement = judged(registry, registry.bad, a_gate(cannot_tell="pass"), have=house)

    assert (judgement.ruling, judgement.lets_pass, judgement.blocked_by) == (Ruling.REFUSED, False, case)


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
    refused = judged(registry, registry.bad, a_gate(cannot_tell="pass"), have=house)
    assert (refused.ruling, refused.lets_pass) == (Ruling.REFUSED, False)


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
