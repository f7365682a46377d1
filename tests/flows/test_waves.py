"""A plan in waves, as its flow carries it out: the next begins when the one before was verified."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.faults import Fault, FaultKind
from flows.phases import carry_out_phase
from flows.response_run import LookAgain
from runbooks.plan import Phase
from runbooks.records import Admitted, CaseVerdict, Outcome, PhaseEnded, WaveEnded
from tasks.planning import make_plan
from tasks.waves import steer
from tests.runbooks.builders import a_runbook
from tests.tasks.conftest import OpenHouse
from tests.tasks.gateways.aws_world import an_event
from tests.tasks.harness import House
from tests.tasks.playing import Playing, prefect_alone

INSTANCES = [f"i-{number}b1b2c3d4e5f60719" for number in range(1, 5)]
UNLIMITED = {
    "maximum_share_of_auto_scaling_group": 100,
    "maximum_share_of_target_group": 100,
    "maximum_share_of_environment": 100,
}
MOST_LOOKS = 200


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_alone():
        yield


class Waves(Playing):
    """Four instances that are patched in waves of one and of the rest."""

    def __init__(self, house: House, folder: Path) -> None:
        super().__init__(house, folder)
        vars(self.have)["settings"] = self.have.settings.model_copy(update={"short_wait_seconds": 0})
        self.waited: list[str] = []
        with self.running():
            self.plan = make_plan(Phase.REMEDIATE)
        self.answered(self.plan, "approved")
        self.cases_of = {step.key: len(step.cases) for step in self.plan.steps}

    def go_on(self) -> PhaseEnded | None:
        """Run after run, until the phase has ended; None when an operator holds it back."""
        for _ in range(MOST_LOOKS):
            if (ended := self.one_run()) is not None or self.waited[-1] == "paused":
                return ended
        raise AssertionError(f"still waiting: {self.waited[-5:]}")

    def one_run(self) -> PhaseEnded | None:
        """One run, as far as it goes."""
        try:
            with self.running():
                return asyncio.run(carry_out_phase(Phase.REMEDIATE))
        except LookAgain as pause:
            self.waited.append(pause.phase)
            self.run.wait()
            return None

    def told(self) -> list[str]:
        """What happened to which wave, in order."""
        found: list[str] = []
        history = self.house.history()
        for dated in history.entries:
            match dated.record:
                case Admitted(extents=extents, phase=Phase.REMEDIATE):
                    found.append(f"admitted {len(extents)}")
                case Outcome(action="patch-packages", status="done" | "failed" as status, subject=subject):
                    found.append(f"{status} {self.cases_of[subject]}")
                case WaveEnded(wave=wave, failed=failed, stops=stops):
                    found.append(f"wave {wave}: {len(failed)} failed" + (", stop" if stops else ""))
                case _:
                    pass
        return found

    def verdicts(self) -> dict[str, str]:
        records = (e.record() for case in self.run.cases for e in self.house.ledger.entries(f"case/{case}"))
        return {each.verdict.case: str(each.verdict.kind) for each in records if isinstance(each, CaseVerdict)}


@pytest.fixture
def waves(open_house: OpenHouse, tmp_path: Path) -> Waves:
    return four(open_house, tmp_path)


def four(open_house: OpenHouse, folder: Path, **options: Any) -> Waves:
    runbook = a_runbook(contain={"when": ()}, waves=(1, "100%"), limits=UNLIMITED)
    house = open_house(runbook=runbook)
    for number, instance in enumerate(INSTANCES, 1):
        house.furnish(an_event(instance, number, in_group=False), **options.get(instance, {}))
    return Waves(house, folder)


def test_the_second_wave_begins_when_the_first_is_proven_fixed(waves: Waves) -> None:
    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "done"
    assert waves.told() == ["admitted 1", "done 1", "wave 0: 0 failed", "admitted 3", "done 3"]
    assert waves.verdicts() == {waves.plan.waves[0][0]: "fixed"}  # the last wave is verified with the response
    assert waves.house.mutating_calls().count("ssm:SendCommand") == 2


def test_a_first_wave_that_fails_stops_the_rest_and_says_why(waves: Waves) -> None:
    waves.house.sandbox.cloud.faults.inject(Fault("ssm:SendCommand", FaultKind.PARTIAL))

    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "failed"
    assert waves.told() == ["admitted 1", "failed 1", "wave 0: 1 failed, stop"]
    assert "not begun: after wave 1 1 of 1 cases so far are not fixed" in ended.detail
    assert waves.house.mutating_calls().count("ssm:SendCommand") == 1


def test_an_operator_holds_the_first_wave_back_and_nothing_is_changed_until_it_goes_on(waves: Waves) -> None:
    row = waves.house.ledger.response(waves.house.response)
    assert row is not None
    steer(waves.have, row, "pause", "jane", "a release is due")

    assert waves.go_on() is None
    assert (waves.told(), waves.house.mutating_calls(), waves.house.history().intents) == ([], [], {})
    assert waves.waited == ["paused"]

    steer(waves.have, row, "resume", "jane", "it is out")
    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "done"
    assert waves.told() == ["admitted 1", "done 1", "wave 0: 0 failed", "admitted 3", "done 3"]


def test_an_operator_holds_the_next_wave_back_and_lets_it_go_on(waves: Waves) -> None:
    row = waves.house.ledger.response(waves.house.response)
    assert row is not None
    while "ssm:SendCommand" not in waves.house.mutating_calls():
        assert waves.one_run() is None
    steer(waves.have, row, "pause", "jane", "a release is due")

    assert waves.go_on() is None
    assert waves.told() == ["admitted 1", "done 1", "wave 0: 0 failed"]

    steer(waves.have, row, "resume", "jane", "it is out")
    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "done"
    assert waves.told()[-2:] == ["admitted 3", "done 3"]


def test_an_operator_leaves_the_last_wave_out(waves: Waves) -> None:
    row = waves.house.ledger.response(waves.house.response)
    assert row is not None
    steer(waves.have, row, "stop", "jane", "these are replaced tomorrow", last=0)

    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "partial"
    assert waves.told() == ["admitted 1", "done 1", "wave 0: 0 failed"]
    assert "not begun: jane left it out (these are replaced tomorrow)" in ended.detail


def test_a_wave_that_is_left_out_is_not_waited_for_though_it_is_held_back(waves: Waves) -> None:
    row = waves.house.ledger.response(waves.house.response)
    assert row is not None
    while "ssm:SendCommand" not in waves.house.mutating_calls():
        assert waves.one_run() is None
    steer(waves.have, row, "pause", "jane", "a release is due")
    steer(waves.have, row, "stop", "jane", "these are replaced tomorrow", last=0)

    ended = waves.go_on()

    assert ended is not None, waves.waited
    assert ended.result == "partial"
    assert waves.told() == ["admitted 1", "done 1", "wave 0: 0 failed"]


def test_a_wave_that_has_begun_goes_on_to_its_end_though_the_next_is_held_back(waves: Waves) -> None:
    row = waves.house.ledger.response(waves.house.response)
    assert row is not None
    while waves.house.mutating_calls().count("ssm:SendCommand") < 2:
        assert waves.one_run() is None
    steer(waves.have, row, "pause", "jane", "a release is due")

    ended = waves.go_on()

    assert ended is not None
    assert ended.result == "done"
