"""The state of a response, folded from its entries alone: what a run reads before it does anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from runbooks.plan import Phase, Plan
from runbooks.records import (
    Admitted,
    AnswerGiven,
    ApprovalAsked,
    CandidateExamined,
    CasesJoined,
    Decision,
    Intent,
    Outcome,
    PhaseEnded,
    PlanMade,
    Record,
    ResponseEnded,
    ResponseStarted,
    RunStarted,
    Waiting,
    WaveEnded,
    WavesSteered,
)
from runbooks.steps import AnyStep

FINISHED = ("done", "already-done", "failed", "drifted", "refused")
SUCCEEDED = ("done", "already-done")
CHANGED = ("done", "in-progress")
"""Outcomes of this system's own doing; what was so already belongs to someone else, and is left alone."""


PAUSED = "paused"
"""What a response waits for, in place of a phase, while an operator holds its next wave back."""
HALTED = "halted"
"""What a response waits for, in place of a phase, while the kill switch is on."""


@dataclass(frozen=True)
class Dated:
    """A record with the time of its entry."""

    at: datetime
    record: Record


@dataclass
class ResponseHistory:
    """What has happened in a response so far. Built by `fold`; read only."""

    started: ResponseStarted | None = None
    joined: list[CasesJoined] = field(default_factory=list[CasesJoined])
    entries: list[Dated] = field(default_factory=list[Dated])
    plans: dict[str, Plan] = field(default_factory=dict[str, Plan])
    questions: dict[str, list[ApprovalAsked]] = field(default_factory=dict[str, list[ApprovalAsked]])
    decisions: dict[str, Decision] = field(default_factory=dict[str, Decision])
    """Plan digest -> the decision that settled it: approved, rejected or expired."""
    refused: dict[str, list[Decision]] = field(default_factory=dict[str, list[Decision]])
    answers: dict[str, list[AnswerGiven]] = field(default_factory=dict[str, list[AnswerGiven]])
    """Plan digest -> every answer about it, those that do not count included."""
    admitted: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Plan digest -> the cases on which the limits have let it begin."""
    waves: dict[str, dict[int, WaveEnded]] = field(default_factory=dict[str, dict[int, WaveEnded]])
    """Plan digest -> how each of its waves ended, of those that a next one waited for."""
    steered: dict[str, list[WavesSteered]] = field(default_factory=dict[str, list[WavesSteered]])
    intents: dict[str, Intent] = field(default_factory=dict[str, Intent])
    begun: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Operation -> when its last intent was written."""
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    """Operation -> its last outcome."""
    times: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Operation -> when its last outcome was written."""
    examined: dict[str, CandidateExamined] = field(default_factory=dict[str, CandidateExamined])
    """Digest of a rebuild plan -> what was found of the thing it made."""
    phases: dict[Phase, PhaseEnded] = field(default_factory=dict[Phase, PhaseEnded])
    runs: list[RunStarted] = field(default_factory=list[RunStarted])
    waiting: Waiting | None = None
    waiting_since: dict[str, datetime] = field(default_factory=dict[str, datetime])
    """Phase -> when it began to wait; a halt is nobody's delay, and all of them are counted anew after it."""
    ended: ResponseEnded | None = None

    def plan(self, phase: Phase, case: str | None = None) -> Plan | None:
        """The newest plan of a phase; with a case, the newest that is about it."""
        plans = [plan for plan in self.plans.values() if plan.phase is phase and case in (None, *plan.cases)]
        return max(plans, key=lambda plan: plan.revision) if plans else None

    def next_revision(self, phase: Phase) -> int:
        plan = self.plan(phase)
        return plan.revision + 1 if plan else 1

    def phase_ended(self, phase: Phase) -> PhaseEnded | None:
        """How the newest plan of the phase ended; None while a newer one is open."""
        ended, plan = self.phases.get(phase), self.plan(phase)
        if ended is None or (plan is not None and ended.digest not in (None, plan.digest)):
            return None
        return ended

    def next_question(self, digest: str) -> int:
        """The number of the next question about a plan: the open one's, or one more than the last answered."""
        asked = {each.attempt for each in self.questions.get(digest, [])}
        answered = {each.attempt for each in self.refused.get(digest, [])}
        return max(asked - answered, default=max(asked | answered, default=0) + 1)

    def open_question(self, digest: str) -> ApprovalAsked | None:
        answered = {decision.attempt for decision in self.refused.get(digest, [])}
        if digest in self.decisions:
            return None
        return next((each for each in reversed(self.questions.get(digest, [])) if each.attempt not in answered), None)

    def waiting_for_answer(self) -> ApprovalAsked | None:
        """The question that was asked last, while nobody has decided it and its plan is the newest."""
        records = (dated.record for dated in reversed(self.entries))
        asked = next((record for record in records if isinstance(record, ApprovalAsked)), None)
        plan = self.plans.get(asked.digest) if asked else None
        if asked is None or plan is None or self.ended or asked.digest in self.decisions:
            return None
        return asked if self.plan(plan.phase) == plan and self.phase_ended(plan.phase) is None else None

    def outcome(self, plan: Plan, step: AnyStep) -> Outcome | None:
        return self.outcomes.get(plan.operation(step))

    def step_outcomes(self, plan: Plan) -> dict[str, Outcome]:
        """Step key -> outcome, for the steps of the plan that have one."""
        found = ((step.key, self.outcome(plan, step)) for step in plan.steps)
        return {key: outcome for key, outcome in found if outcome is not None}

    def succeeded(self, phase: Phase) -> Iterator[tuple[AnyStep, Outcome]]:
        """The steps of the phase's newest plan that ended well, each with its outcome."""
        if (plan := self.plan(phase)) is not None:
            for step in plan.steps:
                outcome = self.outcome(plan, step)
                if outcome is not None and outcome.status in SUCCEEDED:
                    yield step, outcome

    def spent(self, digest: str) -> bool:
        """Whether the plan's first change has been made, which spends its approval."""
        return any(intent.digest == digest for intent in self.intents.values())

    def last_change(self, *phases: Phase) -> datetime | None:
        """When the last outcome of these phases' steps was written."""
        digests = {digest for digest, plan in self.plans.items() if plan.phase in phases}
        moments = [self.times[operation] for operation, outcome in self.outcomes.items() if outcome.digest in digests]
        return max(moments, default=None)

    @property
    def changes(self) -> dict[str, Outcome]:
        """Operation -> outcome of all that was changed, or may have been.

        What was begun without an outcome may have been done, and what was given up may have ended since: both count as
        in progress, with no result.
        """
        outcomes = [dated.record for dated in self.entries if isinstance(dated.record, Outcome)]
        taken_up = {each.operation for each in outcomes if each.status == "in-progress"}
        given_up = {each.operation for each in self.outcomes.values() if each.status == "failed"} & taken_up
        changed = {operation: each for operation, each in self.outcomes.items() if each.status in CHANGED}
        return changed | {
            operation: Outcome(
                operation=operation,
                action=intent.action,
                subject=intent.subject,
                digest=intent.digest,
                status="in-progress",
            )
            for operation, intent in self.intents.items()
            if operation not in self.outcomes or operation in given_up
        }

    @property
    def contained(self) -> bool:
        """Whether a contain plan may have changed something that can be put back, and it has not been put back."""
        released = self.phase_ended(Phase.RELEASE)
        if released is not None and released.result == "done":
            return False
        plans = [plan for plan in self.plans.values() if plan.phase is Phase.CONTAIN]
        changes = self.changes
        return any(plan.operation(step) in changes for plan in plans for step in plan.steps if step.undo is not None)


def fold(entries: Iterable[Dated]) -> ResponseHistory:
    """The state that these entries, in order, add up to."""
    history = ResponseHistory()
    for dated in entries:
        history.entries.append(dated)
        _take(history, dated)
    return history


def _take(history: ResponseHistory, dated: Dated) -> None:  # noqa: C901, PLR0912 - one line for each kind of record
    match dated.record:
        case ResponseStarted() as started:
            history.started = started
        case CasesJoined() as joined:
            history.joined.append(joined)
        case RunStarted() as run:
            history.runs.append(run)
            history.waiting = None
        case PlanMade() as made:
            history.plans[made.digest] = made.plan
        case ApprovalAsked() as asked:
            history.questions.setdefault(asked.digest, []).append(asked)
        case AnswerGiven() as answer:
            history.answers.setdefault(answer.digest, []).append(answer)
        case Decision(answer="invalid") as refused:
            history.refused.setdefault(refused.digest, []).append(refused)
        case Decision() as decision:
            history.decisions.setdefault(decision.digest, decision)
        case Admitted() as admitted:
            history.admitted.setdefault(admitted.digest, set()).update(each.case for each in admitted.extents)
        case Intent() as intent:
            history.intents.setdefault(intent.operation, intent)
            history.begun[intent.operation] = dated.at
        case Outcome() as outcome:
            history.outcomes[outcome.operation] = outcome
            history.times[outcome.operation] = dated.at
        case Waiting() as waiting:
            history.waiting = waiting
            if waiting.phase == HALTED:
                history.waiting_since.clear()
            history.waiting_since.setdefault(waiting.phase, dated.at)
        case WaveEnded() as wave:
            history.waves.setdefault(wave.digest, {})[wave.wave] = wave
            # The next one has all the time that this one had.
            for phase in (Phase.REMEDIATE, Phase.VERIFY):
                history.waiting_since.pop(phase, None)
        case WavesSteered() as steered:
            history.steered.setdefault(steered.digest, []).append(steered)
        case CandidateExamined() as examined:
            history.examined[examined.rebuild] = examined
        case PhaseEnded() as ended:
            history.phases[ended.phase] = ended
            history.waiting_since.pop(ended.phase, None)
        case ResponseEnded() as response:
            history.ended = response
        case _:
            pass
