"""Whether a change window is waited for: what the runbook does not wait with goes at once."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.definition import Runbook, holding, in_words
from runbooks.triage import Assessment


def why_at_once(runbook: Runbook, cases: Sequence[Assessment]) -> tuple[str, ...]:
    """Why no change window is waited for, where there are some: every case is of a kind that does not wait."""
    found = [holding(runbook.remediate.any_time_when, each.triage.signals) for each in cases]
    if not runbook.remediate.windows or None in found:
        return ()
    what = " or ".join(dict.fromkeys(in_words(condition) for condition in found if condition))
    return (f"no change window is waited for: {runbook.name} does not wait with what is {what}",)
