"""Open cases that nobody acts on: Inspector is asked about them, and what it reports no more is looked at or ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.server import Sandbox
from runbooks.case import case_stream, response_stream
from runbooks.plan import Phase
from runbooks.records import CaseTriaged, CaseVerdict, Outcome, PhaseEnded, PlanMade, Reconciled
from runbooks.triage import assess
from runbooks.verdict import Evidence, Verdict, VerdictKind
from tasks.sweeping.over import OPEN_CASES
from tests.runbooks.builders import a_contain_plan, a_finding, a_runbook, case_facts
from tests.tasks.gateways.aws_world import ACCOUNT, INSTANCE, REGION, an_event
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house

OTHER = "i-0b00000000000000b"


@pytest.fixture
def prefect() -> Iterator[PrefectApi]:
    with prefect_api() as api:
        yield api


@pytest.fixture
def house(
    tmp_path: Path, prefect: PrefectApi, executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SweepHouse]:
    """A case on an instance that is in the sandbox, whose response has ended without a fix."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    executor_aws.reset()
    with sweep_house(tmp_path) as opened:
        opened.clock.now = executor_aws.cloud.clock.now()
        executor_aws.furnish(an_event())
        opened.deliver()
        opened.sweep()
        opened.take_over(opened.newest(INSTANCE).id)
        yield opened


def inspector_says(sandbox: Sandbox, status: str | None, number: int = 1) -> None:
    """No event of it arrives. None: it has deleted the finding."""
    findings = sandbox.cloud.world(ACCOUNT, REGION).findings
    arn = a_finding(number).arn
    if status is None:
        del findings[arn]
    else:
        findings[arn].status = status


def looks(house: SweepHouse) -> list[tuple[str, str]]:
    return [(row.purpose, row.status) for row in house.ledger.responses() if row.purpose == "verify"]


def why_closed(house: SweepHouse) -> list[str]:
    stream = case_stream(house.case_on(INSTANCE).id)
    return [entry.body["reason"] for entry in house.ledger.entries_of(stream, "case-closed")]


def asked(house: SweepHouse) -> list[tuple[int, int]]:
    records = [entry.record() for entry in house.ledger.entries(f"{OPEN_CASES}{ACCOUNT}/{REGION}")]
    return [(each.listed, each.missed) for each in records if isinstance(each, Reconciled)]


def judged(house: SweepHouse, kind: VerdictKind, *, gone: bool = False) -> None:
    """The response reaches a verdict by the evidence on the instance."""
    case, response = house.case_on(INSTANCE), house.newest(INSTANCE)
    evidence = Evidence(resource=INSTANCE, gone=gone, platform="UBUNTU_22_04", findings={}, coverage=None, installed={})
    reasons = (f"{INSTANCE} is gone: its finding closes without being fixed" if gone else "it was looked at",)
    verdict = Verdict(case=case.id, kind=kind, reasons=reasons, evidence=(evidence,))
    record = CaseVerdict(response=response.id, remediation=None, verdict=verdict)
    house.ledger.append(case_stream(case.id), house.sign(case_stream(case.id), record))


def contained(house: SweepHouse) -> None:
    """The response has contained the instance."""
    case, response = house.case_on(INSTANCE), house.newest(INSTANCE)
    plan = a_contain_plan(response=response.id, cases=(case.id,))
    step = next(each for each in plan.steps if each.undo is not None)
    done = Outcome(
        operation=plan.operation(step), action=step.kind, subject=step.key, digest=plan.digest, status="done", result={}
    )
    ended = PhaseEnded(phase=Phase.CONTAIN, result="done", digest=plan.digest)
    house.ledger.append(response_stream(response.id), PlanMade(digest=plan.digest, plan=plan), done, ended)


def test_what_a_person_rejected_is_looked_at_once_inspector_reports_it_no_more(
    house: SweepHouse, executor_aws: Sandbox
) -> None:
    house.end(house.newest(INSTANCE).id, "rejected")
    inspector_says(executor_aws, "CLOSED")
    house.clock.pass_by(hours=5)
    assert (house.sweep().looked_again, asked(house)) == ([], [])

    house.clock.pass_by(hours=1)
    swept = house.sweep()

    assert (swept.looked_again, swept.over, swept.troubles) == ([house.newest(INSTANCE).id], [], [])
    assert (looks(house), house.newest(INSTANCE).cases) == ([("verify", "new")], (house.case_on(INSTANCE).id,))
    assert (house.case_on(INSTANCE).status, asked(house)) == ("open", [(0, 1)])
    house.clock.pass_by(hours=7)
    assert len(looks(house)) == 1, "somebody is at it"


def test_what_inspector_still_reports_is_left_alone(house: SweepHouse) -> None:
    house.end(house.newest(INSTANCE).id, "rejected")
    for _ in range(2):
        house.clock.pass_by(hours=6)
        assert house.sweep().words == ""
    assert (looks(house), asked(house)) == ([], [(1, 0), (1, 0)])


def test_where_word_has_come_inspector_is_asked_at_once(house: SweepHouse, executor_aws: Sandbox) -> None:
    house.end(house.newest(INSTANCE).id, "expired")
    house.clock.pass_by(minutes=5)
    house.deliver(status="CLOSED")
    assert (house.sweep().looked_again, asked(house)) == ([], [(1, 0)]), "Inspector does not say so"
    house.clock.pass_by(minutes=5)
    inspector_says(executor_aws, "CLOSED")
    house.deliver(status="CLOSED")
    assert (len(house.sweep().looked_again), asked(house)) == (1, [(1, 0), (0, 0)])


@pytest.mark.parametrize(
    ("kind", "number"),
    [(VerdictKind.NOT_FIXED, 1), (VerdictKind.UNVERIFIABLE, 1), (VerdictKind.FIXED, 0)],
)
def test_a_verdict_is_reached_anew_unless_it_is_proven_fixed(
    house: SweepHouse, executor_aws: Sandbox, kind: VerdictKind, number: int
) -> None:
    judged(house, kind)
    house.end(house.newest(INSTANCE).id, "person")
    inspector_says(executor_aws, "CLOSED")
    house.clock.pass_by(hours=6)
    assert len(house.sweep().looked_again) == number
    assert house.case_on(INSTANCE).status == "open"


def test_what_has_been_looked_at_like_this_is_not_looked_at_again(house: SweepHouse, executor_aws: Sandbox) -> None:
    case, response = house.case_on(INSTANCE), house.newest(INSTANCE)
    seen = assess(case_facts(case=case.id, findings=(a_finding(status="CLOSED"),)), a_runbook())
    house.ledger.append(case_stream(case.id), CaseTriaged(response=response.id, assessment=seen))
    house.end(response.id, "not fixed", VerdictKind.NOT_FIXED)
    inspector_says(executor_aws, "CLOSED")
    house.clock.pass_by(hours=6)
    swept = house.sweep()
    assert (swept.looked_again, swept.over, house.case_on(INSTANCE).status) == ([], [], "open")


@pytest.mark.parametrize("status", ["CLOSED", None])
def test_what_is_proven_to_be_gone_is_ended_and_not_counted_as_fixed(
    house: SweepHouse, executor_aws: Sandbox, status: str | None
) -> None:
    judged(house, VerdictKind.UNVERIFIABLE, gone=True)
    house.end(house.newest(INSTANCE).id, "person")
    inspector_says(executor_aws, status)
    house.clock.pass_by(hours=6)
    swept = house.sweep()
    assert (swept.over, swept.looked_again) == ([house.case_on(INSTANCE).id], [])
    said = "1 deleted" if status is None else "1 closed"
    gone = f"{INSTANCE} is gone: its finding closes without being fixed"
    assert (why_closed(house), looks(house)) == ([f"Inspector reports it no more ({said}): {gone}"], [])


def test_an_accepted_risk_ends_the_case(house: SweepHouse, executor_aws: Sandbox) -> None:
    house.end(house.newest(INSTANCE).id, "rejected")
    inspector_says(executor_aws, "SUPPRESSED")
    house.clock.pass_by(hours=6)
    swept = house.sweep()
    assert (swept.over, swept.looked_again) == ([house.case_on(INSTANCE).id], [])
    assert why_closed(house)[0].endswith("a suppression rule covers it, so its owner has accepted the risk")


@pytest.mark.parametrize(("status", "gone"), [("SUPPRESSED", False), ("CLOSED", True)])
def test_what_is_contained_is_never_ended_here(
    house: SweepHouse, executor_aws: Sandbox, status: str, gone: bool
) -> None:
    contained(house)
    judged(house, VerdictKind.UNVERIFIABLE, gone=gone)
    house.end(house.newest(INSTANCE).id, "person")
    inspector_says(executor_aws, status)
    house.clock.pass_by(hours=6)
    swept = house.sweep()
    assert (swept.over, house.case_on(INSTANCE).status, len(swept.looked_again)) == ([], "open", 1)


def test_a_case_of_which_one_finding_is_active_is_not_over(house: SweepHouse, executor_aws: Sandbox) -> None:
    executor_aws.furnish(an_event(INSTANCE, 2))
    house.deliver(2)
    house.end(house.newest(INSTANCE).id, "rejected")
    house.sweep()
    house.take_over(house.newest(INSTANCE).id)
    house.end(house.newest(INSTANCE).id, "rejected")
    inspector_says(executor_aws, "CLOSED", 1)
    house.clock.pass_by(hours=6)
    swept = house.sweep()
    assert (swept.looked_again, swept.over, asked(house)) == ([], [], [(1, 0)])


def test_many_cases_are_asked_about_together_and_looked_at_in_one_response(
    house: SweepHouse, executor_aws: Sandbox
) -> None:
    executor_aws.furnish(an_event(OTHER, 2))
    house.deliver(2, OTHER)
    house.sweep()
    house.take_over(house.newest(OTHER).id)
    for instance, number in ((INSTANCE, 1), (OTHER, 2)):
        house.end(house.newest(instance).id, "rejected")
        inspector_says(executor_aws, "CLOSED", number)
    house.clock.pass_by(hours=6)
    executor_aws.cloud.record.clear()
    (look,) = house.sweep().looked_again
    row = house.ledger.response(look)
    assert row is not None
    assert set(row.cases) == {house.case_on(INSTANCE).id, house.case_on(OTHER).id}
    calls = [each["operation"] for each in executor_aws.cloud.record.calls()]
    assert calls.count("ListFindings") == 1


def test_a_case_that_a_response_acts_on_is_nobody_elses(house: SweepHouse, executor_aws: Sandbox) -> None:
    inspector_says(executor_aws, "CLOSED")
    house.clock.pass_by(hours=12)
    swept = house.sweep()
    assert (swept.looked_again, swept.over, asked(house)) == ([], [], [])
