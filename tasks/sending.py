"""Sending the calls of steps, some of them side by side.

AWS answers a call in some tenths of a second, and gives its tokens back by the second: sent one after the other, the
calls of fifty steps would take longer than AWS allows them to. So where AWS documents the rate of everything that the
steps call, they leave side by side, and pacing keeps to it; anything else leaves one after the other, and what is done
for one and the same case always does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runbooks.errors import Halted, Outside
from runbooks.request_rates import request_rate
from runbooks.steps import AnyStep
from tasks.gateways.actions.base import Action

SIDE_BY_SIDE = 8
"""Calls on their way at once: more than the tokens that EC2 gives back to most APIs in a second."""

Sent = Mapping[str, Any] | Outside | Halted
"""What came of a step's calls: the ids they made, or why they failed, or that they did not leave."""
Settle = Callable[[Sequence[tuple[AnyStep, Sent]]], list[str]]


def send(action: Action, steps: Sequence[AnyStep], operations: Mapping[str, str], settle: Settle) -> list[str]:
    """Send each step's calls once, and have what came of them settled by the caller's own thread.

    Args:
        operations: step key -> operation id.
        settle: records what came of steps; gives what is waited for.

    Raises:
        LeaseLost: another run has taken over. What has not left yet does not leave.
    """
    if len(steps) > 1 and _may_leave_together(steps):
        # What left together is recorded together: killed before, what was done is found, as it is of a single call.
        return settle(_side_by_side(action, steps, operations))
    return [reason for step in steps for reason in settle([(step, _sent(action, step, operations))])]


def _side_by_side(
    action: Action, steps: Sequence[AnyStep], operations: Mapping[str, str]
) -> list[tuple[AnyStep, Sent]]:
    by_cases: dict[tuple[str, ...], list[AnyStep]] = {}
    for step in steps:
        by_cases.setdefault(step.cases, []).append(step)
    pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="sending")
    try:
        leaving = [pool.submit(_in_order, action, group, operations) for group in by_cases.values()]
        return [sent for each in leaving for sent in each.result()]
    finally:
        # What goes wrong here is no step's own trouble: nothing more leaves after it.
        pool.shutdown(cancel_futures=True)


def _in_order(action: Action, steps: Sequence[AnyStep], operations: Mapping[str, str]) -> list[tuple[AnyStep, Sent]]:
    return [(step, _sent(action, step, operations)) for step in steps]


def _sent(action: Action, step: AnyStep, operations: Mapping[str, str]) -> Sent:
    try:
        return action.act(step, operations[step.key])
    except (Outside, Halted) as failed:
        return failed


def _may_leave_together(steps: Sequence[AnyStep]) -> bool:
    calls = {call for step in steps for call in step.calls}
    return all(request_rate(*call.split(":")) is not None for call in calls)
