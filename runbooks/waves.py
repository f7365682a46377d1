"""Between two waves: how the one before ended, and whether the next one may begin."""

from __future__ import annotations

from collections.abc import Mapping

from runbooks.case import response_stream
from runbooks.definition import Limits
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import WaveEnded, WavesSteered
from runbooks.signing import Signer


def current_wave(history: ResponseHistory, plan: Plan) -> int:
    """The wave that is carried out or verified now: the first that has not ended, or the last that was begun."""
    ended, out = history.waves.get(plan.digest, {}), not_begun(history, plan)
    there = [number for number, cases in enumerate(plan.waves) if not set(cases) <= out.keys()]
    return next((number for number in there if number not in ended), max(there, default=0))


def to_verify(history: ResponseHistory, plan: Plan) -> tuple[str, ...]:
    """The cases whose re-scan is hurried now: those of the current wave."""
    return plan.waves[current_wave(history, plan)] if plan.waves else plan.cases


def ended_wave(history: ResponseHistory, plan: Plan, wave: int, failed: Mapping[str, str], limits: Limits) -> WaveEnded:
    """How a wave ended, and whether the waves after it are begun.

    Args:
        failed: case -> why it is not fixed, of the cases of this wave.
    """
    before = history.waves.get(plan.digest, {}).values()
    bad = len(failed) + sum(len(each.failed) for each in before)
    so_far = len(plan.waves[wave]) + sum(len(each.cases) for each in before)
    most = limits.maximum_share_of_failures
    stops = ""
    if bad * 100 > most * so_far:
        stops = f"{bad} of {so_far} cases so far are not fixed, and maximum_share_of_failures is {most} %"
    return WaveEnded(digest=plan.digest, wave=wave, cases=plan.waves[wave], failed=dict(failed), stops=stops)


def not_begun(history: ResponseHistory, plan: Plan) -> dict[str, str]:
    """The cases of the waves that will not be begun, each with the reason. What has begun goes on to its end."""
    found = _stop(history, plan)
    if found is None:
        return {}
    last, reason = found
    begun = {plan.wave_of(step) for step in plan.steps if plan.operation(step) in history.intents}
    first = max(last, *begun) + 1 if begun else last + 1
    return {case: reason for wave in plan.waves[first:] for case in wave}


def paused(history: ResponseHistory, plan: Plan, signer: Signer) -> WavesSteered | None:
    """The pause that is in force. Only a signed resumption ends one."""
    found: WavesSteered | None = None
    stream = response_stream(plan.response)
    for each in history.steered.get(plan.digest, []):
        if each.says == "pause":
            found = each
        elif each.says == "resume" and signer.verifies(stream, each):
            found = None
    return found


def _stop(history: ResponseHistory, plan: Plan) -> tuple[int, str] | None:
    """The last wave that is still begun, and why; None where nothing stops them."""
    stops = [
        (each.wave, f"not begun: after wave {each.wave + 1} {each.stops}")
        for each in history.waves.get(plan.digest, {}).values()
        if each.stops
    ]
    stops += [
        (each.last, f"not begun: {each.by} left it out ({each.reason})")
        for each in history.steered.get(plan.digest, [])
        if each.says == "stop" and each.last is not None
    ]
    return min(stops, default=None)
