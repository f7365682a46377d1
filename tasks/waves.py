"""Waves, as tasks: a wave is judged by what its cases' verdicts say, and only then does the next one begin."""

from __future__ import annotations

from runbooks.case import response_stream
from runbooks.errors import BadInput
from runbooks.plan import Phase, Plan
from runbooks.records import WavesSteered
from runbooks.verdict import VerdictKind
from runbooks.waves import current_wave, ended_wave, not_begun, paused
from tasks.gateways.ledger import ResponseRow
from tasks.journal import read_history
from tasks.rounds import fallen_out
from tasks.run import current
from tasks.services import Services
from tasks.verdicts import verdicts_on
from tasks.visible import visible


def is_over(plan: Plan, wave: int) -> bool:
    """Whether nothing more is to be done in this wave: it has ended, or is not to be begun."""
    if not plan.waves:
        return False
    history = current().history()
    return wave in history.waves.get(plan.digest, {}) or set(plan.waves[wave]) <= not_begun(history, plan).keys()


def why_paused(plan: Plan, wave: int) -> str | None:
    """Who holds this wave back, and why; None where nobody does, or where it has begun: it goes on to its end.

    A plan without waves, such as one that puts back, is never held.
    """
    if not plan.waves:
        return None
    run = current()
    history = run.history()
    if any(plan.wave_of(step) == wave and plan.operation(step) in history.intents for step in plan.steps):
        return None
    pause = paused(history, plan, run.services.signer)
    return f"{pause.by} holds the next wave back: {pause.reason}" if pause else None


@visible("end-wave", "End of wave {wave}")
def end_wave(plan: Plan, wave: int) -> None:
    """Write down how the wave ended. What failed leaves the response with its reason; the others go on."""
    run = current()
    history = run.history()
    verdicts, fallen = verdicts_on(run.services, run.response, plan), fallen_out(history, plan)
    failed = {case: fallen[case] for case in plan.waves[wave] if case in fallen}
    for case in plan.waves[wave]:
        verdict = verdicts.get(case)
        if verdict is not None and verdict.kind is not VerdictKind.FIXED:
            failed.setdefault(case, f"{verdict.kind}: {'; '.join(verdict.reasons)}")
    run.journal.write(ended_wave(history, plan, wave, failed, run.runbook.limits))


def steer(have: Services, response: ResponseRow, says: str, by: str, reason: str, last: int | None = None) -> Plan:
    """Hold the waves to come back, let them go on, or leave the last of them out. What has begun goes on to its end.

    Args:
        last: for `stop`, the last wave that is still begun, from 0; None: the one that is under way.

    Raises:
        BadInput: the response has no plan with waves to come.
    """
    history = read_history(have.ledger, response.id)
    plan = history.plan(Phase.REMEDIATE)
    if plan is None or not plan.waves or history.phase_ended(Phase.REMEDIATE) is not None:
        raise BadInput(f"{response.id} has no waves to come", code="no-waves")
    if says == "stop" and last is None:
        last = current_wave(history, plan)
    stream = response_stream(response.id)
    record = WavesSteered.model_validate(
        {"digest": plan.digest, "says": says, "by": by, "reason": reason, "last": last}
    )
    have.ledger.append(stream, have.sign(stream, record))
    return plan
