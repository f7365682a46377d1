"""Whether a rebuilt image may go on, and whether a case about an image is fixed. Closed is not fixed."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.evidence import ABSENT, CandidateEvidence, ImageEvidence, SuccessorEvidence
from runbooks.image_verdict import Examination, examine, judge_image, reduced
from runbooks.verdict import NotYet, Verdict, VerdictKind
from tests.runbooks.image_builders import (
    IMAGE_CASE,
    an_image_finding,
    an_image_runbook,
    candidate_evidence,
    image_arn,
    scanned,
)
from tests.runbooks.image_steps import DIGEST, NEW_DIGEST

CVE, NEW = "CVE-2026-10001", "sha256:fedcba987654"
OLD = (an_image_finding(1),)
FIXED, NOT_FIXED, UNVERIFIABLE = VerdictKind.FIXED, VerdictKind.NOT_FIXED, VerdictKind.UNVERIFIABLE
PENDING, UNSUPPORTED = scanned("PENDING_INITIAL_SCAN", "INACTIVE"), scanned("UNSUPPORTED_OS", "INACTIVE")


def examined(*findings: Any, old: Any = OLD, final: bool = False, runbook: Any = None, **changes: Any) -> Any:
    evidence = candidate_evidence(*findings, **changes)
    return examine(evidence, old, runbook or an_image_runbook(), final=final)


def on_the_new(number: int = 1, **changes: Any) -> Any:
    return an_image_finding(number, of=NEW_DIGEST, **changes)


# --- the examination of what was built --------------------------------------------------------------------------------


def test_an_image_that_was_scanned_and_lacks_it_passes() -> None:
    assert examined() == Examination(
        passed=True,
        reasons=(f"{NEW} was scanned, and lacks {CVE}", "it brings nothing new of severity HIGH or above"),
    )


def test_before_its_initial_scan_is_complete_nothing_is_said() -> None:
    for coverage in (None, PENDING, scanned("SCAN_IN_PROGRESS")):
        answer = examined(coverage=coverage)
        assert isinstance(answer, NotYet)
        assert examined(coverage=coverage, final=True).passed is False


def test_an_image_that_inspector_cannot_scan_does_not_pass() -> None:
    answer = examined(coverage=UNSUPPORTED)
    assert not answer.passed
    assert answer.reasons[0].startswith(f"{NEW} cannot be judged by its scan: Inspector does not support its operating")


@pytest.mark.parametrize(
    ("findings", "reasons"),
    [
        ((on_the_new(),), (f"{NEW}: it has {CVE} still",)),
        ((on_the_new(status="SUPPRESSED"),), (f"{NEW}: it has {CVE} still, which a suppression rule hides",)),
        (
            (on_the_new(2, severity="HIGH"),),
            (f"{NEW}: it brings CVE-2026-10002 (HIGH), which the old image has not",),
        ),
        ((on_the_new(status="CLOSED"),), None),
        ((on_the_new(2, severity="MEDIUM"), on_the_new(3, severity="UNTRIAGED")), None),
        ((on_the_new(2, severity="CRITICAL", status="CLOSED"),), None),
    ],
)
def test_it_must_lack_what_it_was_built_for_and_bring_nothing_grave(findings: Any, reasons: Any) -> None:
    answer = examined(*findings)
    assert answer.passed is (reasons is None)
    if reasons:
        assert answer.reasons == reasons


def test_what_the_old_image_had_is_nothing_new_whatever_it_was_rated() -> None:
    assert not examined(on_the_new(2, severity="HIGH")).passed
    assert examined(on_the_new(2, severity="HIGH"), old=(*OLD, an_image_finding(2, severity="LOW"))).passed


def test_a_threshold_of_untriaged_tolerates_nothing_new() -> None:
    strict = an_image_runbook(rebuild={"refuse_new": "UNTRIAGED"})
    assert not examined(on_the_new(2, severity="UNTRIAGED"), runbook=strict).passed
    assert examined(runbook=strict).passed


def test_without_a_finding_that_says_what_was_to_be_fixed_nothing_passes() -> None:
    assert not examined(old=()).passed
    assert not examined(old=(an_image_finding(severity="LOW"),)).passed


def test_a_finding_that_was_closed_meanwhile_still_says_what_was_to_be_fixed() -> None:
    assert not examined(on_the_new(), old=(an_image_finding(status="CLOSED"),)).passed


def test_a_build_that_makes_the_very_same_image_does_not_pass() -> None:
    answer = examined(digest=DIGEST)
    assert answer == Examination(passed=False, reasons=("the build has made the very image that is vulnerable",))


# --- the verdict ------------------------------------------------------------------------------------------------------


def successor(status: str = ABSENT, **changes: Any) -> SuccessorEvidence:
    values: dict[str, Any] = {"digest": NEW_DIGEST, "coverage": scanned(), "vulnerabilities": {CVE: status}}
    return SuccessorEvidence(**(values | changes))


def seen(**changes: Any) -> ImageEvidence:
    values: dict[str, Any] = {
        "resource": image_arn(),
        "was_run": True,
        "deployed": True,
        "successors": (successor(),),
    }
    return ImageEvidence(**(values | changes))


def judged(final: bool = False, findings: Any = OLD, **changes: Any) -> Verdict | NotYet:
    return judge_image(IMAGE_CASE, seen(**changes), findings, final=final)


def kind(answer: Verdict | NotYet) -> VerdictKind | None:
    return answer.kind if isinstance(answer, Verdict) else None


def test_fixed_is_that_nobody_runs_it_and_that_what_runs_instead_was_scanned_and_lacks_it() -> None:
    answer = judged()
    assert answer == Verdict(
        case=IMAGE_CASE,
        kind=FIXED,
        reasons=(
            "nobody runs the vulnerable image any more",
            f"{NEW} is there in its place: it was scanned, and lacks {CVE}",
        ),
        evidence=(seen(),),
    )


CASES: dict[str, tuple[dict[str, Any], VerdictKind | None, VerdictKind]] = {
    # what was seen -> the answer while there is time, and when waiting is over
    "somebody runs it still": ({"users": ("service checkout (4 tasks)",)}, None, NOT_FIXED),
    "somebody to whom nothing was deployed runs it still": (
        {"users": ("ECS task of no service 0a",), "left": ("ECS task of no service 0a",)},
        NOT_FIXED,
        NOT_FIXED,
    ),
    "one of them has it deployed, and the other not": (
        {"users": ("service checkout (4 tasks)", "service odd (1 task)"), "left": ("service odd (1 task)",)},
        NOT_FIXED,
        NOT_FIXED,
    ),
    "who cannot be seen is one to whom nothing was deployed": (
        {"unseen": ("EKS cluster pods (3)",), "left": ("EKS cluster pods (3)",)},
        UNVERIFIABLE,
        UNVERIFIABLE,
    ),
    "the new one has it too": ({"successors": (successor("ACTIVE"),)}, NOT_FIXED, NOT_FIXED),
    "one of the new ones has it": ({"successors": (successor(), successor("ACTIVE"))}, NOT_FIXED, NOT_FIXED),
    "the new one has it before its scan is complete": (
        {"successors": (successor("ACTIVE", coverage=PENDING),)},
        NOT_FIXED,
        NOT_FIXED,
    ),
    "the new one is not scanned yet": ({"successors": (successor(coverage=PENDING),)}, None, UNVERIFIABLE),
    "the new one is not listed": ({"successors": (successor(coverage=None),)}, None, UNVERIFIABLE),
    "the new one cannot be scanned": ({"successors": (successor(coverage=UNSUPPORTED),)}, UNVERIFIABLE, UNVERIFIABLE),
    "the new one's scan has lapsed": (
        {"successors": (successor("CLOSED", coverage=scanned("SCAN_ELIGIBILITY_EXPIRED", "INACTIVE")),)},
        UNVERIFIABLE,
        UNVERIFIABLE,
    ),
    "a rule hides it on the new one": ({"successors": (successor("SUPPRESSED"),)}, UNVERIFIABLE, UNVERIFIABLE),
    "it is closed on the new one": ({"successors": (successor("CLOSED"),)}, FIXED, FIXED),
    "nobody knows what runs instead": ({"successors": ()}, None, UNVERIFIABLE),
    "who runs it cannot be seen": ({"unseen": ("account 1 denies it",)}, None, UNVERIFIABLE),
    "who runs it cannot be seen, and the new one has it": (
        {"unseen": ("account 1 denies it",), "successors": (successor("ACTIVE"),)},
        NOT_FIXED,
        NOT_FIXED,
    ),
    "it is gone and nobody ran it": (
        {"gone": True, "was_run": False, "deployed": False},
        UNVERIFIABLE,
        UNVERIFIABLE,
    ),
    "it is archived and nobody ran it": (
        {"archived": True, "was_run": False, "deployed": False},
        UNVERIFIABLE,
        UNVERIFIABLE,
    ),
    "it is archived after another was deployed": ({"archived": True}, FIXED, FIXED),
    "it is gone after somebody ran it, who runs another now": ({"gone": True, "deployed": False}, FIXED, FIXED),
    "it is gone and runs on": ({"gone": True, "users": ("service a",)}, None, NOT_FIXED),
    "nobody ever ran it, and another was built": ({"was_run": False, "deployed": False}, FIXED, FIXED),
}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_follows_from_what_was_seen(name: str) -> None:
    changes, now, in_the_end = CASES[name]
    assert (kind(judged(**changes)), kind(judged(final=True, **changes))) == (now, in_the_end)


def test_whom_nobody_waits_for_is_named_for_the_person_who_gets_it() -> None:
    users = ("service checkout (4 tasks)", "ECS task of no service 0a")
    answer = judged(users=users, left=users[1:])
    assert isinstance(answer, Verdict)
    assert answer.reasons[:2] == (
        "the vulnerable image is still run by service checkout (4 tasks), ECS task of no service 0a",
        "nothing was deployed to ECS task of no service 0a: a person brings them to another image",
    )


def test_without_a_finding_nothing_can_be_proven() -> None:
    assert kind(judged(findings=(), successors=(successor(vulnerabilities={}),))) is UNVERIFIABLE


def test_of_what_a_scan_found_a_verdict_keeps_the_cases_own() -> None:
    evidence = candidate_evidence(on_the_new(2), on_the_new(1, status="CLOSED"), on_the_new(1))
    assert reduced(evidence, (an_image_finding(1), an_image_finding(3))) == successor(
        vulnerabilities={CVE: "ACTIVE", "CVE-2026-10003": ABSENT}
    )


def test_a_verdict_comes_back_from_the_ledger_as_it_was() -> None:
    answer = judged()
    assert isinstance(answer, Verdict)
    assert Verdict.model_validate_json(answer.model_dump_json()) == answer
    assert isinstance(answer.evidence[0], ImageEvidence)
    assert CandidateEvidence.model_validate_json(candidate_evidence().model_dump_json()) == candidate_evidence()
