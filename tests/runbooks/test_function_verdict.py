"""Whether a case about a function is fixed. Inspector scans $LATEST alone: a closed finding proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.evidence import ABSENT
from runbooks.function_verdict import judge_function
from runbooks.telling.verdict_text import verdicts_markdown
from runbooks.verdict import NotYet, Verdict, VerdictKind
from tests.runbooks.builders import after
from tests.runbooks.function_builders import (
    FUNCTION_CASE,
    a_function_finding,
    a_function_key,
    an_alias,
    function_evidence,
    scanned_at,
    served,
)
from tests.runbooks.function_steps import AFTER, BEFORE

ARN = a_function_finding().arn
FIXED, NOT_FIXED, UNVERIFIABLE = VerdictKind.FIXED, VerdictKind.NOT_FIXED, VerdictKind.UNVERIFIABLE
OTHER = AFTER.model_copy(update={"code_sha256": "another"})


def judged(*, final: bool = False, **changes: Any) -> Verdict | NotYet:
    return judge_function(FUNCTION_CASE, function_evidence(**changes), final=final)


def test_it_is_fixed_when_latest_was_scanned_and_the_alias_serves_just_that() -> None:
    answer = judged()
    assert isinstance(answer, Verdict)
    assert (answer.case, answer.kind) == (FUNCTION_CASE, FIXED)
    assert answer.reasons == (
        "Inspector scanned $LATEST at 2026-03-02 09:46:00 UTC, after its last change, and reports it no more",
        "alias live serves version 2: the same code, layers and runtime as were scanned",
    )
    assert "live: 2" in verdicts_markdown([answer], {FUNCTION_CASE: a_function_key()})


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"gone": True, "latest": None}, UNVERIFIABLE, "the function is gone"),
        ({"aliases": (an_alias(),)}, NOT_FIXED, "alias live still serves version 1, which has the vulnerability"),
        (
            {"aliases": (an_alias("live", served("2", content=AFTER), served("1"), weights={"1": 0.9}),)},
            NOT_FIXED,
            "alias live still serves version 1 to 90%, which has the vulnerability",
        ),
        ({"pinned": ("sqs orders invokes version 1 by its number",)}, NOT_FIXED, "which nobody has brought to another"),
        (
            {"aliases": (an_alias("live", served("3", content=OTHER)),)},
            UNVERIFIABLE,
            "alias live serves version 3, which is not what Inspector has scanned",
        ),
        ({"latest": OTHER}, UNVERIFIABLE, "alias live serves version 2, which is not what Inspector has scanned"),
        ({"findings": {ARN: "ACTIVE"}, "reported_at": after(30)}, NOT_FIXED, "still reports the finding"),
        ({"findings": {ARN: "SUPPRESSED"}}, UNVERIFIABLE, "a suppression rule hides the finding on $LATEST"),
        ({"findings": {}}, UNVERIFIABLE, "no finding says what was to be fixed"),
        ({"findings": {ARN: ABSENT}}, FIXED, "reports it no more"),
        ({"aliases": ()}, FIXED, "no alias serves anything but $LATEST"),
        ({"aliases": (an_alias("edge", served("$LATEST")),)}, FIXED, "alias edge serves $LATEST itself"),
        (
            {"coverage": scanned_at(reason="EXCLUDED_BY_TAG", status="INACTIVE")},
            UNVERIFIABLE,
            "Inspector does not scan the function now: EXCLUDED_BY_TAG",
        ),
    ],
)
def test_the_verdict_and_why(changes: dict[str, Any], kind: VerdictKind, words: str) -> None:
    answer = judged(**changes)
    assert isinstance(answer, Verdict)
    assert answer.kind is kind
    assert any(words in reason for reason in answer.reasons), answer.reasons


@pytest.mark.parametrize(
    ("changes", "words", "in_the_end"),
    [
        ({"coverage": None}, "does not list the function in its coverage", UNVERIFIABLE),
        ({"coverage": scanned_at(10)}, "has not scanned $LATEST since it was changed", UNVERIFIABLE),
        ({"coverage": scanned_at(20)}, "has not scanned $LATEST since it was changed", UNVERIFIABLE),
        ({"coverage": scanned_at(reason="PENDING_INITIAL_SCAN")}, "PENDING_INITIAL_SCAN", UNVERIFIABLE),
        ({"findings": {ARN: "ACTIVE"}, "reported_at": after(10)}, "still reports the finding", NOT_FIXED),
    ],
)
def test_what_is_waited_for_and_what_becomes_of_it(
    changes: dict[str, Any], words: str, in_the_end: VerdictKind
) -> None:
    waiting = judged(**changes)
    assert isinstance(waiting, NotYet)
    assert any(words in reason for reason in waiting.reasons)
    answer = judged(final=True, **changes)
    assert isinstance(answer, Verdict)
    assert answer.kind is in_the_end


def test_a_scan_of_a_latest_that_nothing_else_serves_does_not_hide_the_old_version() -> None:
    answer = judged(aliases=(an_alias(), an_alias("beta", served("2", content=AFTER))))
    assert isinstance(answer, Verdict)
    assert (answer.kind, answer.reasons) == (
        NOT_FIXED,
        ("alias live still serves version 1, which has the vulnerability",),
    )


def test_the_patched_content_that_triage_read_before_the_re_scan_is_judged_by_that_scan() -> None:
    """The finding was active still, so that triage took for vulnerable what the update had just put in."""
    late: dict[str, Any] = {"vulnerable": (BEFORE, AFTER)}
    proven = judged(**late)
    assert isinstance(proven, Verdict)
    assert proven.kind is FIXED
    reported = judged(**late, findings={ARN: "ACTIVE"}, reported_at=after(30))
    assert isinstance(reported, Verdict)
    assert (reported.kind, reported.reasons) == (
        NOT_FIXED,
        ("Inspector scanned $LATEST since it was changed, and still reports the finding",),
    )
    left = judged(**late, aliases=(an_alias(),))
    assert isinstance(left, Verdict)
    assert left.reasons == ("alias live still serves version 1, which has the vulnerability",)


def test_evidence_reads_back_as_it_was_written() -> None:
    answer = judged()
    assert isinstance(answer, Verdict)
    assert Verdict.model_validate(answer.model_dump(mode="json")) == answer
    assert BEFORE in answer.evidence[0].vulnerable  # type: ignore[union-attr]
