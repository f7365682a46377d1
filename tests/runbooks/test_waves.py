"""Waves: a few, then some, then the rest; each within the limits, none begun that should not be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.case import response_stream
from runbooks.history import ResponseHistory
from runbooks.limits import exceeded
from runbooks.plan import Plan
from runbooks.planning.extents import extent_of
from runbooks.planning.remediation import plan_remediation
from runbooks.planning.waves import Unit, in_waves
from runbooks.records import WaveEnded, WavesSteered
from runbooks.steps import PatchPackages
from runbooks.triage import Assessment
from runbooks.waves import current_wave, ended_wave, not_begun, paused, to_verify
from tests.runbooks.builders import (
    RESPONSE,
    a_finding,
    a_runbook,
    an_assessment,
    an_instance,
    an_intent,
    case_facts,
    instance_facts,
)
from tests.runbooks.histories import a_history, dated
from tests.runbooks.signatures import SIGNER

BIG = {
    "maximum_cases": 1000,
    "maximum_cases_at_once": 1000,
    "maximum_cases_per_hour": 10_000,
    "maximum_share_of_auto_scaling_group": 100,
    "maximum_share_of_target_group": 100,
    "maximum_share_of_environment": 100,
}
"""Limits that leave the waves to their sizes."""


def a_case(number: int, zone: str = "a", **facts: Any) -> Assessment:
    resource = instance_facts(
        an_instance(f"i-{number}", tags={"environment": "production"}, availability_zone=f"eu-west-1{zone}"),
        environment_size=1000,
        **facts,
    )
    return an_assessment(case_facts(a_finding(number), case=f"case-{number}", resource=resource))


def a_plan(*cases: Assessment, waves: tuple[int | str, ...] = (1, "10%", "100%"), **limits: Any) -> Plan:
    runbook = a_runbook(waves=waves, limits=BIG | limits)
    return plan_remediation(RESPONSE, runbook, cases, bucket="packages", contained=False)


def sizes(plan: Plan) -> list[int]:
    return [len(wave) for wave in plan.waves]


# --- planning --------------------------------------------------------------------------------------------------------


def test_the_sizes_are_cumulative_and_rounded_up() -> None:
    cases = [a_case(number) for number in range(1, 26)]
    assert sizes(a_plan(*cases)) == [1, 2, 22]
    assert sizes(a_plan(*cases, waves=(5, "50%"))) == [5, 8, 12]


def test_one_wave_is_none() -> None:
    assert a_plan(a_case(1)).waves == ()
    assert a_plan(a_case(1), a_case(2), waves=("100%",)).waves == ()


def test_each_wave_has_commands_of_its_own_and_one_list_serves_them_all() -> None:
    plan = a_plan(*(a_case(number) for number in range(1, 72)), waves=(1, "100%"))
    assert [(step.kind, len(step.cases), plan.wave_of(step)) for step in plan.steps] == [
        ("write-override-list", 71, 0),
        ("patch-packages", 1, 0),
        ("patch-packages", 50, 1),
        ("patch-packages", 20, 1),
    ]
    assert [len(stage) for stage in plan.stages()] == [1, 1, 2]
    snapshots = [step.snapshot_id for step in plan.steps if isinstance(step, PatchPackages)]
    assert len(set(snapshots)) == 3


def test_a_wave_takes_a_little_of_every_zone() -> None:
    cases = [a_case(number, zone="abc"[number // 4]) for number in range(12)]
    plan = a_plan(*cases, waves=(3, "100%"))
    zones = {each.case: each.instance.availability_zone for each in cases}
    assert Counter(zones[case] for case in plan.waves[0]) == {f"eu-west-1{zone}": 1 for zone in "abc"}


def test_what_is_more_than_the_limits_let_begin_together_is_a_wave_more() -> None:
    cases = [a_case(number) for number in range(1, 13)]
    assert sizes(a_plan(*cases, waves=("100%",), maximum_cases_at_once=5)) == [5, 5, 2]
    assert sizes(a_plan(*cases, waves=("100%",), maximum_cases_per_hour=10)) == [10, 2]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), min_size=1, max_size=25),
    st.lists(st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda each: f"{each}%")), min_size=1, max_size=4),
    st.integers(1, 12),
    st.integers(1, 100),
)
def test_every_case_is_in_one_wave_and_every_wave_within_the_limits(
    places: list[tuple[str, int]], waves: list[int | str], at_once: int, share: int
) -> None:
    limits = {"maximum_cases_at_once": at_once, "maximum_share_of_environment": share}
    runbook = a_runbook(waves=tuple(waves), limits=BIG | limits)
    cases = [a_case(number, zone) for number, (zone, _) in enumerate(places)]
    units = [Unit((each,), (extent_of(runbook, each),)) for each in cases]
    made = in_waves(runbook, units)
    assert Counter(each.case for wave in made for unit in wave for each in unit.members) == Counter(
        each.case for each in cases
    )
    for wave in made:
        assert wave
        assert exceeded(runbook.limits, [extent for unit in wave for extent in unit.extents]) is None


# --- while they run --------------------------------------------------------------------------------------------------

PLAN = a_plan(*(a_case(number) for number in range(1, 26)))
LIMITS = a_runbook().limits


def history(*records: Any) -> ResponseHistory:
    return a_history(*(dated(number, record) for number, record in enumerate(records, 1)))


def began(wave: int) -> Any:
    return an_intent(PLAN, next(step for step in PLAN.steps if PLAN.wave_of(step) == wave))


def over(wave: int, failed: int = 0) -> WaveEnded:
    reasons = dict.fromkeys(PLAN.waves[wave][:failed], "it did not start again")
    return WaveEnded(digest=PLAN.digest, wave=wave, cases=PLAN.waves[wave], failed=reasons)


def steered(says: str, last: int | None = None, *, signed: bool = True) -> WavesSteered:
    record = WavesSteered.model_validate(
        {"digest": PLAN.digest, "says": says, "by": "jane", "reason": "a release is due", "last": last}
    )
    return SIGNER.signed(response_stream(PLAN.response), record) if signed else record


def test_the_current_wave_is_the_first_that_has_not_ended() -> None:
    assert [current_wave(history(*done), PLAN) for done in [(), (over(0),), (over(0), over(1))]] == [0, 1, 2]
    assert to_verify(history(over(0)), PLAN) == PLAN.waves[1]


@pytest.mark.parametrize(("before", "failed", "stops"), [((), 0, False), ((), 1, True), ((over(0, 1),), 0, True)])
def test_too_many_failures_keep_the_next_wave_from_being_begun(
    before: tuple[WaveEnded, ...], failed: int, stops: bool
) -> None:
    wave = len(before)
    reasons = dict.fromkeys(PLAN.waves[wave][:failed], "it did not start again")
    assert bool(ended_wave(history(*before), PLAN, wave, reasons, LIMITS).stops) is stops


def test_one_failure_among_many_stops_nothing() -> None:
    before = (over(0), over(1))
    ended = ended_wave(history(*before), PLAN, 2, dict.fromkeys(PLAN.waves[2][:5], "it did not start again"), LIMITS)
    assert (ended.stops, len(ended.failed)) == ("", 5)
    assert ended_wave(history(*before), PLAN, 2, dict.fromkeys(PLAN.waves[2][:6], "no"), LIMITS).stops == (
        "6 of 25 cases so far are not fixed, and maximum_share_of_failures is 20 %"
    )


def test_after_a_stop_the_later_waves_are_not_begun_and_say_why() -> None:
    stopped = over(0, 1).model_copy(update={"stops": "1 of 1 cases so far are not fixed"})
    left = not_begun(history(began(0), stopped), PLAN)
    assert left == dict.fromkeys(
        (*PLAN.waves[1], *PLAN.waves[2]), "not begun: after wave 1 1 of 1 cases so far are not fixed"
    )
    assert current_wave(history(began(0), stopped), PLAN) == 0


def test_what_an_operator_leaves_out_is_what_has_not_begun() -> None:
    assert set(not_begun(history(began(0), steered("stop", 1)), PLAN)) == set(PLAN.waves[2])
    assert set(not_begun(history(began(0), began(1), steered("stop", 0)), PLAN)) == set(PLAN.waves[2])
    assert set(not_begun(history(steered("stop", -1)), PLAN)) == set(PLAN.cases)


def test_a_pause_ends_with_a_resumption_that_was_signed() -> None:
    pause = steered("pause")
    assert paused(history(pause), PLAN, SIGNER) == pause
    assert paused(history(pause, steered("resume")), PLAN, SIGNER) is None
    assert paused(history(pause, steered("resume", signed=False)), PLAN, SIGNER) == pause
    assert paused(history(steered("pause", signed=False)), PLAN, SIGNER) is not None
