"""The verdict on a way in: still there is known at once, gone is proven only when Inspector has looked as well."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.evidence import Coverage
from runbooks.network_verdict import EXPECTED, judge_network
from runbooks.telling.verdict_text import verdicts_markdown
from runbooks.verdict import ABSENT, NotYet, Verdict, VerdictKind
from tests.runbooks.builders import INSTANCE_ID, a_case_key, after
from tests.runbooks.network_builders import NETWORK_CASE, an_opening, network_evidence

CHANGED = after(30)
AND_NO_MORE = "after the change, and reports the way in no more"
ARN = an_opening().arn


def judged(final: bool = False, **changes: Any) -> Verdict | NotYet:
    return judge_network(NETWORK_CASE, network_evidence(**changes), CHANGED, final=final)


def kind(final: bool = False, **changes: Any) -> VerdictKind | None:
    answer = judged(final, **changes)
    return answer.kind if isinstance(answer, Verdict) else None


def covered(status: str = "ACTIVE", reason: str = "SUCCESSFUL", minutes: float | None = 720) -> Coverage:
    return Coverage(status=status, reason=reason, last_scanned_at=None if minutes is None else after(minutes))


@pytest.mark.parametrize("status", ["CLOSED", ABSENT, EXPECTED])
def test_closed_by_us_and_by_inspector_is_fixed(status: str) -> None:
    answer = judged(findings={ARN: status})
    assert isinstance(answer, Verdict)
    assert (answer.kind, answer.reasons) == (
        VerdictKind.FIXED,
        (
            f"nothing leads from the internet to tcp/22 of {INSTANCE_ID} now",
            f"Inspector evaluated the network of {INSTANCE_ID} at 2026-03-02 21:16:00 UTC, {AND_NO_MORE}",
        ),
    )


def test_a_closure_after_the_change_is_a_look_where_the_coverage_does_not_tell() -> None:
    assert kind(coverage=covered(minutes=None)) is VerdictKind.FIXED
    assert kind(coverage=covered(minutes=None), closed_at=after(20)) is None


@pytest.mark.parametrize("status", ["ACTIVE", "CLOSED", ABSENT])
def test_a_way_that_still_leads_in_is_not_fixed_whatever_inspector_says(status: str) -> None:
    way = "0.0.0.0/0 -> igw-1 -> 203.0.113.7 tcp/20-30 (sg-0web on eni-1)"
    answer = judged(paths=(way,), findings={ARN: status})
    assert isinstance(answer, Verdict)
    assert (answer.kind, answer.reasons[0]) == (VerdictKind.NOT_FIXED, way)


def test_until_inspector_has_looked_it_is_waited_for() -> None:
    answer = judged(coverage=covered(minutes=20), findings={ARN: "ACTIVE"}, closed_at=None)
    assert answer == NotYet(
        reasons=(
            f"Inspector has not evaluated the network of {INSTANCE_ID} since the change, which it does every 12 hours",
        )
    )
    assert kind(final=True, coverage=covered(minutes=20), closed_at=None) is VerdictKind.UNVERIFIABLE


def test_where_inspector_sees_a_way_that_we_do_not_nothing_is_proven() -> None:
    assert kind(findings={ARN: "ACTIVE"}) is None
    assert kind(final=True, findings={ARN: "ACTIVE"}) is VerdictKind.UNVERIFIABLE


def test_while_another_path_leads_in_that_nobody_has_decided_about_it_is_not_fixed() -> None:
    answer = judged(beside=("tcp/80", "tcp/8443"))
    assert isinstance(answer, Verdict)
    assert (answer.kind, answer.reasons[-1]) == (
        VerdictKind.UNVERIFIABLE,
        f"another path leads to tcp/80 and tcp/8443 of {INSTANCE_ID}: a person decides about it",
    )
    assert kind(beside=("tcp/80",), paths=("a way",)) is VerdictKind.NOT_FIXED
    assert kind(beside=("tcp/80",), coverage=covered(minutes=20), closed_at=None) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"gone": True},
        {"findings": {ARN: "SUPPRESSED"}},
        {"ports": ()},
        {"coverage": covered("INACTIVE", "EXCLUDED_BY_TAG")},
        {"coverage": covered("INACTIVE", "EC2_INSTANCE_STOPPED")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_closes_without_being_fixed_is_unverifiable(changes: dict[str, Any]) -> None:
    assert kind(**changes) is VerdictKind.UNVERIFIABLE


def test_what_is_not_listed_yet_is_waited_for() -> None:
    assert kind(coverage=None) is None
    assert kind(coverage=covered("INACTIVE", "PENDING_INITIAL_SCAN")) is None


def test_the_evidence_is_shown() -> None:
    answer = judged()
    assert isinstance(answer, Verdict)
    text = verdicts_markdown([answer], {NETWORK_CASE: a_case_key()})
    assert "| Instance | Ports | Ways in now |" in text
    assert f"| `{INSTANCE_ID}` | tcp/22 | none |" in text


def test_the_evidence_comes_back_from_the_ledger_as_what_it_is() -> None:
    answer = judged()
    assert isinstance(answer, Verdict)
    assert Verdict.model_validate_json(answer.model_dump_json()) == answer
