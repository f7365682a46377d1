"""The gate against Inspector and ECR: it judges a digest, waits for its scan, and passes nothing that it cannot see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.case import CaseKey
from runbooks.errors import BadInput, LedgerError, NotFound, Unsafe
from runbooks.finding import Finding, Resource
from runbooks.gating import Gate, ImageName, Judgement, Outcome, Refuse, Ruling
from runbooks.records import GateJudged
from tasks import gating
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tasks.services import Services
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gateways.ledger.samples import MORNING
from tests.tasks.scanned import ACCOUNT, BAD_SBOM, GOOD_SBOM, REGION, REPOSITORY, Registry, a_registry, an_sbom
from tests.tasks.sweep_house import SweepHouse, sweep_house


@pytest.fixture
def sandbox(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return executor_aws


@pytest.fixture
def registry(sandbox: Sandbox) -> Registry:
    return a_registry(sandbox)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as made:
        yield made


def judged(
    registry: Registry, image: str, gate: Gate | None = None, *, minutes: float = 0, have: Services | None = None
) -> Judgement:
    name = ImageName.parse(image)
    return gating.judge_image(have, registry.sessions, name, gate or a_gate(), registry.patience(minutes))


# --- images ----------------------------------------------------------------------------------------------------------


def test_a_tag_is_judged_by_the_digest_it_stands_for(registry: Registry) -> None:
    judgement = judged(registry, f"{registry.uri}:1.4.2")

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.REFUSED, False)
    assert (judgement.subject.digest, judgement.subject.tags) == (registry.built["digest"], ("1.4.2", "production"))
    assert judgement.scanned_at is not None
    (weighed,) = judgement.weighed
    assert (weighed.vulnerability.id, weighed.vulnerability.package, weighed.outcome) == (
        registry.built["vulnerability_id"],
        "openssl",
        Outcome.REFUSED,
    )
    assert weighed.vulnerability.exploitation_known


def test_reading_is_all_that_the_gate_does(registry: Registry) -> None:
    judged(registry, registry.bad)

    assert registry.calls() == [
        "sts:AssumeRole",
        "ecr:DescribeImages",
        "inspector2:ListCoverage",
        "inspector2:ListFindings",
        "inspector2:BatchGetFindingDetails",
    ]


def test_own_credentials_assume_no_role(sandbox: Sandbox) -> None:
    registry = a_registry(sandbox, account="123456789012")
    registry.sessions = AwsSessions(None, session_name="runbooks-gate")

    assert judged(registry, registry.bad).ruling is Ruling.REFUSED
    assert "sts:AssumeRole" not in registry.calls()


def test_an_image_that_was_scanned_and_has_nothing_passes(registry: Registry) -> None:
    registry.scan()

    judgement = judged(registry, registry.good)

    assert (judgement.ruling, judgement.weighed, judgement.reasons) == (Ruling.PASSED, (), ())
    assert registry.paused == []


def test_the_initial_scan_is_waited_for_and_told_of(registry: Registry) -> None:
    judgement = judged(registry, registry.good, minutes=15)

    assert judgement.ruling is Ruling.PASSED
    assert registry.paused == [10.0]
    assert registry.told == ["waiting, 0 s of 15 min: its initial scan is still to come (PENDING_INITIAL_SCAN)"]


def test_the_wait_is_bounded_and_what_was_not_scanned_does_not_pass(registry: Registry) -> None:
    registry.inspector_sleeps = True

    judgement = judged(registry, registry.good, minutes=0.4)

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.CANNOT_TELL, False)
    assert judgement.reasons == ("after 24 s: its initial scan is still to come (PENDING_INITIAL_SCAN)",)
    assert registry.paused == [10.0, 10.0, 4.0]


def test_the_wait_is_told_of_again_every_minute(registry: Registry) -> None:
    registry.inspector_sleeps = True

    judged(registry, registry.good, minutes=2.5)

    assert [said.partition(":")[0] for said in registry.told] == [
        "waiting, 0 s of 2 min 30 s",
        "waiting, 1 min of 2 min 30 s",
        "waiting, 2 min of 2 min 30 s",
    ]


def test_an_image_that_was_never_scanned_for_its_repository_is_not_waited_for(registry: Registry) -> None:
    registry.ecr().put_registry_scanning_configuration(scanType="ENHANCED", rules=[])

    judgement = judged(registry, registry.bad, minutes=15)

    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons[0].endswith("(INACTIVE, SCAN_FREQUENCY_MANUAL)")
    assert registry.paused == []


def test_an_expired_scan_is_no_clean_bill_though_every_finding_is_closed(registry: Registry) -> None:
    registry.sandbox.advance(20 * 86_400)

    judgement = judged(registry, registry.bad)

    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons[0].endswith("(INACTIVE, SCAN_ELIGIBILITY_EXPIRED)")


def test_a_list_of_images_is_not_what_inspector_scans(registry: Registry) -> None:
    registry.push_index("every-platform")

    judgement = judged(registry, f"{registry.uri}:every-platform", minutes=15)

    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons == (
        "it is a list of images of several platforms, and Inspector scans those: gate the digest of each",
    )
    assert registry.paused == []


@pytest.mark.parametrize("end", [":nope", f"@sha256:{'00' * 32}"])
def test_an_image_that_ecr_does_not_have_is_bad_input(registry: Registry, end: str) -> None:
    with pytest.raises(NotFound) as refused:
        judged(registry, f"{registry.uri}{end}")
    assert refused.value.code == "no-such-image"
    with pytest.raises(NotFound):
        judged(registry, f"{registry.uri}-other:1")


def test_what_cisas_catalogue_lists_is_refused_although_nothing_else_would(sandbox: Sandbox) -> None:
    registry = a_registry(sandbox, known_exploited=True)

    judgement = judged(registry, registry.bad, a_gate(refuse=Refuse(severities=())))

    assert judgement.ruling is Ruling.REFUSED
    assert judgement.weighed[0].reason.startswith("exploited in the wild: in CISA's catalogue since ")


def test_nothing_passes_where_the_details_of_a_finding_cannot_be_read(registry: Registry) -> None:
    registry.fault("inspector2:BatchGetFindingDetails", FaultKind.SERVER_ERROR, times=5)

    judgement = judged(registry, registry.bad, a_gate(refuse=Refuse(severities=())))

    assert judgement.ruling is Ruling.CANNOT_TELL
    name = registry.built["vulnerability_id"]
    assert judgement.reasons == (f"whether {name} is in CISA's catalogue could not be looked up",)


@pytest.mark.parametrize(
    ("operation", "has_digest"),
    [("ecr:DescribeImages", False), ("inspector2:ListFindings", True)],
)
def test_what_aws_does_not_answer_cannot_be_told(registry: Registry, operation: str, has_digest: bool) -> None:
    registry.fault(operation, FaultKind.THROTTLE, times=5)

    judgement = judged(registry, f"{registry.uri}:1.4.2", a_gate(cannot_tell="pass"))

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.CANNOT_TELL, True)
    assert judgement.reasons[0].startswith("throttled: ")
    assert (judgement.subject.digest is not None) is has_digest


# --- a digest alone --------------------------------------------------------------------------------------------------


def test_a_digest_alone_is_found_by_inspectors_coverage(registry: Registry) -> None:
    digest = registry.built["digest"]

    assert gating.image_of_digest(registry.sessions, ACCOUNT, REGION, digest) == ImageName(
        account=ACCOUNT, region=REGION, repository=REPOSITORY, digest=digest
    )
    with pytest.raises(NotFound) as refused:
        gating.image_of_digest(registry.sessions, ACCOUNT, REGION, f"sha256:{'00' * 32}")
    assert refused.value.code == "no-such-image"


def test_a_digest_that_several_repositories_have_must_be_named_whole(registry: Registry) -> None:
    image = registry.ecr().batch_get_image(
        registryId=ACCOUNT, repositoryName=REPOSITORY, imageIds=[{"imageDigest": registry.built["digest"]}]
    )["images"][0]
    registry.ecr().create_repository(registryId=ACCOUNT, repositoryName="copies")
    registry.ecr().put_image(registryId=ACCOUNT, repositoryName="copies", imageManifest=image["imageManifest"])

    with pytest.raises(BadInput) as refused:
        gating.image_of_digest(registry.sessions, ACCOUNT, REGION, registry.built["digest"])

    assert refused.value.code == "several-images"
    assert f"amazonaws.com/copies@{registry.built['digest']}" in refused.value.detail
    assert registry.bad in refused.value.detail


# --- open cases ------------------------------------------------------------------------------------------------------


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


def records(house: SweepHouse, stream: str) -> list[GateJudged]:
    found = [entry.record() for entry in house.ledger.entries(stream)]
    assert all(isinstance(each, GateJudged) for each in found)
    return found  # type: ignore[return-value]


def test_a_judgement_is_recorded_under_its_digest_and_signed(registry: Registry, house: SweepHouse) -> None:
    judgement = judged(registry, registry.bad, have=house)

    stream = gating.record(house, judgement, "command:jane")

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
            gating.record(house, without_digest, "command:jane")
        with pytest.raises(Unsafe):
            gating.record(house, with_digest, "command:jane")
        assert list(house.ledger.streams()) == []


# --- without being called --------------------------------------------------------------------------------------------


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


# --- SBOMs -----------------------------------------------------------------------------------------------------------


def of_sbom(registry: Registry, sbom: object, gate: Gate | None = None) -> Judgement:
    content = json.dumps(sbom).encode()
    sessions = AwsSessions(None, session_name="runbooks-gate")
    return gating.judge_sbom(sessions, REGION, "sbom.json", content, sbom, gate or a_gate(), MORNING)


@pytest.fixture
def known(sandbox: Sandbox) -> Registry:
    """Inspector knows the vulnerability in the account of the tests' own credentials, too."""
    return a_registry(sandbox, account="123456789012")


def test_an_sbom_is_judged_by_what_inspector_knows_of_its_components(known: Registry) -> None:
    judgement = of_sbom(known, BAD_SBOM)

    content = json.dumps(BAD_SBOM).encode()
    assert judgement.subject.model_dump(exclude_none=True) == {
        "kind": "sbom",
        "name": "sbom.json",
        "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "tags": (),
    }
    assert judgement.ruling is Ruling.REFUSED
    assert [(each.vulnerability.package, each.vulnerability.fixed_in) for each in judgement.of(Outcome.REFUSED)] == [
        ("openssl", "0:3.0.2-0ubuntu1.17")
    ]
    assert of_sbom(known, GOOD_SBOM).ruling is Ruling.PASSED


def test_an_sbom_of_which_nothing_can_be_known_does_not_pass(known: Registry) -> None:
    nameless = an_sbom(("openssl", "3.0.2-0ubuntu1.10"))
    del nameless["components"][0]["purl"]
    for sbom in (an_sbom(), nameless):
        judgement = of_sbom(known, sbom)
        assert judgement.ruling is Ruling.CANNOT_TELL
        assert judgement.reasons == ("it lists nothing that Inspector has rules for",)


def test_what_is_skipped_of_an_sbom_is_said(known: Registry) -> None:
    partly = an_sbom(("bash", "5.1-6ubuntu1"), ("openssl", "3.0.2-0ubuntu1.10"))
    del partly["components"][1]["purl"]
    judgement = of_sbom(known, partly)
    assert (judgement.ruling, judgement.warnings) == (
        Ruling.PASSED,
        ("Inspector has no rules for 1 of 2 components",),
    )


def test_an_sbom_that_is_not_scanned_cannot_be_told(known: Registry) -> None:
    known.fault("inspector-scan:ScanSbom", FaultKind.THROTTLE, times=5)
    judgement = of_sbom(known, GOOD_SBOM)
    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons[0].startswith("throttled: ")


def test_what_is_no_sbom_is_bad_input_and_is_not_sent(known: Registry) -> None:
    with pytest.raises(BadInput):
        of_sbom(known, {"bomFormat": "CycloneDX", "specVersion": "1.4"})
    assert known.calls() == []
