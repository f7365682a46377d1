"""The playbook: alert, triage, contain, remediate, verify, release, write up.

The body of a flow only decides and calls tasks, and can be run again from its first line at any time, on any machine:
what has been done is read from the ledger and is not done again. A run never holds a process for long. When it waits
for a person it suspends with a form; when it waits for AWS it writes when to look next, and ends; the sweep wakes it
as a new flow run.
"""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.phases import carry_out_phase, verify_until_known
from flows.response_run import response_run
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.alert import alert_security_operations, already_alerted, open_ticket
from tasks.triage import already_triaged, still_contained, triage_cases
from tasks.write_up import close_with_post_mortem, conclude, hand_over


@flow(name="respond", persist_result=False)
async def respond(response: str, attempt: int = 0) -> State:
    """Respond to the findings of one response, from the alert to the post-mortem.

    Args:
        response: Id of the response in the ledger, as `runbooks cases show` prints it.
        attempt: Which run of the response this is; leave 0 when you start one by hand.
    """
    return await response_run("respond", response, attempt, _playbook)


async def _playbook() -> ResponseEnded:
    if not already_alerted():
        open_ticket()
        alert_security_operations()

    triaged = already_triaged() or triage_cases()
    if not triaged.acting:
        if triaged.for_a_person or still_contained():
            return hand_over("person", triaged.words)
        return conclude("nothing-to-do", triaged.words)

    if triaged.containing:
        contained = await carry_out_phase(Phase.CONTAIN)
        if contained.result not in ("done", "partial", "not-needed"):
            return hand_over(contained.result, contained.detail)

    verdict = None
    while verdict is not VerdictKind.FIXED:
        remediated = await carry_out_phase(Phase.REMEDIATE)
        if remediated.result not in ("done", "partial"):
            return hand_over(remediated.result, remediated.detail)
        verified = await verify_until_known()
        if verified.kind is not VerdictKind.FIXED and not verified.again:
            return hand_over(str(verified.kind), verified.words)
        verdict = verified.kind

    if still_contained():
        await carry_out_phase(Phase.RELEASE)
    return close_with_post_mortem()
