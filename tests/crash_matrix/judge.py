"""What a world has come to, and what is wrong with it: compared with the world of an undisturbed run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from runbooks.case import case_stream
from runbooks.history import FINISHED, SUCCEEDED, ResponseHistory
from runbooks.plan import Plan
from runbooks.records import CaseVerdict, RunStarted
from runbooks.steps import AnyStep
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tests.crash_matrix.line import NOT_AWS
from tests.crash_matrix.subjects.subject import Subject
from tests.crash_matrix.world import World

Wrong = Literal["duplicate", "lost", "unrestorable", "left open"]


@dataclass(frozen=True)
class Facts:
    """What there is at the end."""

    ended: list[tuple[str | None, bool]]
    """Of each response: its result, and whether it leaves something contained."""
    verdicts: list[str]
    unfinished: list[str]
    """Steps of the newest plans that did not succeed, and intents that have no end."""
    done_without: list[str]
    """Evidence that failed, and is recorded so: the plan goes on without it."""
    made: Counter[str]
    """Everything of which there may be one, by what made it."""
    told: Counter[str]
    """Messages and tickets, by what they are about."""
    done: Counter[str]
    """Changes that took effect, by operation; but for those that may be repeated."""
    described: dict[str, Any]
    """What the story is about."""
    left_open: list[str]
    kinds: frozenset[str]
    """Of the steps that were carried out."""
    ledger: list[str]
    """What is wrong with the ledger itself."""


def facts_of(world: World) -> Facts:
    """Read a world whose processes have ended."""
    ledger, subject = world.ledger(), world.story.subject
    try:
        responses = ledger.responses()
        histories = [read_history(ledger, each.id) for each in responses]
        return Facts(
            ended=[
                (each.result, bool(h.ended and h.ended.contained)) for each, h in zip(responses, histories, strict=True)
            ],
            verdicts=sorted(_verdicts(ledger)),
            unfinished=[words for history in histories for words in _unfinished(history)],
            done_without=[step.key for history in histories for step in _done_without(history)],
            made=Counter([*subject.made(world.cloud), *(f"told {each}" for each in _told(world))]),
            told=Counter(_subjects(world, histories)),
            done=Counter({name: number for name, number in world.line.done.items() if _counts(subject, name)}),
            described=subject.described(world.cloud),
            left_open=list(subject.left_open(world.cloud)),
            kinds=frozenset(kind for history in histories for kind in _kinds_of_steps(history)),
            ledger=[words for history in histories for words in _broken(ledger, history)],
        )
    finally:
        ledger.close()


def compare(undisturbed: Facts, facts: Facts) -> Iterator[tuple[Wrong, str]]:
    """What is wrong, in words."""
    for words in _duplicates(undisturbed, facts):
        yield "duplicate", words
    for words in _losses(undisturbed, facts):
        yield "lost", words
    for name, value in undisturbed.described.items():
        if facts.described[name] != value:
            yield "unrestorable", f"{name} was to be {value} and is {facts.described[name]}"
    for what in facts.left_open:
        yield "left open", what


def _duplicates(undisturbed: Facts, facts: Facts) -> Iterator[str]:
    yield from (f"{what} ({number})" for what, number in facts.made.items() if number > 1)
    # Of messages there may be more: trouble is told too.
    yield from (f"{what} too many" for what in _kinds(facts) - _kinds(undisturbed) if what != "told")
    for name, number in (facts.done - undisturbed.done).items():
        if not name.startswith(NOT_AWS):
            yield f"{name} took effect {number} times too often"


def _losses(undisturbed: Facts, facts: Facts) -> Iterator[str]:
    for kind, number in (_kinds(undisturbed) - _kinds(facts)).items():
        if kind != "told" and not (kind == "snapshot" and facts.done_without):
            yield f"{number} of {kind}"
    yield from (f"nobody was told: {subject}" for subject in undisturbed.told - facts.told)
    if (facts.ended, facts.verdicts) != (undisturbed.ended, undisturbed.verdicts):
        yield f"it ended as {facts.ended}, verdicts {facts.verdicts}"
    yield from (*facts.unfinished, *facts.ledger)


def _kinds(facts: Facts) -> Counter[str]:
    """How many of a kind: ids and digests differ where AWS gave other ids."""
    return Counter(what.partition(" ")[0] for what in facts.made.elements())


def _counts(subject: Subject, name: str) -> bool:
    return not name.startswith("prefect:") and name not in subject.may_be_repeated


def _kinds_of_steps(history: ResponseHistory) -> Iterator[str]:
    return (
        step.kind for plan in history.plans.values() for step in plan.steps if plan.operation(step) in history.intents
    )


def _verdicts(ledger: Ledger) -> Iterator[str]:
    for case in ledger.cases():
        records = (entry.record() for entry in ledger.entries(case_stream(case.id)))
        kinds = [str(record.verdict.kind) for record in records if isinstance(record, CaseVerdict)]
        yield f"{case.status}: {kinds[-1] if kinds else 'none'}"


def _unfinished(history: ResponseHistory) -> Iterator[str]:
    without = list(_done_without(history))
    for plan in _newest(history):
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if step not in without and (outcome is None or outcome.status not in SUCCEEDED):
                yield f"{step.key} to {plan.phase}: {outcome.status if outcome else 'no outcome'}"
    for operation, intent in history.intents.items():
        outcome = history.outcomes.get(operation)
        if outcome is None or outcome.status not in FINISHED:
            yield f"{intent.action} of {intent.subject} was begun, and its end is not recorded"


def _done_without(history: ResponseHistory) -> Iterator[AnyStep]:
    for plan in _newest(history):
        for step in plan.steps:
            outcome = history.outcome(plan, step)
            if step.evidence and not step.undoes and outcome is not None and outcome.status == "failed":
                yield step


def _newest(history: ResponseHistory) -> Iterable[Plan]:
    return {plan.phase: plan for plan in sorted(history.plans.values(), key=lambda each: each.revision)}.values()


def _broken(ledger: Ledger, history: ResponseHistory) -> Iterator[str]:
    epochs = [each.record.epoch for each in history.entries if isinstance(each.record, RunStarted)]
    if epochs != sorted(set(epochs)):
        yield f"epochs do not rise: {epochs}"
    if not ledger.verify().ok:
        yield "the ledger does not verify"


def _told(world: World) -> Iterator[str]:
    """The operations that posted a message or made a ticket."""
    for message in world.slack.messages:
        yield str((message.metadata or {}).get("event_payload", {}).get("operation"))
    for issue in world.jira.issues.values():
        yield from (label.removeprefix("runbooks-") for label in issue.labels if label.startswith("runbooks-"))


def _subjects(world: World, histories: list[ResponseHistory]) -> Iterator[str]:
    intents = {operation: intent for history in histories for operation, intent in history.intents.items()}
    for operation in set(_told(world)) & set(intents):
        yield f"{intents[operation].action} of {intents[operation].subject.partition('/')[0]}"
