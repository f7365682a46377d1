"""How every playbook opens: the alert goes out, the world is read, and what needs nothing more ends here."""

from __future__ import annotations

from runbooks.records import ResponseEnded
from tasks.alert import alert_security_operations, already_alerted, open_ticket
from tasks.triage import Triaged, already_triaged, still_contained, triage_cases
from tasks.write_up import conclude, hand_over


def alert_and_triage() -> Triaged:
    """Tell the people, once; then read and decide, once."""
    if not already_alerted():
        open_ticket()
        alert_security_operations()
    return already_triaged() or triage_cases()


def left_alone(triaged: Triaged) -> ResponseEnded:
    """The end of a response in which triage leaves nothing to act on."""
    if triaged.for_a_person or still_contained():
        return hand_over("person", triaged.words)
    return conclude("nothing-to-do", triaged.words)
