"""The one way every change goes: authority, look, write down, act, write down.

For each stage of a plan (its consecutive steps of one kind):
1. the ledger says that this plan, by this digest, was approved, and has not expired before its first change; its change
   window is open, the limits have let it in, and nothing is halted; no instance has come under protection meanwhile;
2. the live state is read, and compared with what each step expects: already as wanted is done, otherwise changed is
   drift, and its case falls out while the others go on; what surprises is looked at twice before it is believed;
3. the intents are committed, with the state that was found;
4. the calls leave, each sent once, lease and kill switch checked immediately before by the session's guard;
5. the outcomes are committed.

Killed anywhere, it is called again and starts at 2: what was done is found, and is not done again.

What has begun is looked at whatever has happened since, and what is half done is finished: nothing rests in between.
Halted, out of its window, or more than the limits allow, nothing else is begun, and it waits.
Evidence is recorded when it fails, and never delays what follows; what is not essential is waited for, and not when AWS
denies it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import Literal

from runbooks.case import CaseKey, response_stream
from runbooks.definition import Limits
from runbooks.errors import AnswerLost, Halted, NotApproved, Outside, Throttled
from runbooks.history import FINISHED, HALTED, ResponseHistory
from runbooks.in_force import COUNTED_ON
from runbooks.limits import LIMITED, exceeded, extents_of
from runbooks.plan import Plan
from runbooks.planning.release import stays_for
from runbooks.records import Admitted, Intent, Outcome, Record, SetAsideRecord, Waiting
from runbooks.steps import AnyStep
from runbooks.timestamps import moment
from runbooks.windows import closed_until
from tasks.authority import Trust, authorise, has_begun
from tasks.gateways.actions.base import Action, Look
from tasks.going_on import delays_nothing, goes_on_without, is_answer
from tasks.journal import Journal
from tasks.looking import NOT_BELIEVED, not_believed
from tasks.rounds import fallen_out
from tasks.sending import Sent, send

CHUNK = 50
"""Targets between one look and the acts that follow it."""
MOST_TRIES = 3
"""How often evidence is asked for before the plan goes on without it."""
Status = Literal["done", "already-done", "in-progress", "failed", "drifted", "refused"]
_NOT_ENDED = "it did not end in the time that the runbook allows"


@dataclass(frozen=True)
class Progress:
    """Where a stage stands: finished, or what is waited for."""

    outcomes: Mapping[str, Outcome]
    """Step key -> outcome."""
    waiting: str | None = None
    held: Literal["halted", "limits", "window"] | None = None
    """What kept something from being begun; None where the world alone is waited for."""
    until: datetime | None = None
    """When that ends, where it is known."""

    @property
    def finished(self) -> bool:
        return self.waiting is None


@dataclass(frozen=True)
class _Held:
    """Why nothing is begun."""

    kind: Literal["halted", "limits", "window"] | None
    """None: only that AWS has not answered yet."""
    words: str
    until: datetime | None = None


class Executor:
    """Carries out approved plans, stage by stage.

    Args:
        trust: what a decision is held against.
        limits: the runbook's; without them the default ones.
        halted: why everything is halted, where it is.
        protected: reads which cases of some steps must not be touched now, with the reasons.
        counted_on: key of a release's step -> the other cases that count on what it would put back.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own, named at the call
        self,
        journal: Journal,
        actions: Mapping[str, Action],
        now: datetime,
        trust: Trust,
        *,
        limits: Limits | None = None,
        halted: str | None = None,
        protected: Callable[[Sequence[AnyStep]], Mapping[str, str]] = lambda steps: {},
        counted_on: Mapping[str, Sequence[CaseKey]] | None = None,
    ) -> None:
        self._journal = journal
        self._actions = actions
        self._now = now
        self._trust = trust
        self._limits = limits or Limits()
        self._protected = protected
        self._counted_on = counted_on or {}
        self._spared: dict[str, str] = {}
        self._held = None if halted is None else _Held("halted", halted)

    def carry_out(self, plan: Plan, stage: Sequence[AnyStep]) -> Progress:
        """Bring one stage as far as it goes now. Calling it again is always safe.

        Raises:
            NotApproved: the ledger holds no valid approval of this very plan.
            LeaseLost: another run has taken the response over.
        """
        history = self._journal.history()
        self._authorise(history, plan, stage)
        self._held = self._held or self._kept_out(history, plan, stage[0])
        self._spared = self._under_protection(history, plan, stage)
        fallen = fallen_out(history, plan) | self._spared
        waiting: list[str] = []
        for start in range(0, len(stage), CHUNK):
            chunk = [step for step in stage[start : start + CHUNK] if self._open(history, plan, step, fallen)]
            if chunk:
                waiting += self._chunk(history, plan, chunk, fallen)
        outcomes = self._journal.history().step_outcomes(plan)
        return Progress(
            outcomes={step.key: outcomes[step.key] for step in stage if step.key in outcomes},
            waiting="; ".join(dict.fromkeys(waiting)) or None,
            held=self._held.kind if self._held and self._held.words in waiting else None,
            until=self._held.until if self._held and self._held.words in waiting else None,
        )

    def give_up(self, plan: Plan, stage: Sequence[AnyStep]) -> None:
        """End what is still going on as failed: it has taken longer than the runbook allows.

        What was begun may end all the same, so the history goes on counting it as changed, and the release puts it
        back. What has no outcome yet is ended only where this very stage was waited for: a later one is tried first.
        """
        history = self._journal.history()
        waited_for = _waited_for(history, plan, stage)
        for step in stage:
            outcome, begun = history.outcome(plan, step), plan.operation(step) in history.intents
            if begun and step.must_end:
                continue
            if outcome is not None and outcome.status == "in-progress":
                self._end(plan, step, "failed", _NOT_ENDED)
            elif outcome is None and waited_for and begun:
                # Both: a failure alone would say that nothing was changed.
                self._end(plan, step, "in-progress", "it was begun, and no answer came")
                self._end(plan, step, "failed", _NOT_ENDED)
            elif outcome is None and waited_for:
                self._end(plan, step, "failed", "it could not be begun in the time that the runbook allows")

    def _authorise(self, history: ResponseHistory, plan: Plan, stage: Sequence[AnyStep]) -> None:
        try:
            authorise(history, plan, self._now, self._trust)
        except NotApproved as refusal:
            what = f"plan {plan.short_digest}"
            self._journal.write(SetAsideRecord(delivery=None, code=refusal.code, what=what, reason=refusal.detail))
            self._close(history, plan, stage, refusal)
            raise

    def _close(self, history: ResponseHistory, plan: Plan, stage: Sequence[AnyStep], refusal: NotApproved) -> None:
        """What rests open is closed whatever has become of the approval, where it was we who opened it."""
        self._held = _Held(None, refusal.detail)
        begun = [step for step in stage if plan.operation(step) in history.intents]
        if begun and has_begun(history, plan, self._trust.signer):
            self._chunk(history, plan, begun, {})

    def _kept_out(self, history: ResponseHistory, plan: Plan, step: AnyStep) -> _Held | None:
        """Let the step's wave in, once, before its first change; what takes nothing away is not counted."""
        wave = plan.together_with(step)
        begun = has_begun(history, plan, self._trust.signer, wave=plan.wave_of(step))
        opens = None if begun else closed_until(plan.windows, self._now)
        if opens is not None:
            return _Held("window", f"its change window opens at {moment(opens)}", opens)
        if plan.phase not in LIMITED or history.admitted.get(plan.digest, set[str]()) >= set(wave):
            return None
        admitted = Admitted(
            digest=plan.digest,
            phase=plan.phase,
            extents=extents_of(plan, wave),
            pre_authorised=history.decisions[plan.digest].channel == "runbook",
        )
        reason = self._journal.admit(admitted, partial(exceeded, self._limits, admitted.extents))
        return None if reason is None else _Held("limits", reason)

    def _under_protection(self, history: ResponseHistory, plan: Plan, stage: Sequence[AnyStep]) -> dict[str, str]:
        """The cases that have come under protection since the plan was made, read before anything is begun."""
        left = [step for step in stage if not step.undoes and history.outcome(plan, step) is None]
        if self._held is not None or not left or plan.phase not in LIMITED:
            return {}
        try:
            return dict(self._protected(left))
        except Outside as error:
            # What has begun is brought to its end all the same.
            self._held = _Held(None, f"AWS did not say what is protected ({error.code}); looking again")
            return {}

    def _open(self, history: ResponseHistory, plan: Plan, step: AnyStep, fallen: Mapping[str, str]) -> bool:
        """Whether the step is to be looked at. What has begun always is: it may be half done."""
        outcome = history.outcome(plan, step)
        if outcome is not None:
            return outcome.status not in FINISHED
        return plan.operation(step) in history.intents or not self._refused(plan, step, fallen)

    def _refused(self, plan: Plan, step: AnyStep, fallen: Mapping[str, str]) -> bool:
        """Refuse a step all of whose cases have fallen out; what others count on is left to the last of them."""
        if step.undoes:
            return self._left(plan, step)
        if set(step.cases) <= set(fallen):
            self._end(plan, step, "refused", "; ".join(dict.fromkeys(fallen[case] for case in step.cases)))
            return True
        spared = {case: self._spared[case] for case in step.cases if case in self._spared}
        if not step.all_at_once or not spared:
            return False
        # It is not cut down to fewer than were approved: those of its cases that may be touched are asked about again.
        words, look = "; ".join(dict.fromkeys(spared.values())), dict.fromkeys(spared, "refused")
        self._end(plan, step, "drifted", words, Look(status="drifted", cases=look))
        return True

    def _chunk(
        self, history: ResponseHistory, plan: Plan, steps: Sequence[AnyStep], fallen: Mapping[str, str]
    ) -> list[str]:
        """Look at these steps, act on those that are as expected; gives what is waited for."""
        action = self._actions[steps[0].kind]
        operations = {step.key: plan.operation(step) for step in plan.steps}
        try:
            looks = action.look(steps, operations)
            doubtful = not_believed(action, steps, looks, history, plan, self._now)
        except Outside as error:
            if len(steps) > 1 and is_answer(error):
                # An account that denies it does not decide for the others.
                return [reason for step in steps for reason in self._chunk(history, plan, [step], fallen)]
            return self._unseen(history, plan, steps, error)
        waiting, closing, opening = [], [], []
        for step in steps:
            look = looks[step.key]
            if step.key in doubtful:
                waiting.append(f"{step.describe()}: {NOT_BELIEVED}")
            elif look.status == "half-done":
                closing.append(step)
            elif look.status == "as-expected":
                if self._refused(plan, step, fallen) or self._tried_enough(history, plan, step):
                    continue
                if self._held is not None:
                    waiting.append(self._held.words)
                else:
                    opening.append(step)
            elif reason := self._settle(history, plan, step, look):
                waiting.append(reason)
        # What was left in between is closed before anything else is begun.
        self._journal.write(*(self._intent(plan, step, looks[step.key]) for step in (*closing, *opening)))
        settle = partial(self._settle_sent, history, action, plan)
        return waiting + send(action, closing, operations, settle) + send(action, opening, operations, settle)

    def _left(self, plan: Plan, step: AnyStep) -> bool:
        """Leave what others count on to the last of them, with which it is put back."""
        if who := self._counted_on.get(step.key, ()):
            result = {COUNTED_ON: [key.id for key in who]}
            self._end(plan, step, "already-done", stays_for(who), Look(status="as-left", result=result))
        return bool(who)

    def _intent(self, plan: Plan, step: AnyStep, look: Look) -> Intent:
        """Signed: whoever could write one of their own could make an approval that has expired last for ever."""
        intent = self._journal.intend(plan.operation(step), step.kind, step.key, look.found, plan.digest)
        return self._trust.signer.signed(response_stream(plan.response), intent)

    def _unseen(self, history: ResponseHistory, plan: Plan, steps: Sequence[AnyStep], error: Outside) -> list[str]:
        """The live state could not be read: it is looked at again, but for what the plan goes on without."""
        if all(goes_on_without(step, error) for step in steps):
            for step in steps:
                words = f"{error.code}: {error.detail}"
                if plan.operation(step) not in history.intents:
                    self._end(plan, step, "failed", words)
                elif history.outcome(plan, step) is None:
                    # What was sent may have been done: not failed, so that its undo stays planned.
                    self._end(plan, step, "in-progress", words)
            return []
        if isinstance(error, Throttled | AnswerLost):
            return [_unanswered(error)]
        raise error

    def _tried_enough(self, history: ResponseHistory, plan: Plan, step: AnyStep) -> bool:
        operation = plan.operation(step)
        if operation not in history.intents or not delays_nothing(step):
            return False
        # What a halt stopped did not leave: nothing before the last one was a try that AWS did not take.
        records = takewhile(lambda each: not _is_halt(each), (dated.record for dated in reversed(history.entries)))
        tries = sum(isinstance(record, Intent) and record.operation == operation for record in records)
        if tries >= MOST_TRIES:
            self._end(plan, step, "failed", f"sent {tries} times, and AWS did not take it")
        return tries >= MOST_TRIES

    def _settle(self, history: ResponseHistory, plan: Plan, step: AnyStep, look: Look) -> str | None:
        """Record what the look alone tells: done, failed, drifted, or still going on."""
        match look.status:
            case "as-left":
                mine = step.follows or plan.operation(step) in history.intents
                self._end(plan, step, "done" if mine else "already-done", look.detail, look)
            case "failed" | "drifted":
                self._end(plan, step, look.status, look.detail, look)
            case _:
                known = history.outcome(plan, step)
                if known is None or known.result != look.result or known.cases != look.cases:
                    self._end(plan, step, "in-progress", look.detail, look)
                return f"{step.describe()}: {look.detail}" if look.detail else step.describe()
        return None

    def _settle_sent(
        self, history: ResponseHistory, action: Action, plan: Plan, sent: Sequence[tuple[AnyStep, Sent]]
    ) -> list[str]:
        """Record what came of the calls that have left, or why they did not leave; gives what is waited for."""
        outcomes, waiting = list[Outcome](), list[str]()
        refused = list[tuple[AnyStep, Outside]]()
        for step, each in sent:
            match each:
                case Halted():
                    # It did not leave. Its intent stands, so that it is looked at first when changes may be made again.
                    self._held = _Held("halted", each.detail)
                    waiting.append(each.detail)
                case Throttled() | AnswerLost() | Outside(code="unreachable"):
                    # It did not leave, or its effect is unknown: no outcome, so the next call looks first.
                    waiting.append(f"{step.describe()}: {_unanswered(each)}")
                case Outside():
                    refused.append((step, each))
                case made:
                    status = "in-progress" if step.finishes_later else "done"
                    outcomes.append(_outcome(plan, step, status, "", Look(status="as-left", result=dict(made))))
                    waiting += [step.describe()] if step.finishes_later else []
        self._journal.write(*outcomes)
        after = [self._after_refusal(history, action, plan, step, each) for step, each in refused]
        return waiting + [reason for reason in after if reason]

    def _after_refusal(
        self, history: ResponseHistory, action: Action, plan: Plan, step: AnyStep, refusal: Outside
    ) -> str | None:
        """A refused step may be half done all the same, or someone else was quicker: the live state tells."""
        words = f"{refusal.code}: {refusal.detail}"
        try:
            look = action.look([step], {each.key: plan.operation(each) for each in plan.steps})[step.key]
        except Outside as unseen:
            if not goes_on_without(step, unseen):
                raise
            look = Look(status="failed")
        if look.status in ("as-left", "in-progress"):
            return self._settle(history, plan, step, look)
        if look.status == "half-done":
            return f"{step.describe()}: {look.detail}; {words}"
        self._end(plan, step, "failed", words)
        return None

    def _end(self, plan: Plan, step: AnyStep, status: Status, detail: str, look: Look | None = None) -> None:
        self._journal.write(_outcome(plan, step, status, detail, look))


def _outcome(plan: Plan, step: AnyStep, status: Status, detail: str, look: Look | None = None) -> Outcome:
    return Outcome(
        operation=plan.operation(step),
        action=step.kind,
        subject=step.key,
        digest=plan.digest,
        status=status,
        detail=detail,
        result=look.result if look else {},
        cases=look.cases if look else {},
    )


def _unanswered(error: Outside) -> str:
    """Who has not answered, the error itself says: most steps ask AWS, some GitHub."""
    return f"no answer yet ({error.code}: {error.detail}); looking again"


def _is_halt(record: Record) -> bool:
    return isinstance(record, Waiting) and record.phase == HALTED


def _waited_for(history: ResponseHistory, plan: Plan, stage: Sequence[AnyStep]) -> bool:
    """Whether the phase has waited since the stages before this one left their last outcome."""
    operations = {plan.operation(step) for step in stage}
    for dated in reversed(history.entries):
        match dated.record:
            case Waiting() as waiting if waiting.phase == plan.phase:
                return True
            case Outcome() as outcome if outcome.digest == plan.digest and outcome.operation not in operations:
                return False
            case _:
                continue
    return False
