"""A Lambda function: alert, triage, contain, rebuild where it runs an image, update and shift, verify, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, examine_until_known, verify_until_known
from flows.playbooks.opening import alert_and_triage, left_alone
from runbooks.plan import Phase
from runbooks.planning.functions.rebuilding import is_rebuilt
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.triage import still_contained
from tasks.write_up import close_with_post_mortem, hand_over

WELL = ("done", "partial", "not-needed")


async def play() -> ResponseEnded:
    triaged = alert_and_triage()
    if not triaged.acting:
        return left_alone(triaged)

    if triaged.containing:
        contained = await carry_out_phase(Phase.CONTAIN)
        if contained.result not in WELL:
            return hand_over(contained.result, contained.detail)

    if any(is_rebuilt(each) for each in triaged.acting):
        rebuilt = await carry_out_phase(Phase.REBUILD)
        if rebuilt.result not in WELL:
            return hand_over(rebuilt.result, rebuilt.detail)
        examined = await examine_until_known()
        if not examined.passed:
            return hand_over("not fixed", "; ".join(examined.reasons))

    updated = await carry_out_phase(Phase.REMEDIATE)
    if updated.result not in WELL:
        return hand_over(updated.result, updated.detail)
    verified = await verify_until_known()
    if verified.kind is not VerdictKind.FIXED:
        return hand_over(str(verified.kind), verified.words)

    if still_contained():
        await carry_out_phase(Phase.RELEASE)
    return close_with_post_mortem()
