"""The gate against Inspector and ECR: it judges a digest, waits for its scan, and passes nothing that it cannot see."""

from __future__ import annotations

import pytest

from deployments.sandbox.faults import FaultKind
from deployments.sandbox.server import Sandbox
from runbooks.errors import BadInput, NotFound
from runbooks.gating import ImageName, Outcome, Refuse, Ruling
from tasks import gating
from tasks.gateways.aws_session import AwsSessions
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gating.judging import judged
from tests.tasks.scanned import ACCOUNT, REGION, REPOSITORY, Registry, a_registry


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

    assert (judgement.ruling, judgement.lets_pass, judgement.not_yet) == (Ruling.CANNOT_TELL, False, True)
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

    assert (judgement.ruling, judgement.not_yet) == (Ruling.CANNOT_TELL, False)
    assert judgement.reasons[0].endswith("(INACTIVE, SCAN_FREQUENCY_MANUAL)")
    assert registry.paused == []


def test_an_expired_scan_is_no_clean_bill_though_every_finding_is_closed(registry: Registry) -> None:
    registry.sandbox.advance(20 * 86_400)

    judgement = judged(registry, registry.bad)

    assert judgement.ruling is Ruling.CANNOT_TELL
    assert judgement.reasons[0].endswith("(INACTIVE, SCAN_ELIGIBILITY_EXPIRED)")


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

    assert (judgement.ruling, judgement.not_yet) == (Ruling.CANNOT_TELL, True)
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
