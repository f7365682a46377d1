"""What only people act upon: read it again, and hand it over in one ticket. Nothing is changed."""

from __future__ import annotations

from runbooks.records import ResponseEnded
from tasks.alert import alert_security_operations, already_alerted
from tasks.handing_over import open_handover_ticket
from tasks.triage import already_triaged, triage_cases
from tasks.write_up import conclude


async def play() -> ResponseEnded:
    triaged = already_triaged() or triage_cases()
    if not triaged.for_a_person:
        return conclude("nothing-to-do", triaged.words)
    if not already_alerted():
        open_handover_ticket(triaged)
        alert_security_operations()
    return conclude("person", triaged.words)
