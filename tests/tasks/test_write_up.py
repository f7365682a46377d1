"""How a look and a release end: a proven fix closes the case, and what is new is for a person or the next response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import TOKEN, Site
from deployments.sandbox.slack_workspace import Workspace
from runbooks.case import case_stream, response_stream
from runbooks.plan import Phase
from runbooks.records import CaseTriaged, CaseVerdict, PhaseEnded, PlanMade, ResponseEnded
from runbooks.triage import assess
from runbooks.verdict import VerdictKind
from tasks.alert import open_ticket
from tasks.intake import drain
from tasks.run import running
from tasks.services import use
from tasks.write_up import conclude_look, conclude_release, hand_over
from tests.runbooks.builders import (
    a_contain_plan,
    a_verdict,
    an_assessment,
    an_instance,
    case_facts,
    instance_facts,
)
from tests.runbooks.histories import carried_out
from tests.serving import serving
from tests.tasks.contained import OTHER
from tests.tasks.playing import prefect_alone
from tests.tasks.sweep_house import SweepHouse, slack_workspace, sweep_house

INSTANCE = "i-0a1b2c3d4e5f60718"


@pytest.fixture
def slack() -> Iterator[tuple[Workspace, dict[str, Any]]]:
    with slack_workspace() as found:
        yield found


@pytest.fixture
def jira() -> Site:
    return Site(search_delay=0)


@pytest.fixture
def house(tmp_path: Path, slack: tuple[Workspace, dict[str, Any]], jira: Site) -> Iterator[SweepHouse]:
    """A finding has come, and its response has not begun."""
    with (
        serving(jira_app(jira)) as url,
        sweep_house(tmp_path, **slack[1], jira_server=url, jira_user=jira.email, jira_token=TOKEN) as opened,
    ):

        def seconds() -> float:
            return opened.clock.now.timestamp()

        jira.clock = seconds
        opened.deliver()
        drain(opened.ledger, opened.catalog)
        yield opened


def looked(house: SweepHouse, kind: VerdictKind, started_by: str = "sweep") -> ResponseEnded:
    """A look, from its start to its end, with this verdict."""
    case, ledger = house.case_on(INSTANCE).id, house.ledger
    house.clock.pass_by(hours=6)
    row = ledger.start_response("ec2-high-severity-cve", (case,), started_by, purpose="verify")
    with use(house), running(row.id, 0, "run"):
        verdict = a_verdict(kind, case=case)
        judged = CaseVerdict(response=row.id, remediation=None, verdict=verdict)
        ledger.append(case_stream(case), house.sign(case_stream(case), judged))
        return conclude_look.fn(str(kind), "it was looked at")


def unverifiable(house: SweepHouse, *, contained: bool = False) -> None:
    """What went before: the playbook, which could not prove that it had helped."""
    row = house.newest(INSTANCE)
    with use(house), running(row.id, 0, "run"):
        open_ticket.fn()
    facts = case_facts(*house.ledger.case_findings(row.cases[0]), case=row.cases[0])
    triaged = CaseTriaged(response=row.id, assessment=an_assessment(facts))
    house.ledger.append(case_stream(row.cases[0]), triaged)
    if contained:
        plan = a_contain_plan(triaged.assessment).model_copy(update={"response": row.id})
        done = [each.record for each in carried_out(plan, 1)]
        house.ledger.append(response_stream(row.id), PlanMade(digest=plan.digest, plan=plan), *done)
    house.end(row.id, "unverifiable", VerdictKind.UNVERIFIABLE)


def for_a_person(slack: tuple[Workspace, dict[str, Any]]) -> list[str]:
    return [each.text for each in slack[0].messages if each.text.startswith("A person is needed")]


def test_a_fix_that_is_proven_at_last_closes_the_case(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.FIXED)
    assert (ended.result, house.case_on(INSTANCE).status, for_a_person(slack)) == ("fixed", "closed", [])


def test_fixed_but_still_contained_is_told_to_a_person_and_stays_open(
    house: SweepHouse, slack: tuple[Workspace, Any]
) -> None:
    unverifiable(house, contained=True)
    ended = looked(house, VerdictKind.FIXED)
    assert (ended.result, ended.contained, house.case_on(INSTANCE).status) == ("fixed", True, "open")
    assert for_a_person(slack) == ["A person is needed: fixed. it was looked at"]


def test_not_fixed_is_told_to_a_person(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.NOT_FIXED)
    assert (ended.result, house.case_on(INSTANCE).status) == ("not fixed", "open")
    assert for_a_person(slack) == ["A person is needed: not fixed. it was looked at"]


def test_only_the_last_look_in_vain_is_told_to_a_person(house: SweepHouse, slack: tuple[Workspace, Any]) -> None:
    unverifiable(house)
    results = [looked(house, VerdictKind.UNVERIFIABLE).result for _ in range(4)]
    assert results == ["unverifiable"] * 3 + ["person"]
    (told,) = for_a_person(slack)
    assert "it was looked at 4 times again, and could not be verified" in told


def test_whoever_asked_for_a_look_reads_the_verdict_and_nobody_else_is_called(
    house: SweepHouse, slack: tuple[Workspace, Any]
) -> None:
    unverifiable(house)
    ended = looked(house, VerdictKind.NOT_FIXED, "command")
    assert (ended.result, for_a_person(slack)) == ("not fixed", [])


def released(house: SweepHouse, jira: Site, *, news: bool = False) -> ResponseEnded:
    """What was fixed and contained is released; while that waits for its yes, another vulnerability may be found."""
    unverifiable(house, contained=True)
    looked(house, VerdictKind.FIXED)
    alert = next(iter(jira.issues.values()))
    alert.status = "In Progress"
    return release(house, news=news)


def release(house: SweepHouse, *, news: bool = False) -> ResponseEnded:
    case, ledger = house.case_on(INSTANCE).id, house.ledger
    row = ledger.start_response("ec2-high-severity-cve", (case,), "command:joe", purpose="release")
    if news:
        house.clock.pass_by(hours=2)
        house.deliver(2)
        drain(ledger, house.catalog)
    with use(house), running(row.id, 0, "run"):
        return conclude_release.fn(PhaseEnded(phase=Phase.RELEASE, result="done"))


def test_a_release_closes_what_is_proven_fixed_and_its_ticket(house: SweepHouse, jira: Site) -> None:
    ended = released(house, jira)
    assert (ended.result, house.case_on(INSTANCE).status) == ("released", "closed")
    assert [issue.status for issue in jira.issues.values()] == ["Done", "To Do"], "the alert's, and the person's"


def test_what_is_found_while_a_release_waits_keeps_case_and_ticket_open_for_the_next_response(
    house: SweepHouse, jira: Site
) -> None:
    ended = released(house, jira, news=True)
    assert (ended.result, house.case_on(INSTANCE).status) == ("released", "open")
    assert [issue.status for issue in jira.issues.values()] == ["In Progress", "To Do"]
    assert [each.case.id for each in house.ledger.unanswered()] == [house.case_on(INSTANCE).id]
    drain(house.ledger, house.catalog)
    assert (house.newest(INSTANCE).purpose, house.newest(INSTANCE).status) == ("respond", "new")


def test_a_case_that_triage_leaves_to_a_person_is_not_closed_because_nothing_can_be_planned(house: SweepHouse) -> None:
    row = house.newest(INSTANCE)
    (case,) = row.cases
    tagged = instance_facts(an_instance(tags=house.catalog.named(row.runbook).limits.protected_tags))
    facts = case_facts(*house.ledger.case_findings(case), case=case, resource=tagged)
    assessment = assess(facts, house.catalog.named(row.runbook))
    assert assessment.triage.code == "protected"
    house.ledger.append(case_stream(case), CaseTriaged(response=row.id, assessment=assessment))
    with use(house), running(row.id, 0, "run"):
        ended = hand_over.fn("nothing-to-do", "triage left no case to act on")
    assert (ended.result, house.case_on(INSTANCE).status) == ("nothing-to-do", "open")


def test_a_release_after_a_plan_for_something_newer_was_rejected_closes_nothing(house: SweepHouse) -> None:
    unverifiable(house, contained=True)
    looked(house, VerdictKind.FIXED)
    house.clock.pass_by(hours=2)
    house.deliver(2)
    drain(house.ledger, house.catalog)
    newer = house.newest(INSTANCE)
    facts = case_facts(*house.ledger.case_findings(newer.cases[0]), case=newer.cases[0])
    triaged = CaseTriaged(response=newer.id, assessment=an_assessment(facts))
    house.ledger.append(case_stream(newer.cases[0]), triaged)
    house.end(newer.id, "rejected")

    assert (release(house).result, house.case_on(INSTANCE).status) == ("released", "open")


def test_an_alerts_ticket_is_done_when_none_of_its_cases_is_open_any_more(house: SweepHouse, jira: Site) -> None:
    house.end(house.newest(INSTANCE).id, "rejected")
    house.deliver(2, OTHER)
    drain(house.ledger, house.catalog)
    house.end(house.newest(OTHER).id, "rejected")
    proven, left = house.case_on(INSTANCE).id, house.case_on(OTHER).id
    row = house.ledger.start_response("ec2-high-severity-cve", (proven, left), "command:joe")
    with use(house), running(row.id, 0, "run"):
        open_ticket.fn()
        (alert,) = jira.issues.values()
        alert.status = "In Progress"
        for case, kind in ((proven, VerdictKind.FIXED), (left, VerdictKind.NOT_FIXED)):
            said = CaseVerdict(response=row.id, remediation=None, verdict=a_verdict(kind, case=case))
            facts = case_facts(*house.ledger.case_findings(case), case=case)
            triaged = CaseTriaged(response=row.id, assessment=an_assessment(facts))
            house.ledger.append(case_stream(case), triaged, house.sign(case_stream(case), said))
        with prefect_alone():
            hand_over("not fixed", "1 of 2 cases is fixed")

    assert {case: house.case_on(each).status for case, each in ((proven, INSTANCE), (left, OTHER))} == {
        proven: "closed",
        left: "open",
    }
    assert alert.status == "In Progress"
    house.clock.pass_by(hours=6)
    later = house.ledger.start_response("ec2-high-severity-cve", (left,), "command:joe", purpose="verify")
    with use(house), running(later.id, 0, "run"):
        said = CaseVerdict(response=later.id, remediation=None, verdict=a_verdict(VerdictKind.FIXED, case=left))
        house.ledger.append(case_stream(left), house.sign(case_stream(left), said))
        conclude_look.fn("fixed", "it was looked at")
    assert (house.case_on(OTHER).status, alert.status) == ("closed", "Done")
