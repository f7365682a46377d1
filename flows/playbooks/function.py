"""A Lambda function: alert, triage, contain, rebuild its image or its code, update and shift, verify, write up."""

from __future__ import annotations

from flows.phases import carry_out_phase, examine_until_known, verify_until_known
from flows.playbooks.opening import alert_and_triage, left_alone
from runbooks.plan import Phase
from runbooks.planning.functions.rebuilding import gets_image, is_rebuilt
from runbooks.records import ResponseEnded
from runbooks.verdict import VerdictKind
from tasks.triage import Triaged, still_contained
from tasks.write_up import close_with_post_mortem, hand_over


async def play() -> ResponseEnded:
    triaged = alert_and_triage()
    if not triaged.acting:
        return left_alone(triaged)

    if triaged.containing:
        contained = await carry_out_phase(Phase.CONTAIN)
        if not contained.went_well:
            return hand_over(contained.result, contained.detail)

    if (missing := await _not_built(triaged)) is not None:
        return hand_over(*missing)

    updated = await carry_out_phase(Phase.REMEDIATE)
    if not updated.went_well:
        return hand_over(updated.result, updated.detail)
    verified = await verify_until_known()
    if verified.kind is not VerdictKind.FIXED:
        return hand_over(str(verified.kind), verified.words)

    if still_contained():
        await carry_out_phase(Phase.RELEASE)
    return close_with_post_mortem()


async def _not_built(triaged: Triaged) -> tuple[str, str] | None:
    """Build what has to be built; how that ended, and why, where nothing may be put in."""
    if any(is_rebuilt(each) for each in triaged.acting):
        rebuilt = await carry_out_phase(Phase.REBUILD)
        if not rebuilt.went_well:
            return rebuilt.result, rebuilt.detail
    # A zip is scanned where it is $LATEST, and nowhere before: what proves it is the verification.
    if any(gets_image(each) for each in triaged.acting):
        examined = await examine_until_known()
        if not examined.passed:
            return "not fixed", "; ".join(examined.reasons)
    return None
