"""The record, read and verified by `runbooks audit`."""

from __future__ import annotations

from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import a_contain_plan, approve, ask, carry_out, end
from tests.tasks.gateways.ledger.samples import RUNBOOK, Clock, contents, open_case, tamper

NINE = "2026-03-02 09:00:00 UTC"


def fill(ledger: Ledger, clock: Clock) -> tuple[str, str, str]:
    """Case, response and digest of a response that was contained and ended."""
    case = open_case(ledger)
    clock.pass_by(seconds=1)
    response = ledger.start_response(RUNBOOK, (case,), "webhook").id
    plan = a_contain_plan(response, case)
    ask(ledger, plan)
    clock.pass_by(minutes=4)
    approve(ledger, plan)
    carry_out(ledger, plan, plan.steps[-1])
    end(ledger, response, "person", "a person takes over\n2026-03-02 forged", **{case: "handed over"})
    return case, response, plan.digest


def test_the_entries_of_a_case_and_its_responses_stand_one_a_line_in_order_of_time(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    case, response, digest = fill(ledger, clock)
    open_case(ledger, "i-0b")

    ran = run("audit", "show", "i-0a")

    swap = a_contain_plan(response, case).steps[-1].describe()
    mine, its = f"case/{case}", f"response/{response}"
    assert ran.out.splitlines() == [
        f"2026-03-02 08:00:00 UTC  {mine} 1  case opened for i-0a (111122223333, eu-west-1) under ec2-critical",
        f"2026-03-02 08:00:00 UTC  {mine} 2  finding seen: CVE-2026-1, HIGH, ACTIVE (by webhook)",
        f"2026-03-02 08:00:01 UTC  {its} 1  response to respond started by webhook: 1 case under ec2-critical",
        f"2026-03-02 08:00:01 UTC  {its} 2  plan made to contain, revision 1: 3 steps, digest {digest}",
        f"2026-03-02 08:00:01 UTC  {its} 3  approval asked for plan {digest[:12]} to contain, until {NINE}",
        f"2026-03-02 08:04:01 UTC  {mine} 3  case closed: handed over",
        f"2026-03-02 08:04:01 UTC  {its} 4  plan {digest[:12]} to contain approved by ana through Slack (go)",
        f"2026-03-02 08:04:01 UTC  {its} 5  about to: {swap}",
        f"2026-03-02 08:04:01 UTC  {its} 6  done: {swap}",
        f"2026-03-02 08:04:01 UTC  {its} 7  ended, person: a person takes over 2026-03-02 forged",
    ]


def test_json_gives_the_whole_entries_with_their_hashes(run: Run, ledger: Ledger, clock: Clock) -> None:
    case, response, _ = fill(ledger, clock)
    stored = [*ledger.entries(f"case/{case}"), *ledger.entries(f"response/{response}")]

    given = run("audit", "show", case, "--json").json

    assert len(given) == len(stored)
    assert {each["hash"]: each["body"] for each in given} == {each.hash: each.body for each in stored}


def test_a_record_as_it_was_written_verifies(run: Run, ledger: Ledger, clock: Clock) -> None:
    fill(ledger, clock)

    assert run("audit", "verify").out == "10 entries in 2 streams: ok\n"
    assert run("audit", "verify", "--json").json == {"ok": True, "entries": 10, "streams": 2, "problems": []}


def test_the_first_changed_entry_of_each_stream_is_named_and_the_answer_is_no(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    case, response, _ = fill(ledger, clock)
    tamper(
        ledger,
        f"UPDATE entries SET body = replace(body, 'ana', 'eve') WHERE stream = 'response/{response}'",
        f"DELETE FROM entries WHERE stream = 'case/{case}' AND sequence = 3",
    )

    ran = run("audit", "verify")

    assert ran.code == 1
    told = ran.out.splitlines()
    assert told[0] == "9 entries in 2 streams: NOT as written"
    assert told[1].startswith(f"case/{case} entry 3 was truncated: ")
    assert told[2].startswith(f"response/{response} entry 4 was edited: ")
    assert len(told) == 3
    found = run("audit", "verify", "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert [(each["sequence"], each["fault"]) for each in found.json["problems"]] == [(3, "truncated"), (4, "edited")]


def test_the_tables_are_made_anew_from_the_entries(run: Run, ledger: Ledger, clock: Clock) -> None:
    fill(ledger, clock)
    before = contents(ledger)
    with ledger._database.writing() as connection:
        connection.exec_driver_sql("UPDATE cases SET status = 'open', severity = 'LOW'")

    ran = run("audit", "rebuild")

    assert (ran.code, ran.out) == (0, "made anew from 10 entries\n")
    assert contents(ledger) == before
