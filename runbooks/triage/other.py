"""Triage of what only people act upon: is there still something to hand over, and how urgent is it."""

from __future__ import annotations

from runbooks.definition import Runbook
from runbooks.facts import CaseFacts
from runbooks.triage.assessment import Triage
from runbooks.triage.signals import active, answered, ends, priority, signals

NOT_LOOKED_AT = "whether it can be reached from the internet was not looked at"


def triage_other(facts: CaseFacts, runbook: Runbook) -> Triage:
    """Decide what the case calls for: a person, unless Inspector says that it is over."""
    if (without := answered(facts)) is not None:
        return ends(facts, *without)
    facts = facts.model_copy(update={"findings": active(facts)})
    found, why_found = signals(facts, runbook, None, NOT_LOOKED_AT)
    level, why_urgent = priority(facts, found)
    return Triage(
        case=facts.case,
        decision="person",
        code="for-a-person",
        priority=level,
        signals=found,
        reasons=(*why_found, why_urgent, f"a person must see to it: {runbook.name} changes nothing"),
    )
