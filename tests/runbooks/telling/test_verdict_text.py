"""The verdicts told: what is not fixed first, each with what was read."""

from __future__ import annotations

from runbooks.telling.verdict_text import verdicts_markdown, waiting_markdown
from runbooks.verdict import Verdict, VerdictKind
from tests.runbooks.builders import INSTANCE_ID, a_verdict, evidence, keys_of


def test_what_is_not_fixed_comes_first() -> None:
    kinds = (VerdictKind.FIXED, VerdictKind.UNVERIFIABLE, VerdictKind.NOT_FIXED)
    text = verdicts_markdown([a_verdict(kind, "a reason") for kind in kinds], keys_of())
    assert [line for line in text.split("\n") if line.startswith("## ")] == [
        f"## Not fixed: {INSTANCE_ID}"
        if kind is VerdictKind.NOT_FIXED
        else f"## {kind.value.capitalize()}: {INSTANCE_ID}"
        for kind in reversed(kinds)
    ]


def test_the_evidence_is_in_the_table() -> None:
    text = verdicts_markdown([a_verdict()], keys_of())
    assert (
        f"| `{INSTANCE_ID}` | ACTIVE, SUCCESSFUL | 2026-03-02 09:56:00 UTC | 2026-03-02 09:55:00 UTC "
        "| `libssl3` `3.0.2-0ubuntu1.99` | CLOSED |"
    ) in text


def test_what_could_not_be_read_is_said() -> None:
    gone = evidence(gone=True, coverage=None, inventory_captured_at=None, installed={"libssl3": None}, findings={})
    verdict = Verdict(case="case-x", kind=VerdictKind.UNVERIFIABLE, reasons=("it is gone",), evidence=(gone,))
    text = verdicts_markdown([verdict], {})
    assert "## Unverifiable: case-x" in text
    assert f"| `{INSTANCE_ID}` (gone) | not listed | not known | not known | `libssl3` is not installed | - |" in text


def test_no_verdict_is_said() -> None:
    assert "There is no verdict yet." in verdicts_markdown([], {})


def test_what_is_waited_for_is_listed_once_and_cannot_forge_anything() -> None:
    text = waiting_markdown(["not scanned yet", "not scanned yet", "# x [a](https://evil.example)"])
    assert text.count("not scanned yet") == 1
    assert "- \\# x [a\\](https:" in text
