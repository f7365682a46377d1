"""Closed is not fixed: the verdict is fixed only when the finding, the coverage and the installed version agree."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.verdict import ABSENT, PASSING, Coverage, Evidence, NotYet, Verdict, VerdictKind, judge
from tests.runbooks.builders import CASE, INSTANCE_ID, a_finding, after, evidence

FIX = {"libssl3": "3.0.2-0ubuntu1.99"}
SINCE = after(30)
ARN = a_finding().arn
OLD = {"libssl3": "3.0.2-0ubuntu1.90"}


def judged(*each: Evidence, final: bool = False, fixed_in: dict[str, str | None] | None = None) -> Verdict | NotYet:
    return judge(CASE, each or (evidence(),), FIX if fixed_in is None else fixed_in, SINCE, final=final)


def kind(answer: Verdict | NotYet) -> VerdictKind | None:
    return answer.kind if isinstance(answer, Verdict) else None


def scanned(minutes: float | None, status: str = "ACTIVE", reason: str = "SUCCESSFUL") -> Coverage:
    return Coverage(status=status, reason=reason, last_scanned_at=None if minutes is None else after(minutes))


# --- fixed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("findings", [{ARN: "CLOSED"}, {ARN: ABSENT}, {}])
def test_it_is_fixed_when_finding_coverage_and_version_agree(findings: dict[str, str]) -> None:
    given_evidence = evidence(findings=findings)
    assert judged(given_evidence) == Verdict(
        case=CASE,
        kind=VerdictKind.FIXED,
        reasons=(
            f"libssl3 3.0.2-0ubuntu1.99 on {INSTANCE_ID} is at or after the fix 3.0.2-0ubuntu1.99",
            f"Inspector scanned {INSTANCE_ID} at 2026-03-02 09:56:00 UTC, after the change, and reports it no more",
        ),
        evidence=(given_evidence,),
    )


def test_a_package_that_is_no_longer_installed_is_fixed() -> None:
    answer = judged(evidence(installed={"libssl3": None}))
    assert kind(answer) is VerdictKind.FIXED
    assert answer.reasons[0] == f"libssl3 is not installed on {INSTANCE_ID}"


# --- not fixed -------------------------------------------------------------------------------------------------------


def test_closed_with_the_vulnerable_version_still_installed_is_not_fixed() -> None:
    answer = judged(evidence(installed=OLD))
    assert kind(answer) is VerdictKind.NOT_FIXED
    assert answer.reasons == (
        f"libssl3 3.0.2-0ubuntu1.90 on {INSTANCE_ID} is before the fix 3.0.2-0ubuntu1.99",
        f"Inspector closed the finding on {INSTANCE_ID}, but the vulnerable version is still installed",
    )


def test_reported_and_still_installed_is_not_fixed() -> None:
    answer = judged(evidence(installed=OLD, findings={ARN: "ACTIVE"}))
    assert kind(answer) is VerdictKind.NOT_FIXED
    assert answer.reasons[-1] == f"Inspector still reports the finding on {INSTANCE_ID}"


def test_one_vulnerable_package_of_several_is_not_fixed() -> None:
    both = {"libssl3": "3.0.2-0ubuntu1.99", "curl": "7.81.0-1"}
    fixes: dict[str, str | None] = {**FIX, "curl": "7.81.0-2"}
    assert kind(judged(evidence(installed=both), fixed_in=fixes)) is VerdictKind.NOT_FIXED


# --- unverifiable ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["EC2_INSTANCE_STOPPED", "EXCLUDED_BY_TAG", "RESOURCE_TERMINATED", "UNSUPPORTED_OS"])
def test_what_inspector_does_not_scan_is_unverifiable_however_the_finding_looks(reason: str) -> None:
    answer = judged(evidence(coverage=scanned(40, "INACTIVE", reason)))
    assert kind(answer) is VerdictKind.UNVERIFIABLE
    assert answer.reasons == (f"Inspector does not scan {INSTANCE_ID} now: {reason}",)


def test_an_instance_that_is_gone_is_unverifiable_although_its_finding_closed() -> None:
    answer = judged(evidence(gone=True))
    assert kind(answer) is VerdictKind.UNVERIFIABLE
    assert answer.reasons == (f"{INSTANCE_ID} is gone: its finding closes without being fixed",)


@pytest.mark.parametrize("findings", [{ARN: "SUPPRESSED"}, {ARN: "CLOSED", "another": "SUPPRESSED"}])
def test_what_a_suppression_rule_hides_is_unverifiable(findings: dict[str, str]) -> None:
    answer = judged(evidence(findings=findings))
    assert kind(answer) is VerdictKind.UNVERIFIABLE
    assert answer.reasons[-1] == f"a suppression rule hides the finding on {INSTANCE_ID}"


@pytest.mark.parametrize(
    ("changes", "fixed_in"),
    [
        ({}, {"libssl3": None}),
        ({"platform": "SOLARIS_11"}, FIX),
        ({"installed": {"libssl3": "no version at all"}}, FIX),
        ({"findings": {ARN: "ACTIVE"}}, {"libssl3": None}),
        ({}, {}),
    ],
)
def test_a_version_that_cannot_be_compared_proves_nothing(changes: dict[str, Any], fixed_in: dict[str, Any]) -> None:
    answer = judged(evidence(**changes), fixed_in=fixed_in)
    assert kind(answer) is VerdictKind.UNVERIFIABLE
    assert answer.reasons


def test_with_nothing_to_read_it_is_unverifiable() -> None:
    assert judge(CASE, (), FIX, SINCE, final=False) == Verdict(
        case=CASE, kind=VerdictKind.UNVERIFIABLE, reasons=("there was nothing to read",), evidence=()
    )


# --- not yet ---------------------------------------------------------------------------------------------------------

NOT_IN = [
    ({"coverage": None}, f"Inspector does not list {INSTANCE_ID} in its coverage"),
    ({"coverage": scanned(None)}, f"Inspector has not scanned {INSTANCE_ID} since the change"),
    ({"coverage": scanned(29)}, f"Inspector has not scanned {INSTANCE_ID} since the change"),
    ({"coverage": scanned(30)}, f"Inspector has not scanned {INSTANCE_ID} since the change"),
    ({"inventory_captured_at": None}, f"the inventory of {INSTANCE_ID} is older than the change"),
    ({"inventory_captured_at": after(30)}, f"the inventory of {INSTANCE_ID} is older than the change"),
    (
        {"findings": {ARN: "ACTIVE"}},
        f"Inspector still reports the finding on {INSTANCE_ID}, against the installed version",
    ),
    *(
        ({"coverage": scanned(40, "INACTIVE", reason)}, f"Inspector does not scan {INSTANCE_ID} now: {reason}")
        for reason in PASSING
    ),
]


@pytest.mark.parametrize(("changes", "missing"), NOT_IN)
def test_evidence_that_is_not_in_is_waited_for_and_in_the_end_proves_nothing(
    changes: dict[str, Any], missing: str
) -> None:
    waiting = judged(evidence(**changes))
    assert isinstance(waiting, NotYet)
    assert waiting.reasons[-1] == missing
    final = judged(evidence(**changes), final=True)
    assert kind(final) is VerdictKind.UNVERIFIABLE
    assert final.reasons[-1] == missing


def test_an_old_inventory_does_not_make_a_new_scan_say_not_fixed() -> None:
    assert isinstance(judged(evidence(installed=OLD, inventory_captured_at=after(29))), NotYet)


# --- several resources -----------------------------------------------------------------------------------------------

FIXED = evidence(resource="i-fixed")
WAITING = evidence(resource="i-waiting", coverage=None)
GONE = evidence(resource="i-gone", gone=True)
VULNERABLE = evidence(resource="i-vulnerable", installed=OLD)


@pytest.mark.parametrize(
    ("each", "now", "in_the_end"),
    [
        ((FIXED, FIXED), VerdictKind.FIXED, VerdictKind.FIXED),
        ((FIXED, GONE), VerdictKind.UNVERIFIABLE, VerdictKind.UNVERIFIABLE),
        ((FIXED, WAITING), None, VerdictKind.UNVERIFIABLE),
        ((GONE, WAITING), None, VerdictKind.UNVERIFIABLE),
        ((FIXED, VULNERABLE), VerdictKind.NOT_FIXED, VerdictKind.NOT_FIXED),
        ((GONE, VULNERABLE, WAITING, FIXED), VerdictKind.NOT_FIXED, VerdictKind.NOT_FIXED),
    ],
)
def test_of_several_successors_the_worst_decides_in_any_order(
    each: tuple[Evidence, ...], now: VerdictKind | None, in_the_end: VerdictKind
) -> None:
    for order in permutations(each):
        assert kind(judged(*order)) is now
        assert kind(judged(*order, final=True)) is in_the_end


def test_what_is_still_waited_for_is_all_that_is_told_meanwhile() -> None:
    waiting = judged(FIXED, WAITING)
    assert waiting == NotYet(reasons=("Inspector does not list i-waiting in its coverage",))


MOMENTS = st.none() | st.sampled_from([after(minutes) for minutes in (0, 30, 30.1, 60)])
EVIDENCE = st.builds(
    lambda gone, status, covered, coverage, at, captured, installed, platform: evidence(
        gone=gone,
        findings={ARN: status},
        coverage=Coverage(status=coverage, reason="R", last_scanned_at=at) if covered else None,
        inventory_captured_at=captured,
        installed={"libssl3": installed},
        platform=platform,
    ),
    st.booleans(),
    st.sampled_from(["ACTIVE", "CLOSED", "SUPPRESSED", ABSENT]),
    st.booleans(),
    st.sampled_from(["ACTIVE", "INACTIVE"]),
    MOMENTS,
    MOMENTS,
    st.sampled_from([None, "3.0.2-0ubuntu1.90", "3.0.2-0ubuntu1.99", "rubbish!"]),
    st.sampled_from(["UBUNTU_22_04", "SOLARIS_11"]),
)


def agrees(each: Evidence, since: datetime) -> bool:
    """All three say fixed, and each of them saw the change."""
    coverage, captured = each.coverage, each.inventory_captured_at
    if each.gone or coverage is None or coverage.status != "ACTIVE":
        return False
    if coverage.last_scanned_at is None or coverage.last_scanned_at <= since or captured is None or captured <= since:
        return False
    comparable = each.installed["libssl3"] is None or each.platform == "UBUNTU_22_04"
    version = each.installed["libssl3"] in (None, "3.0.2-0ubuntu1.99") and comparable
    return version and each.findings[ARN] in ("CLOSED", ABSENT)


@given(st.lists(EVIDENCE, min_size=1, max_size=3), st.booleans())
def test_it_is_fixed_exactly_when_all_evidence_on_every_resource_agrees(each: list[Evidence], final: bool) -> None:
    answer = judged(*each, final=final)
    assert (kind(answer) is VerdictKind.FIXED) is all(agrees(one, SINCE) for one in each)
    assert answer.reasons
    assert not final or isinstance(answer, Verdict)
