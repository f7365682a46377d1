"""Containment that nobody needs to be asked about: where the runbook says so and the instance's own tags do too."""

from __future__ import annotations

from collections.abc import Sequence

from runbooks.definition import Runbook, holding, in_words
from runbooks.triage import Assessment


def pre_authorised(runbook: Runbook, assessments: Sequence[Assessment]) -> str | None:
    """Why nobody needs to be asked before these cases are contained, in words; None where a person is.

    Every case has to qualify. What passes through an open group is never done without asking.
    """
    choice = runbook.contain.pre_authorised
    if choice is None or not assessments or runbook.contain.cut_connections:
        return None
    found = [holding(choice.when, each.triage.signals) for each in assessments]
    if None in found or not all(_tagged(each, choice.tags) for each in assessments):
        return None
    what = " or ".join(dict.fromkeys(in_words(condition) for condition in found if condition))
    tags = ", ".join(f"{name}={value}" for name, value in choice.tags.items())
    return f"{runbook.name} has authorised beforehand to contain what is {what} and tagged {tags}"


def _tagged(each: Assessment, tags: dict[str, str]) -> bool:
    return tags.items() <= each.facts.tags.items()
