"""A phase: plan it, get a yes, carry it out. A world that has moved is planned, and asked about, again."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from flows.approval import obtain_decision
from flows.response_run import LookAgain
from runbooks.history import PAUSED
from runbooks.plan import Phase, Plan
from runbooks.records import CandidateExamined, PhaseEnded
from runbooks.verdict import NotYet
from tasks.acting import carry_out_stage, end_phase, stage_words
from tasks.examining import examine_candidate
from tasks.patience import next_turn
from tasks.planning import make_plan
from tasks.rounds import settled
from tasks.run import current
from tasks.verifying import Verified, look_for_verdict
from tasks.waves import end_wave, is_over, why_paused

SHORT_PAUSE_SECONDS = 1.5


async def carry_out_phase(phase: Phase) -> PhaseEnded:
    """Bring the phase to its end, whichever runs and plans it takes."""
    while (ended := settled(phase)) is None:
        plan = make_plan(phase)
        if not plan.steps:
            end_phase(plan, "not-needed")
        elif (decision := await obtain_decision(plan)).answer != "approved":
            end_phase(plan, decision.answer)
        else:
            await carry_out(plan)
            end_phase(plan)
    return ended


async def carry_out(plan: Plan) -> None:
    """Every stage of an approved plan, in order; a wave begins when the one before was verified."""
    entered: int | None = None
    for number, stage in enumerate(plan.stages()):
        wave = plan.wave_of(stage[0])
        if entered is None or wave > entered:
            await enter_wave(plan, wave, entered)
            entered = wave
        if is_over(plan, wave):
            continue
        words = stage_words(stage)
        patience = Patience(plan.phase)
        while (progress := carry_out_stage(plan, number, words)).waiting is not None:
            await patience.wait(progress.waiting, progress.held, progress.until)


async def enter_wave(plan: Plan, wave: int, before: int | None) -> None:
    """Judge the wave before, where there is one, and wait while an operator holds this one back."""
    if before is not None and not is_over(plan, before):
        await verify_until_known()
        end_wave(plan, before)
    if not is_over(plan, wave) and (why := why_paused(plan, wave)) is not None:
        raise LookAgain(PAUSED, why, next_turn(current(), PAUSED))


async def examine_until_known() -> CandidateExamined:
    """Wait until what was made has been scanned, and say whether it may be deployed."""
    patience = Patience(Phase.REBUILD)
    while isinstance(examined := examine_candidate(), NotYet):
        await patience.wait("; ".join(examined.reasons))
    return examined


async def verify_until_known() -> Verified:
    """Hurry Inspector's next look, then wait for evidence that agrees."""
    await carry_out_phase(Phase.VERIFY)
    patience = Patience(Phase.VERIFY)
    while (verified := look_for_verdict()).kind is None:
        await patience.wait(verified.words)
    return verified


class Patience:
    """Waits a few seconds in place; after that the run ends, and the sweep starts the next one in time."""

    def __init__(self, phase: Phase) -> None:
        run = current()
        self._phase = phase
        self._left = float(run.services.settings.short_wait_seconds)
        chosen = run.runbook.verify.look_every_seconds
        self._next_look = timedelta(seconds=min(chosen, run.services.settings.maximum_look_seconds))

    async def wait(self, reason: str, held: str | None = None, until: datetime | None = None) -> None:
        """Raises LookAgain once a short wait has not been enough, and at once where something is held back."""
        if held is not None:
            raise LookAgain(held, reason, until or next_turn(current(), held))
        if self._left < SHORT_PAUSE_SECONDS:
            raise LookAgain(self._phase, reason, current().now() + self._next_look)
        self._left -= SHORT_PAUSE_SECONDS
        await asyncio.sleep(SHORT_PAUSE_SECONDS)
