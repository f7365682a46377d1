"""Responses as runs leave them behind in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from runbooks.case import response_stream
from runbooks.plan import ApprovalRule, Phase, Plan
from runbooks.records import ApprovalAsked, Decision, Intent, Outcome, PhaseEnded, PlanMade, ResponseEnded
from runbooks.steps import AnyStep, CreateSnapshots, DetachFromAutoScaling, SwapSecurityGroups, Target
from tasks.gateways.ledger import Ledger
from tests.tasks.gateways.ledger.samples import MORNING, RUNBOOK, triaged

EVENTS = Path(__file__).parents[2] / "events"
INSTANCE = "i-0a"


def a_target(kind: str, identifier: str) -> Target:
    return Target(account="111122223333", region="eu-west-1", type=kind, id=identifier)


def a_contain_plan(response: str, case: str) -> Plan:
    cases = (case,)
    instance = a_target("instance", INSTANCE)
    return Plan(
        response=response,
        runbook=RUNBOOK,
        runbook_digest="e" * 64,
        phase=Phase.CONTAIN,
        revision=1,
        cases=cases,
        steps=(
            DetachFromAutoScaling(target=instance, cases=cases, group="shop", decrement=False, room_to_return=True),
            CreateSnapshots(target=instance, cases=cases, volumes=("vol-1",)),
            SwapSecurityGroups(
                target=a_target("network-interface", "eni-1"),
                cases=cases,
                vpc="vpc-1",
                expects=("sg-1",),
                leaves=("quarantine",),
            ),
        ),
        reasons=("an exploit is known",),
        approval=ApprovalRule(),
    )


def a_release_plan(response: str, case: str, *undone: AnyStep) -> Plan:
    steps = tuple(step.undo for step in undone)
    plan = a_contain_plan(response, case)
    return plan.model_copy(update={"phase": Phase.RELEASE, "steps": steps})


def ask(ledger: Ledger, plan: Plan) -> None:
    ledger.append(response_stream(plan.response), PlanMade(digest=plan.digest, plan=plan))
    expires = MORNING.replace(hour=9)
    ledger.ask(plan.response, ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, flow_run="run-1"))


def approve(ledger: Ledger, plan: Plan) -> None:
    decision = Decision(digest=plan.digest, attempt=1, answer="approved", approver="ana", channel="slack", comment="go")
    assert ledger.decide(plan.response, decision)


def begin(ledger: Ledger, plan: Plan, *steps: AnyStep) -> None:
    """Written down, and no outcome yet."""
    for step in steps:
        intent = Intent(operation=plan.operation(step), action=step.kind, subject=step.key, digest=plan.digest, epoch=1)
        ledger.append(response_stream(plan.response), intent)


def carry_out(ledger: Ledger, plan: Plan, *steps: AnyStep) -> None:
    for step in steps:
        begin(ledger, plan, step)
        outcome = Outcome(
            operation=plan.operation(step), action=step.kind, subject=step.key, digest=plan.digest, status="done"
        )
        ledger.append(response_stream(plan.response), outcome)


def end_phase(ledger: Ledger, plan: Plan) -> None:
    ledger.append(response_stream(plan.response), PhaseEnded(phase=plan.phase, result="done", digest=plan.digest))


def end(ledger: Ledger, response: str, result: str, reason: str = "as the evidence says", **close: str) -> None:
    if close:
        triaged(ledger, response)
    assert ledger.end_response(response, ResponseEnded(result=result, reason=reason), close)


def meanwhile(condition: Callable[[], object], then: Callable[[], None]) -> threading.Thread:
    """Another process, so to speak: does something once the condition holds."""

    def work() -> None:
        pause = threading.Event()
        while not condition():
            pause.wait(0.02)
        then()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
