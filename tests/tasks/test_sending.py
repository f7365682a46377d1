from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from runbooks.errors import AnswerLost, Halted, LeaseLost
from runbooks.steps import AnyStep, CreateSnapshots, DeregisterTarget, Target
from runbooks.steps.containment import SetInstanceAttribute
from tasks.gateways.actions.base import Look
from tasks.sending import SIDE_BY_SIDE, Sent, send

SECONDS = 10
A_MOMENT = 0.1


class Slow:
    """An action whose calls are on their way until as many are, or for a moment where nobody is to join them."""

    def __init__(self, together: int | None = None) -> None:
        self._met = threading.Barrier(together or 2, timeout=SECONDS if together else A_MOMENT)
        self._alone = together is None
        self._lock = threading.Lock()
        self.on_their_way = 0
        self.most = 0
        self.left: list[str] = []
        self.fails: dict[str, Exception] = {}

    def look(self, steps: Sequence[Any], operations: Mapping[str, str]) -> dict[str, Look]:
        raise NotImplementedError

    def act(self, step: Any, operation: str) -> dict[str, Any]:
        with self._lock:
            self.on_their_way += 1
            self.most = max(self.most, self.on_their_way)
            self.left.append(operation)
        try:
            self._met.wait()
        except threading.BrokenBarrierError:
            assert self._alone
            self._met.reset()
        finally:
            with self._lock:
                self.on_their_way -= 1
        if operation in self.fails:
            raise self.fails[operation]
        return {"made": operation}


def snapshots_of(*cases: str) -> list[AnyStep]:
    return [CreateSnapshots(target=instance(case), cases=(case,), volumes=("vol-1",)) for case in cases]


def instance(name: str) -> Target:
    return Target(account="210987654321", region="eu-west-1", type="instance", id=name)


def sent(action: Slow, steps: Sequence[AnyStep]) -> dict[str, Sent]:
    """Step key -> what came of it."""
    came: dict[str, Sent] = {}

    def settle(results: Sequence[tuple[AnyStep, Sent]]) -> list[str]:
        assert threading.current_thread() is threading.main_thread()
        came.update({step.key: result for step, result in results})
        return []

    assert send(action, steps, operations(steps), settle) == []
    return came


def operations(steps: Sequence[AnyStep]) -> dict[str, str]:
    return {step.key: step.key for step in steps}


def test_calls_for_different_cases_are_on_their_way_together() -> None:
    action = Slow(together=SIDE_BY_SIDE)
    steps = snapshots_of(*(f"i-{number}" for number in range(2 * SIDE_BY_SIDE)))
    assert sent(action, steps) == {step.key: {"made": step.key} for step in steps}
    assert action.most == SIDE_BY_SIDE
    assert sorted(action.left) == sorted(step.key for step in steps)


def test_what_is_done_for_one_case_is_done_in_order() -> None:
    one, case = instance("i-1"), ("one",)
    steps: list[AnyStep] = [
        SetInstanceAttribute(target=one, cases=case, attribute="disableApiTermination", expects=False, leaves=True),
        SetInstanceAttribute(
            target=one,
            cases=case,
            attribute="instanceInitiatedShutdownBehavior",
            expects="terminate",
            leaves="stop",
        ),
    ]
    action = Slow()
    assert list(sent(action, steps)) == action.left == [step.key for step in steps]
    assert action.most == 1


def test_calls_whose_rate_nobody_documents_leave_one_after_the_other() -> None:
    steps: list[AnyStep] = [
        DeregisterTarget(target=instance(case), cases=(case,), target_group="arn:aws:x:y/targets/z", port=80)
        for case in ("i-1", "i-2", "i-3")
    ]
    action = Slow()
    assert list(sent(action, steps)) == action.left == [step.key for step in steps]
    assert action.most == 1


def test_the_failure_of_one_is_its_own() -> None:
    steps = snapshots_of("i-1", "i-2", "i-3")
    action = Slow(together=3)
    lost, halted = AnswerLost("no answer"), Halted("halted")
    action.fails = {steps[0].key: lost, steps[2].key: halted}
    assert sent(action, steps) == {
        steps[0].key: lost,
        steps[1].key: {"made": steps[1].key},
        steps[2].key: halted,
    }


def test_what_is_waited_for_is_said_in_the_order_of_the_steps() -> None:
    steps = snapshots_of("i-1", "i-2", "i-3")
    reasons = send(Slow(together=3), steps, operations(steps), lambda sent: [step.target.id for step, _ in sent])
    assert reasons == ["i-1", "i-2", "i-3"]


def test_what_left_together_is_settled_at_once_and_what_left_alone_by_itself() -> None:
    settled: list[int] = []

    def settle(results: Sequence[tuple[AnyStep, Sent]]) -> list[str]:
        settled.append(len(results))
        return []

    together = snapshots_of("i-1", "i-2", "i-3")
    send(Slow(together=3), together, operations(together), settle)
    alone = [
        DeregisterTarget(target=instance(case), cases=(case,), target_group="arn:aws:x:y/targets/z", port=80)
        for case in ("i-1", "i-2")
    ]
    send(Slow(), alone, operations(alone), settle)
    assert settled == [3, 1, 1]


def test_a_lost_lease_ends_it_and_nothing_is_settled() -> None:
    steps = snapshots_of("i-1", "i-2", "i-3")
    action = Slow(together=3)
    action.fails = {steps[1].key: LeaseLost("another run has it")}
    settled: list[AnyStep] = []

    def settle(results: Sequence[tuple[AnyStep, Sent]]) -> list[str]:
        settled.extend(step for step, _ in results)
        return []

    with pytest.raises(LeaseLost):
        send(action, steps, operations(steps), settle)
    assert settled == []
    assert action.on_their_way == 0
