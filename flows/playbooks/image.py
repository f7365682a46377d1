"""A container image: alert, triage, block promotion, rebuild, re-scan and test, deploy, verify, deprecate, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, examine_until_known, verify_until_known
from flows.playbooks.opening import alert_and_triage, left_alone
from runbooks.plan import Phase
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.rounds import settled
from tasks.triage import Triaged, still_contained, triaged_before
from tasks.write_up import close_with_post_mortem, hand_over


async def play() -> ResponseEnded:
    triaged = alert_and_triage()
    if not triaged.acting:
        return left_alone(triaged)

    if (missing := await _not_ready(triaged)) is not None:
        return hand_over(*missing)

    # Building and testing took their time: somebody may have released since, or an exploit be known.
    while (triaged := triaged_before(Phase.REMEDIATE)).containing and settled(Phase.CONTAIN) is None:
        if (missing := await _not_blocked(triaged)) is not None:
            return hand_over(*missing)
    if not triaged.acting:
        return left_alone(triaged)
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


async def _not_ready(triaged: Triaged) -> tuple[str, str] | None:
    """Block, rebuild, re-scan and test; how that ended, and why, where nothing may be deployed."""
    if (missing := await _not_blocked(triaged)) is not None:
        return missing
    rebuilt = await carry_out_phase(Phase.REBUILD)
    if not rebuilt.went_well:
        return rebuilt.result, rebuilt.detail
    examined = await examine_until_known()
    if not examined.passed:
        return "not fixed", "; ".join(examined.reasons)
    tested = await carry_out_phase(Phase.TEST)
    return None if tested.went_well else (tested.result, tested.detail)


async def _not_blocked(triaged: Triaged) -> tuple[str, str] | None:
    """Block promotion where triage asks for it; how that ended, and why, where it did not go well."""
    if not triaged.containing:
        return None
    blocked = await carry_out_phase(Phase.CONTAIN)
    return None if blocked.went_well else (blocked.result, blocked.detail)
