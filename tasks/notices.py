"""What the SOC is told as a response goes on: one Slack thread for each response, every message once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prefect.logging import get_run_logger

from runbooks.errors import AccessDenied, Outside
from runbooks.history import ResponseHistory
from runbooks.plan import Plan
from runbooks.records import Decision
from runbooks.steps import AnyStep
from runbooks.steps.base import operation_id
from runbooks.telling.messages import Message, approval_message, decision_message, note
from tasks.executor import Progress
from tasks.gateways.slack import MessageRef
from tasks.halting import halted
from tasks.halting import words as halt_words
from tasks.run import Run

ALERT = "alert"
DELIVERY_PAUSES = (1.0, 3.0)
"""Seconds between one try to deliver a message and the next."""


def post_once(run: Run, subject: str, message: Message, *, in_thread: bool = True) -> MessageRef | None:
    """Post one message for ever, in the response's thread; None where no Slack is configured."""
    slack = run.services.slack
    if slack is None:
        return None
    thread = thread_of(run.response.id, run.history()) if in_thread else None

    def find(operation: str) -> Mapping[str, Any] | None:
        found = slack.find(operation, run.response.started_at, thread=thread)
        return found.model_dump() if found else None

    def act(operation: str) -> Mapping[str, Any]:
        return slack.post(message.text, message.blocks, operation, thread=thread).model_dump()

    return MessageRef.model_validate(run.journal.once("post-message", subject, find=find, act=act))


def thread_of(response: str, history: ResponseHistory) -> MessageRef | None:
    """The alert, which every other message of the response answers to."""
    outcome = history.outcomes.get(operation_id(response, f"post-message/{ALERT}"))
    return MessageRef.model_validate(outcome.result) if outcome and outcome.result else None


def tell_asked(run: Run, plan: Plan, attempt: int, expires_at: datetime) -> None:
    answers = run.services.settings.slack_signing_secret is not None
    message = approval_message(plan, run.keys, run_url(run), expires_at, answers_in_slack=answers)
    subject = _question(plan, attempt)
    slack, asked = run.services.slack, _posted(run, subject)
    if slack is not None and asked is not None:
        # Asked again by a later run: the form has moved there with it.
        undelivered(lambda: slack.update(asked, message.text, message.blocks))
    else:
        undelivered(lambda: post_once(run, subject, message))


def tell_decided(run: Run, plan: Plan, decision: Decision) -> None:
    """Say who decided, in the place of the question, so that nobody answers it again; said before, it stays said.

    Where the runbook asks nobody there is nothing to say: the outcome tells what was done.
    """
    if not plan.approval.required:
        return
    message = decision_message(decision, plan, run.keys, at=_decided_at(run, decision))
    slack, question = run.services.slack, _posted(run, _question(plan, decision.attempt))
    subject = f"decision/{plan.digest}/{decision.attempt}"

    if slack is None or question is None:
        undelivered(lambda: post_once(run, subject, message))
        return

    def update(operation: str) -> Mapping[str, Any]:
        slack.update(question, message.text, message.blocks)
        return {}

    # Nothing to look for: done a second time it changes nothing more.
    undelivered(lambda: run.journal.once("update-message", subject, find=lambda operation: None, act=update))


def tell_progress(run: Run, plan: Plan, stage: Sequence[AnyStep], progress: Progress) -> None:
    """Only what goes wrong is told step by step; what goes well is told by the outcome."""
    wrong = [outcome for outcome in progress.outcomes.values() if outcome.status in ("failed", "drifted", "refused")]
    for step in stage:
        outcome = progress.outcomes.get(step.key)
        if outcome in wrong:
            message = note(f"{step.describe()}: {outcome.status}. {outcome.detail}")
            undelivered(lambda step=step, message=message: post_once(run, f"trouble/{plan.digest}/{step.key}", message))


def tell_held(run: Run, plan: Plan, progress: Progress) -> None:
    """Say once that nothing is begun, for each halt, and for each plan that the limits keep waiting."""
    halt = halted(run.services) if progress.held == "halted" else None
    if halt is not None:
        subject, words = f"halted/{halt.number}", f"Nothing is changed: {halt_words(halt)}"
    elif progress.held in ("limits", "window"):
        subject, words = (
            f"{progress.held}/{plan.digest}",
            f"The {plan.phase} plan waits for its turn: {progress.waiting}",
        )
    else:
        return
    undelivered(lambda: post_once(run, subject, note(words)))


def run_url(run: Run) -> str:
    """The flow run's page, on which the approval form opens: in Prefect's UI of version 1, for 2 hides it in a menu."""
    return f"{run.services.settings.console}/runs/flow-run/{run.flow_run}"


def artifact_url(run: Run, name: str) -> str:
    return f"{run.services.settings.console}/artifacts/key/{run.response.id}-{name}"


def _decided_at(run: Run, decision: Decision) -> datetime:
    """When it was written down; a run may be woken by it later."""
    written = (dated.at for dated in run.history().entries if dated.record == decision)
    return next(written, run.now())


def _question(plan: Plan, attempt: int) -> str:
    return f"question/{plan.digest}/{attempt}"


def _posted(run: Run, subject: str) -> MessageRef | None:
    """A message of the response that has been posted."""
    outcome = run.history().outcomes.get(operation_id(run.response.id, f"post-message/{subject}"))
    return MessageRef.model_validate(outcome.result) if outcome and outcome.result else None


def undelivered(tell: Callable[[], object]) -> str | None:
    """Tell someone; a message that cannot be delivered never holds up a response. Gives what went wrong.

    It is tried a few times, and looked for before each. The ledger keeps its intent without an outcome, so that it is
    looked for before it is sent another time.
    """
    trouble: Outside | None = None
    for pause in (0.0, *DELIVERY_PAUSES):
        time.sleep(pause)
        try:
            tell()
        except AccessDenied as refused:
            trouble = refused
            break
        except Outside as error:
            trouble = error
        else:
            return None
    assert trouble is not None
    get_run_logger().warning("Not delivered: %s: %s", trouble.code, trouble.detail)
    return f"{trouble.code}: {trouble.detail}"
