"""A runbook's values: their bounds, what they cover, and the digest by which a plan names them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runbooks.definition import Approval, Quarantine, Runbook
from runbooks.finding import Finding
from runbooks.plan import ApprovalRule
from tests.runbooks.builders import a_finding, a_resource, a_runbook


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Upper"},
        {"name": "-dash-first"},
        {"name": ""},
        {"thresholds": {"epss": 1.1}},
        {"thresholds": {"epss": -0.1}},
        {"waves": ()},
        {"waves": (0,)},
        {"waves": ("0%",)},
        {"waves": ("101%",)},
        {"limits": {"maximum_cases": 0}},
        {"limits": {"maximum_interfaces": 51}},
        {"verify": {"maximum_attempts": 6}},
        {"remediate": {"delivery_timeout_seconds": 29}},
        {"remediate": {"strategy": "reinstall"}},
        {"contain": {"when": (("worried",),)}},
        {"contain": {"quarantine": {"package_mirrors": ("mirror.example/24",)}}},
        {"contain": {"quarantine": {"group_name": ""}}},
        {"contain": {"quarantine": {"group_name": "q" * 247}}},
        {"contain": {"approval": {"expires_minutes": 60 * 24 * 14 + 1}}},
        {"surprise": True},
    ],
)
def test_a_value_out_of_bounds_is_no_runbook(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        a_runbook(**changes)


@pytest.mark.parametrize(("given_mirror", "kept"), [("10.0.9.0/24", "10.0.9.0/24"), ("FD00:0::/8", "fd00::/8")])
def test_a_mirror_is_kept_as_ec2_will_show_it(given_mirror: str, kept: str) -> None:
    assert Quarantine(package_mirrors=(given_mirror,)).package_mirrors == (kept,)


def test_no_approval_is_given_by_default() -> None:
    runbook = Runbook.model_validate(
        {
            "name": "bare",
            "title": "Bare",
            "matches": {
                "finding_type": "PACKAGE_VULNERABILITY",
                "resource_type": "AWS_EC2_INSTANCE",
                "severities": ("HIGH",),
            },
            "contain": {"when": ()},
        }
    )
    approvals = (runbook.contain.approval, runbook.remediate.approval, runbook.release.approval)
    assert all(approval.required for approval in approvals)
    assert (runbook.contain.cut_connections, runbook.contain.stop) == (False, False)
    assert (runbook.contain.snapshots, runbook.contain.protect_evidence) == (True, True)


def test_an_approval_gives_the_rule_that_the_plan_carries() -> None:
    approval = Approval(required=True, approvers=("jane", "joe"), expires_minutes=15)
    assert approval.rule() == ApprovalRule(required=True, approvers=("jane", "joe"), expires_minutes=15)


@pytest.mark.parametrize(
    ("finding", "covered"),
    [
        (a_finding(severity="HIGH"), True),
        (a_finding(severity="CRITICAL"), True),
        (a_finding(severity="MEDIUM"), False),
        (a_finding(severity="UNTRIAGED"), False),
        (a_finding(type="NETWORK_REACHABILITY"), False),
        (a_finding(resource=a_resource(type="AWS_LAMBDA_FUNCTION")), False),
    ],
)
def test_a_runbook_covers_by_type_resource_and_severity(finding: Finding, covered: bool) -> None:
    assert a_runbook().matches.covers(finding) is covered


def test_the_digest_is_the_runbooks_own_and_changes_with_any_of_its_values() -> None:
    digests = {
        a_runbook(**changes).digest
        for changes in (
            {},
            {"title": "Another"},
            {"limits": {"maximum_cases": 49}},
            {"contain": {"snapshots": False}},
            {"contain": {"quarantine": {"package_mirrors": ()}}},
            {"post_mortem": {"prevention": ()}},
        )
    }
    assert len(digests) == 6
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
    assert Runbook.model_validate_json(a_runbook().model_dump_json()).digest == a_runbook().digest


@given(st.sampled_from(sorted(Runbook.model_fields)))
def test_a_runbook_is_never_changed(field: str) -> None:
    with pytest.raises(ValidationError):
        setattr(a_runbook(), field, None)
