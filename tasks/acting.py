"""Acting, as tasks: one task run for each stage of a plan, over all its cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from runbooks.errors import NotApproved
from runbooks.history import SUCCEEDED, ResponseHistory
from runbooks.in_force import COUNTED_ON
from runbooks.plan import Phase, Plan
from runbooks.records import PhaseEnded
from runbooks.steps import AnyStep
from runbooks.timestamps import moment
from tasks.artifacts import show
from tasks.authority import Trust, trust_now, yes_ends_at
from tasks.containments import counted_on
from tasks.executor import Executor, Progress
from tasks.gateways.actions import actions
from tasks.halting import halted
from tasks.halting import words as words_of
from tasks.notices import tell_held, tell_progress
from tasks.playbooks import playbook
from tasks.rounds import fallen_out, kept_waiting
from tasks.run import Run, current
from tasks.visible import visible


def stage_words(stage: tuple[AnyStep, ...]) -> str:
    """A stage in a few words: the run's timeline has no room for more, and the progress artifact says the rest."""
    words = stage[0].kind.replace("-", " ").capitalize()
    return words if len(stage) == 1 else f"{words}: {len(stage)}"


@visible("stage", "{words}")
def carry_out_stage(plan: Plan, number: int, words: str) -> Progress:
    """Bring one stage of an approved plan as far as it goes now.

    A plan that was kept waiting until the yes to it ended is over: nothing of it was begun, and its cases are asked
    about again.
    """
    run = current()
    stage = list(plan.stages())[number]
    run.hold(plan)
    trust = trust_now(run.services)
    halt = halted(run.services)
    why = words_of(halt) if halt else None
    limits = run.runbook.limits
    executor = Executor(
        run.journal,
        actions(run.aws, run.services.elsewhere),
        run.now(),
        trust,
        limits=limits,
        halted=why,
        protected=partial(playbook(run).protected, run),
        counted_on=counted_on(run.services.ledger, plan),
    )
    if halt is None and is_overdue(run, plan.phase):
        executor.give_up(plan, stage)
    try:
        progress = _with_end_of_yes(run, plan, executor.carry_out(plan, stage), trust)
    except NotApproved as refusal:
        progress = _put_off(run, plan, refusal)
    show.progress(run, plan, progress.waiting)
    tell_held(run, plan, progress)
    tell_progress(run, plan, stage, progress)
    return progress


def _with_end_of_yes(run: Run, plan: Plan, progress: Progress, trust: Trust) -> Progress:
    """What waits for its turn says until when it can: before its first change a yes does not last for ever."""
    if progress.held not in ("limits", "window"):
        return progress
    ends = yes_ends_at(run.history(), plan, trust)
    words = f"; not begun by {moment(ends)} it needs another yes, and is asked about again" if ends else ""
    return replace(progress, waiting=f"{progress.waiting}{words}")


def _put_off(run: Run, plan: Plan, refusal: NotApproved) -> Progress:
    """End a plan that was kept waiting longer than the yes to it holds.

    Raises:
        NotApproved: `refusal`, where it is another one, or nothing kept the plan waiting.
    """
    held = kept_waiting(run.history(), plan)
    if refusal.code != "expired" or held is None:
        raise refusal
    words = f"{refusal.detail}, while {'the limits' if held == 'limits' else 'its change window'} kept it waiting"
    run.journal.write(PhaseEnded(phase=plan.phase, result="expired", digest=plan.digest, detail=words))
    return Progress(outcomes={}, waiting=f"{words}; it is asked about again", held=held, until=run.now())


def is_overdue(run: Run, phase: Phase) -> bool:
    """Whether the phase has waited longer than its runbook lets it: a build and a test by the limit of builds."""
    since, runbook = run.history().waiting_since.get(phase), run.runbook
    building = phase in (Phase.REBUILD, Phase.TEST)
    limit = runbook.rebuild.timeout_minutes if building else runbook.remediate.timeout_minutes
    return since is not None and run.now() - since > timedelta(minutes=limit)


@visible("end-phase", "End of phase: {plan.phase}")
def end_phase(plan: Plan, result: str | None = None) -> PhaseEnded:
    """Write down how the phase ended: what its decision said, or what its steps' outcomes add up to."""
    run = current()
    history = run.history()
    ended = history.phase_ended(plan.phase)
    if ended is None:
        ended = _result(history, plan, result)
        run.journal.write(ended)
    return ended


def _result(history: ResponseHistory, plan: Plan, result: str | None) -> PhaseEnded:
    if result is not None:
        decision = history.decisions.get(plan.digest)
        reason = " ".join(part for part in (decision.reason, decision.comment) if part) if decision else ""
        return PhaseEnded.model_validate(
            {"phase": plan.phase, "result": result, "digest": plan.digest, "detail": reason}
        )
    fallen = fallen_out(history, plan)
    outcomes = history.step_outcomes(plan)
    undone = [
        key for key, outcome in outcomes.items() if plan.phase is Phase.RELEASE and outcome.status not in SUCCEEDED
    ]
    if not fallen and not undone:
        left = dict.fromkeys(f"{key}: {each.detail}" for key, each in outcomes.items() if COUNTED_ON in each.result)
        return PhaseEnded(phase=plan.phase, result="done", digest=plan.digest, detail="; ".join(left))
    words = "; ".join([*dict.fromkeys(fallen.values()), *(f"{key}: {outcomes[key].detail}" for key in undone)])
    if set(plan.cases) - set(fallen) and not undone:
        return PhaseEnded(phase=plan.phase, result="partial", digest=plan.digest, detail=words)
    drifted = any(outcome.status == "drifted" for outcome in outcomes.values())
    return PhaseEnded(phase=plan.phase, result="drifted" if drifted else "failed", digest=plan.digest, detail=words)
