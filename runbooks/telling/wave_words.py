"""Waves in words: how large each is, how it ended, and what keeps the next one back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import WaveEnded, WavesSteered
from runbooks.telling.words import counted
from runbooks.waves import current_wave, not_begun


def planned_waves(plan: Plan) -> Iterator[str]:
    """What an approver is told: nothing of a plan that has one wave."""
    if plan.waves:
        sizes = ", then ".join(str(len(wave)) for wave in plan.waves)
        yield f"in {counted(len(plan.waves), 'wave')}: {sizes} of {counted(len(plan.cases), 'case')}"
        yield "the next wave begins when the one before was verified, and not where too many of it were not fixed"
        yield "an operator can hold the next wave back, or leave waves out: runbooks waves"


def wave_states(history: ResponseHistory, plan: Plan) -> Iterator[tuple[int, int, str]]:
    """Of each wave its number from 1, its size and how it stands."""
    ended, out, now = history.waves.get(plan.digest, {}), not_begun(history, plan), current_wave(history, plan)
    phase_over = history.phase_ended(plan.phase) is not None
    begun = {plan.wave_of(step) for step in plan.steps if plan.operation(step) in history.intents}
    for number, cases in enumerate(plan.waves):
        if (end := ended.get(number)) is not None:
            state = f"done, {len(end.failed)} not fixed" if end.failed else "done, all fixed"
        elif cases[0] in out:
            state = out[cases[0]]
        elif phase_over:
            state = "done"
        elif number == now and number in begun:
            state = "running"
        else:
            state = "waiting"
        yield number + 1, len(cases), state


def time_left(history: ResponseHistory, plan: Plan, now: datetime) -> timedelta | None:
    """How long the waves to come may take, if they take as long as those before did on average; None at first."""
    ended = history.waves.get(plan.digest, {})
    starts = [history.begun[op] for step in plan.steps if (op := plan.operation(step)) in history.begun]
    if not ended or not starts:
        return None
    left = sum(1 for *_, state in wave_states(history, plan) if state in ("running", "waiting"))
    took = max(each.at for each in history.entries if isinstance(each.record, WaveEnded)) - min(starts)
    return took / len(ended) * left if left else timedelta(0)


def wave_ended_words(ended: WaveEnded) -> str:
    words = f"wave {ended.wave + 1} ended: {len(ended.cases) - len(ended.failed)} of {len(ended.cases)} fixed"
    return f"{words}; the later waves are not begun: {ended.stops}" if ended.stops else words


def steered_words(steered: WavesSteered) -> str:
    did = {
        "pause": "held the next wave back",
        "resume": "let the waves go on",
        "stop": f"left out the waves after wave {(steered.last or 0) + 1}",
    }
    return f"{steered.by} {did[steered.says]}: {steered.reason}"
