"""What Inspector's coverage means: only a scan that is kept up to date is one to judge by."""

from __future__ import annotations

import pytest
from botocore.session import get_session

from runbooks.gating.coverage import scan_state
from runbooks.verdict import Coverage

REASONS: list[str] = get_session().get_service_model("inspector2").shape_for("ScanStatusReason").enum  # type: ignore[attr-defined]


def kind(status: str, reason: str) -> str:
    return scan_state(Coverage(status=status, reason=reason)).kind


def test_of_all_reasons_inspector_has_only_an_active_success_is_ready() -> None:
    assert {reason for reason in REASONS if kind("ACTIVE", reason) == "ready"} == {"SUCCESSFUL"}
    assert kind("INACTIVE", "SUCCESSFUL") == "unable"


def test_of_all_reasons_inspector_has_these_pass_by_themselves() -> None:
    assert {reason for reason in REASONS if kind("INACTIVE", reason) == "pending"} == {
        "INTERNAL_ERROR",
        "PENDING_INITIAL_SCAN",
        "PENDING_REVIVAL_SCAN",
        "SCAN_IN_PROGRESS",
    }


@pytest.mark.parametrize("reason", ["SCAN_FREQUENCY_SCAN_ON_PUSH", "SCAN_FREQUENCY_MANUAL", "SCAN_ELIGIBILITY_EXPIRED"])
def test_a_scan_that_follows_nothing_new_is_none_to_judge_by(reason: str) -> None:
    state = scan_state(Coverage(status="INACTIVE", reason=reason))
    assert state.kind == "unable"
    assert state.words.endswith(f"(INACTIVE, {reason})")


def test_what_inspector_does_not_know_may_still_come() -> None:
    assert scan_state(None).kind == "pending"


def test_a_reason_of_tomorrow_cannot_be_judged_by() -> None:
    assert scan_state(Coverage(status="ACTIVE", reason="NEW")) == ("unable", "Inspector does not scan it (ACTIVE, NEW)")
