"""An index is judged by its platforms: Inspector scans the images that it lists, and never the list."""

from __future__ import annotations

import pytest

from deployments.sandbox.faults import FaultKind
from runbooks.gating import Outcome, Ruling
from tests.runbooks.gating.gated import a_gate
from tests.tasks.gating.judging import judged
from tests.tasks.scanned import DOCKER_LIST, OCI_INDEX, Registry, attestation, platform

ARM = "linux/arm64/v8"


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_the_verdict_on_an_index_is_that_of_its_worst_platform(registry: Registry, media_type: str) -> None:
    good, bad = registry.push_good(), registry.built["digest"]
    registry.scan()
    index = registry.push_index("both", platform(good), platform(bad, ARM), media_type=media_type)

    judgement = judged(registry, f"{registry.uri}:both")

    assert (judgement.ruling, judgement.subject.digest) == (Ruling.REFUSED, index)
    assert [(each.name, each.digest) for each in judgement.subject.platforms] == [("linux/amd64", good), (ARM, bad)]
    (refused,) = judgement.weighed
    assert (refused.outcome, refused.vulnerability.platform) == (Outcome.REFUSED, ARM)
    assert refused.vulnerability.id == registry.built["vulnerability_id"]
    assert judgement.scanned_at is not None


def test_an_index_passes_when_every_platform_was_scanned_and_has_nothing(registry: Registry) -> None:
    good = registry.push_good()
    registry.scan()
    index = registry.push_index("good", platform(good), attestation(good))

    judgement = judged(registry, f"{registry.uri}@{index}")

    assert (judgement.ruling, judgement.reasons) == (Ruling.PASSED, ())
    assert [each.name for each in judgement.subject.platforms] == ["linux/amd64"]


def test_what_runs_somewhere_is_judged_also_when_it_is_called_an_attestation(registry: Registry) -> None:
    good, bad = registry.push_good(), registry.built["digest"]
    registry.scan()
    registry.push_index("sly", platform(good), attestation(good) | platform(bad, ARM))

    assert judged(registry, f"{registry.uri}:sly").ruling is Ruling.REFUSED


def test_reading_an_index_is_one_call_more_however_many_platforms_it_has(registry: Registry) -> None:
    registry.push_index("both", platform(registry.push_good()), platform(registry.built["digest"], ARM))
    registry.scan()
    registry.forget_calls()

    judged(registry, f"{registry.uri}:both")

    assert registry.calls() == [
        "ecr:DescribeImages",
        "ecr:BatchGetImage",
        "inspector2:ListCoverage",
        "inspector2:ListFindings",
        "inspector2:ListFindings",
        "inspector2:BatchGetFindingDetails",
    ]


def test_one_platform_that_was_not_scanned_keeps_the_others_from_passing_and_is_named(registry: Registry) -> None:
    first = registry.push_good()
    registry.scan()
    gone = f"sha256:{'00' * 32}"
    registry.push_index("half", platform(first), platform(gone, ARM))

    judgement = judged(registry, f"{registry.uri}:half")

    assert (judgement.ruling, judgement.not_yet) == (Ruling.CANNOT_TELL, True)
    assert judgement.reasons == (f"{ARM}: Inspector does not know it: is enhanced scanning on for its repository?",)


def test_what_is_refused_on_one_platform_is_refused_although_another_cannot_be_told(registry: Registry) -> None:
    registry.push_index("half", platform(registry.built["digest"]), platform(f"sha256:{'00' * 32}", ARM))

    judgement = judged(registry, f"{registry.uri}:half", a_gate(cannot_tell="pass"))

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.REFUSED, False)
    assert judgement.reasons[0].startswith(f"{ARM}: ")


def test_findings_that_cannot_be_read_of_one_platform_do_not_hide_those_of_another(registry: Registry) -> None:
    good = registry.push_good()
    registry.scan()
    registry.push_index("both", platform(good), platform(registry.built["digest"], ARM))
    # As often as boto3 tries: the first platform's findings stay unread.
    registry.fault("inspector2:ListFindings", FaultKind.THROTTLE, times=5)

    judgement = judged(registry, f"{registry.uri}:both", a_gate(cannot_tell="pass"))

    assert (judgement.ruling, judgement.lets_pass) == (Ruling.REFUSED, False)
    assert judgement.reasons[0].startswith("linux/amd64: throttled: ")
    assert [each.vulnerability.platform for each in judgement.weighed] == [ARM]


def test_every_platform_is_waited_for_and_what_is_told_says_which(registry: Registry) -> None:
    registry.push_index("fresh", platform(registry.push_good()), platform(registry.built["digest"], ARM))

    judgement = judged(registry, f"{registry.uri}:fresh", minutes=15)

    assert judgement.ruling is Ruling.REFUSED
    assert registry.paused == [10.0]
    assert registry.told == [
        "waiting, 0 s of 15 min: linux/amd64: its initial scan is still to come (PENDING_INITIAL_SCAN)"
    ]


def test_the_same_is_said_once_of_all_platforms(registry: Registry) -> None:
    registry.inspector_sleeps = True
    digest = registry.push_good()
    other = f"sha256:{'00' * 32}"
    index = registry.push_index(
        "fresh", platform(digest), platform(other, ARM), platform(f"sha256:{'11' * 32}", "linux/s390x")
    )

    judgement = judged(registry, f"{registry.uri}@{index}", minutes=0.4)

    assert judgement.reasons == (
        "linux/amd64: after 24 s: its initial scan is still to come (PENDING_INITIAL_SCAN)",
        f"{ARM}, linux/s390x: after 24 s: Inspector does not know it: is enhanced scanning on for its repository?",
    )


def test_an_index_that_lists_no_image_does_not_pass_for_want_of_findings(registry: Registry) -> None:
    for listed in ((), (attestation(registry.built["digest"]),)):
        digest = registry.push_index("empty", *listed)
        judgement = judged(registry, f"{registry.uri}@{digest}")
        assert judgement.ruling is Ruling.CANNOT_TELL
        assert judgement.reasons == ("it is an index that lists no image",)
        assert not judgement.not_yet


def test_an_index_that_ecr_does_not_hand_out_cannot_be_told(registry: Registry) -> None:
    digest = registry.push_index("both", platform(registry.built["digest"]))
    registry.fault("ecr:BatchGetImage", FaultKind.THROTTLE, times=5)

    judgement = judged(registry, f"{registry.uri}:both")

    assert (judgement.ruling, judgement.subject.digest) == (Ruling.CANNOT_TELL, digest)
    assert judgement.reasons[0].startswith("throttled: ")


def test_platforms_have_the_names_that_docker_gives_them(registry: Registry) -> None:
    digests = [f"sha256:{number:064x}" for number in range(4)]
    windows = {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2700"}
    listed = [
        platform(digests[0], "linux/arm/v7"),
        platform(digests[1], platform=windows),
        {"digest": digests[2], "size": 1},
        platform(digests[3], "unknown/unknown"),
        platform(digests[0], "linux/arm"),
    ]
    registry.push_index("many", *listed)

    found = judged(registry, f"{registry.uri}:many").subject.platforms

    assert [(each.name, each.digest) for each in found] == [
        ("linux/arm/v7", digests[0]),
        ("windows/amd64 10.0.20348.2700", digests[1]),
        ("sha256:000000000000", digests[2]),
    ]
