"""An EC2 instance: alert, triage, contain, patch or replace, verify, release, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, verify_until_known
from flows.playbooks.opening import alert_and_triage, left_alone
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.triage import still_contained
from tasks.write_up import close_with_post_mortem, hand_over


async def play() -> ResponseEnded:
    triaged = alert_and_triage()
    if not triaged.acting:
        return left_alone(triaged)

    if triaged.containing:
        contained = await carry_out_phase(Phase.CONTAIN)
        if not contained.went_well:
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
