"""A container image: alert, triage, block promotion, rebuild, re-scan and test, deploy, verify, deprecate, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, examine_until_known, verify_until_known
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
        blocked = await carry_out_phase(Phase.CONTAIN)
        if not blocked.went_well:
            return hand_over(blocked.result, blocked.detail)

    rebuilt = await carry_out_phase(Phase.REBUILD)
    if not rebuilt.went_well:
        return hand_over(rebuilt.result, rebuilt.detail)
    examined = await examine_until_known()
    if not examined.passed:
        return hand_over("not fixed", "; ".join(examined.reasons))
    tested = await carry_out_phase(Phase.TEST)
    if not tested.went_well:
        return hand_over(tested.result, tested.detail)

    deployed = await carry_out_phase(Phase.REMEDIATE)
    if not deployed.went_well:
        return hand_over(deployed.result, deployed.detail)
    verified = await verify_until_known()
    if verified.kind is not VerdictKind.FIXED:
        return hand_over(str(verified.kind), verified.words)

    if still_contained():
        await carry_out_phase(Phase.RELEASE)
    await carry_out_phase(Phase.DEPRECATE)
    return close_with_post_mortem()
