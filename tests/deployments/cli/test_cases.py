"""Cases as `runbooks cases` tells them, from the ledger alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.records import CaseVerdict
from runbooks.verdict import Verdict, VerdictKind
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import (
    a_contain_plan,
    a_release_plan,
    approve,
    ask,
    begin,
    carry_out,
    end,
    end_phase,
)
from tests.tasks.gateways.ledger.samples import RUNBOOK, Clock, a_finding, a_key, open_case

DETACH, SNAPSHOT, SWAP = range(3)
DETACHED, SNAPSHOTTED, SWAPPED = (step.describe() for step in a_contain_plan("resp-0", "case-0").steps)


def start(ledger: Ledger, case: str) -> str:
    return ledger.start_response(RUNBOOK, (case,), "webhook").id


def shown(run: Run, case: str) -> dict[str, str]:
    """The lines about the case itself by their first word; of a word that is there twice, the last."""
    told = run("cases", "show", case).out.split("\n\n")[0].splitlines()[1:]
    return dict(line.split(maxsplit=1) for line in told)


def test_cases_are_listed_newest_first_with_where_they_are(run: Run, ledger: Ledger, clock: Clock) -> None:
    first = open_case(ledger)
    response = start(ledger, first)
    end(ledger, response, "fixed", **{first: "fixed"})
    clock.pass_by(hours=1)
    second = open_case(ledger, "i-0b", severity="CRITICAL")

    ran = run("cases", "list")

    assert [line.split("\t") for line in ran.out.splitlines()] == [
        ["CASE", "RESOURCE", "ACCOUNT", "REGION", "SEVERITY", "STATUS", "OPENED", "RUNBOOK", "STATE"],
        [
            second,
            "i-0b",
            "111122223333",
            "eu-west-1",
            "CRITICAL",
            "open",
            "2026-03-02 09:00:00 UTC",
            RUNBOOK,
            "no response yet",
        ],
        [
            first,
            "i-0a",
            "111122223333",
            "eu-west-1",
            "HIGH",
            "closed",
            "2026-03-02 08:00:00 UTC",
            RUNBOOK,
            "ended: fixed",
        ],
    ]
    assert [each["id"] for each in run("cases", "list", "--status", "closed", "--json").json] == [first]
    assert run("cases", "list", "--json").json[1]["response"]["result"] == "fixed"


def test_the_state_names_what_is_waited_for(run: Run, ledger: Ledger, clock: Clock) -> None:
    case = open_case(ledger)
    states: list[str] = []

    def look() -> None:
        states.append(run("cases", "list").out.splitlines()[1].split("\t")[-1])

    response = start(ledger, case)
    look()
    attempt = ledger.next_attempt(response)
    look()
    ledger.take_over(response, attempt, "run-1", (), 30)
    look()
    ask(ledger, a_contain_plan(response, case))
    look()
    ledger.wait(response, "verify", "Inspector has not looked yet", clock.now)
    look()

    assert states == [
        "new",
        "starting",
        "running",
        "waits for an approval",
        "waits: Inspector has not looked yet",
    ]


def test_a_case_is_told_with_its_plan_its_approval_and_every_step(
    run: Run, ledger: Ledger, clock: Clock, home: Path
) -> None:
    case = open_case(ledger)
    response = start(ledger, case)
    plan = a_contain_plan(response, case)
    ask(ledger, plan)
    clock.pass_by(minutes=4)
    approve(ledger, plan)
    carry_out(ledger, plan, plan.steps[DETACH])
    begin(ledger, plan, plan.steps[SWAP])

    ran = run("cases", "show", "i-0a")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{case}: i-0a (111122223333, eu-west-1)",
        "  status     open, HIGH, opened 2026-03-02 08:00:00 UTC",
        "  runbook    ec2-critical",
        "  finding    CVE-2026-1, HIGH, ACTIVE when it arrived: arn:aws:inspector2:eu-west-1:111122223333:finding/1",
        f"  contained  {DETACHED}",
        f"  contained  {SWAPPED} (begun; its outcome is not known)",
        "  next       The sweep wakes its run, which acts on the answer: runbooks sweep",
        "",
        f"{response}: to respond, started by webhook, 2026-03-02 08:00:00 UTC",
        "  state      asking",
        f"  plan       contain, revision 1, digest {plan.digest}",
        "    approved by ana by way of slack, 2026-03-02 08:04:00 UTC",
        f"    done          {DETACHED}",
        f"    to do         {SNAPSHOTTED}",
        f"    begun         {SWAPPED}",
        f"  files      {home}/responses/{response}",
    ]


def test_an_open_question_says_until_when_and_where_it_is_answered(
    run: Run, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOKS_UI_URL", "http://127.0.0.1:4200/")
    case = open_case(ledger)
    response = start(ledger, case)
    ledger.take_over(response, ledger.next_attempt(response), "run-1", (), 30)
    ask(ledger, a_contain_plan(response, case))

    ran = run("cases", "show", case)

    assert "    waits for an answer until 2026-03-02 09:00:00 UTC" in ran.out.splitlines()
    form = "http://127.0.0.1:4200/runs/flow-run/run-1"
    assert f"  next       A person approves or rejects the plan at {form}" in ran.out.splitlines()
    assert f"  run        {form}" in ran.out.splitlines()


def test_what_one_response_contained_and_another_released_is_contained_no_more(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    case = open_case(ledger)
    first = start(ledger, case)
    plan = a_contain_plan(first, case)
    ask(ledger, plan)
    approve(ledger, plan)
    carry_out(ledger, plan, *plan.steps)
    end_phase(ledger, plan)
    end(ledger, first, "not fixed")

    before = run("cases", "show", case, "--json").json

    assert before["still_contained"] == [DETACHED, SWAPPED]
    assert before["next"] == (
        "The instance is contained and not proven fixed. To have it remediated: "
        "runbooks respond arn:aws:inspector2:eu-west-1:111122223333:finding/1; "
        f"if it was mended by hand: runbooks verify {case}"
    )
    clock.pass_by(hours=1)
    second = ledger.start_response(RUNBOOK, (case,), "command", purpose="release").id
    release = a_release_plan(second, case, plan.steps[SWAP], plan.steps[DETACH])
    ask(ledger, release)
    approve(ledger, release)
    carry_out(ledger, release, release.steps[0])
    assert run("cases", "show", case, "--json").json["still_contained"] == [DETACHED]
    carry_out(ledger, release, release.steps[1])
    end(ledger, second, "released")
    after = run("cases", "show", case, "--json").json
    assert (after["still_contained"], after["next"]) == ([], "Nothing")
    assert [each["purpose"] for each in after["responses"]] == ["respond", "release"]


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_a_release_is_proposed_only_for_what_was_last_found_fixed(run: Run, ledger: Ledger, kind: VerdictKind) -> None:
    case = open_case(ledger)
    response = start(ledger, case)
    plan = a_contain_plan(response, case)
    ask(ledger, plan)
    approve(ledger, plan)
    carry_out(ledger, plan, *plan.steps)
    earlier = VerdictKind.NOT_FIXED if kind is VerdictKind.FIXED else VerdictKind.FIXED
    for each in (earlier, kind):
        verdict = Verdict(case=case, kind=each, reasons=("as read",), evidence=())
        ledger.append(f"case/{case}", CaseVerdict(response=response, remediation=None, verdict=verdict))
    end(ledger, response, kind.value)

    told = shown(run, case)["next"]

    if kind is VerdictKind.FIXED:
        assert told == f"A person ends the containment: runbooks release {case}"
    else:
        assert told.startswith("The instance is contained and not proven fixed. ")
        assert "release" not in told


def test_the_verdict_and_who_goes_on_are_told(run: Run, ledger: Ledger) -> None:
    case = open_case(ledger)
    response = start(ledger, case)
    verdict = Verdict(case=case, kind=VerdictKind.NOT_FIXED, reasons=("libssl3 is before the fix",), evidence=())
    ledger.append(f"case/{case}", CaseVerdict(response=response, remediation=None, verdict=verdict))
    end(ledger, response, "not fixed")

    told = shown(run, case)

    assert told["verdict"] == "not fixed: libssl3 is before the fix"
    assert told["next"] == f"A person takes it on; then: runbooks verify {case}"


@pytest.mark.parametrize("name", ["id", "prefix", "bare prefix", "resource", "arn"])
def test_a_case_goes_by_its_id_its_beginning_its_resource_and_its_findings(run: Run, ledger: Ledger, name: str) -> None:
    case = open_case(ledger)
    open_case(ledger, "i-0b", number=2)
    names = {
        "id": case,
        "prefix": case[:10],
        "bare prefix": case[5:10],
        "resource": "i-0a",
        "arn": "arn:aws:inspector2:eu-west-1:111122223333:finding/1",
    }

    assert run("cases", "show", names[name], "--json").json["id"] == case


def test_a_name_of_no_case_or_of_several_is_bad_input(run: Run, ledger: Ledger) -> None:
    one = open_case(ledger)
    other = ledger.take_finding(a_key(runbook="other"), a_finding(), "webhook").case
    assert other is not None

    several, none = run("cases", "show", "i-0a"), run("cases", "show", "i-0z")

    assert (several.code, none.code) == (2, 2)
    assert none.err == "error: no-such-case: no case is known by 'i-0z'; see runbooks cases list\n"
    assert several.err.startswith("error: ambiguous-case: 'i-0a' may be any of ")
    assert f"{one} ({RUNBOOK})" in several.err
    assert f"{other.id} (other)" in several.err


def test_reading_makes_no_ledger(run: Run, home: Path) -> None:
    for command in (["cases", "list"], ["audit", "verify"], ["inbox", "list"], ["verify", "i-0a"]):
        ran = run(*command)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"error: no-ledger: there is no ledger at {home}/ledger.db; ")
    assert not home.exists()
