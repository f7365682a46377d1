"""A phase: plan it, get a yes, carry it out. A world that has moved is planned, and asked about, again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from flows.approval import obtain_decision
from flows.response_run import LookAgain
from runbooks.plan import Phase, Plan
from runbooks.records import PhaseEnded
from tasks.acting import carry_out_stage, end_phase, how_ended, stage_words
from tasks.planning import is_current, make_plan, may_plan_again
from tasks.run import current
from tasks.triage import triage_again
from tasks.verifying import Verified, look_for_verdict

SHORT_PAUSE_SECONDS = 1.5


async def carry_out_phase(phase: Phase) -> PhaseEnded:
    """Bring the phase to its end, whichever runs it takes."""
    while True:
        ended = how_ended(phase) if is_current(phase) else None
        if ended is not None:
            if ended.result != "drifted" or not may_plan_again(phase):
                return ended
            triage_again()
        plan = make_plan(phase)
        if not plan.steps:
            return end_phase(plan, "not-needed")
        decision = await obtain_decision(plan)
        if decision.answer != "approved":
            return end_phase(plan, decision.answer)
        await carry_out(plan)
        end_phase(plan)


async def carry_out(plan: Plan) -> None:
    """Every stage of an approved plan, in order."""
    for number, stage in enumerate(plan.stages()):
        words = stage_words(stage)
        patience = Patience(plan.phase)
        while (progress := carry_out_stage(plan, number, words)).waiting is not None:
            await patience.wait(progress.waiting)


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

    async def wait(self, reason: str) -> None:
        """Raises LookAgain once a short wait has not been enough."""
        if self._left < SHORT_PAUSE_SECONDS:
            raise LookAgain(self._phase, reason, current().now() + self._next_look)
        self._left -= SHORT_PAUSE_SECONDS
        await asyncio.sleep(SHORT_PAUSE_SECONDS)
