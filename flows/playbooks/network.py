"""A way into an EC2 instance: alert, triage, close exactly that way, verify, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, verify_until_known
from flows.playbooks.opening import alert_and_triage, left_alone
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.accepting import tell_acceptance
from tasks.write_up import close_with_post_mortem, hand_over


async def play() -> ResponseEnded:
    triaged = alert_and_triage()
    tell_acceptance()
    if not triaged.acting:
        return left_alone(triaged)

    verdict = None
    while verdict is not VerdictKind.FIXED:
        closed = await carry_out_phase(Phase.REMEDIATE)
        if closed.result not in ("done", "partial"):
            return hand_over(closed.result, closed.detail)
        verified = await verify_until_known()
        if verified.kind is not VerdictKind.FIXED and not verified.again:
            return hand_over(str(verified.kind), verified.words)
        verdict = verified.kind

    return close_with_post_mortem()
