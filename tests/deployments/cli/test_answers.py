"""Yes and no from the terminal, by the same rules as through any other door."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyotp.totp import TOTP

from runbooks.case import response_stream
from runbooks.plan import ApprovalRule, Plan
from runbooks.records import ApprovalAsked, PlanMade
from tasks.gateways.ledger import Ledger
from tasks.journal import read_history
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import a_contain_plan
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case


@pytest.fixture
def ledger(home: Path) -> Any:
    """By the real clock: the codes are."""
    opened = Ledger.open(f"sqlite:///{home}/ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def secret(run: Run, ledger: Ledger) -> str:
    """Jane's, who starts responses as jdoe."""
    return run("approvers", "add", "jane", "--grant", "*@*", "--login", "jdoe", "--json").json["secret"]


def asked(ledger: Ledger, started_by: str = "webhook", **rule: Any) -> Plan:
    case = open_case(ledger)
    response = ledger.start_response(RUNBOOK, (case,), started_by).id
    plan = a_contain_plan(response, case).model_copy(update={"approval": ApprovalRule(**rule)})
    ledger.append(response_stream(response), PlanMade(digest=plan.digest, plan=plan))
    expires = datetime.now(UTC) + timedelta(hours=1)
    ledger.ask(response, ApprovalAsked(digest=plan.digest, attempt=1, expires_at=expires, flow_run="run-1"))
    return plan


def code(secret: str) -> bytes:
    return TOTP(secret).now().encode() + b"\n"


def answers(ledger: Ledger, plan: Plan) -> list[tuple[str, bool, str]]:
    given = read_history(ledger, plan.response).answers.get(plan.digest, [])
    return [(each.claimed, each.counts, each.code) for each in given]


def test_the_plan_is_shown_and_a_right_code_approves_it(run: Run, ledger: Ledger, secret: str) -> None:
    plan = asked(ledger)

    ran = run("approve", "i-0a", "--as", "jane", "--comment", "as agreed", "--code-file", "-", stdin=code(secret))

    assert ran.code == 0, ran.err
    assert ran.out.endswith(f"plan {plan.short_digest} approved\n")
    assert plan.steps[-1].describe().split()[0] in ran.out
    assert f"The answer is to plan {plan.digest}" in ran.err
    assert "Its run was not reached, and is woken by the sweep." in ran.err
    decision = read_history(ledger, plan.response).decisions[plan.digest]
    assert (decision.answer, decision.approvers, decision.channel, decision.comment) == (
        "approved",
        ("jane",),
        "command",
        "as agreed",
    )


def test_a_no_rejects_and_says_so_as_json(run: Run, ledger: Ledger, secret: str) -> None:
    plan = asked(ledger)

    ran = run("reject", "i-0a", "--as", "jane", "--code-file", "-", "--json", stdin=code(secret))

    assert ran.code == 0, ran.err
    assert (ran.json["decision"]["answer"], ran.json["answer"]["counts"]) == ("rejected", True)
    assert read_history(ledger, plan.response).decisions[plan.digest].answer == "rejected"


def test_a_code_comes_from_a_file_too_and_is_not_written_down(
    run: Run, ledger: Ledger, secret: str, tmp_path: Path, home: Path
) -> None:
    asked(ledger)
    given = code(secret)
    (tmp_path / "code").write_bytes(given)

    assert run("approve", "i-0a", "--as", "jane", "--code-file", str(tmp_path / "code")).code == 0
    entries = "".join(str(entry.body) for stream in ledger.streams() for entry in ledger.entries(stream))
    assert given.decode().strip() not in entries


def test_the_login_names_the_approver_that_it_belongs_to(run: Run, ledger: Ledger) -> None:
    me = getpass.getuser()
    secret = run("approvers", "add", "root-of-all", "--grant", "*@*", "--login", me, "--json").json["secret"]
    plan = asked(ledger)

    assert run("approve", "i-0a", "--code-file", "-", stdin=code(secret)).code == 0
    assert answers(ledger, plan) == [("root-of-all", True, "")]


@pytest.mark.parametrize(
    ("name", "story", "right", "told"),
    [
        ("jane", {}, False, "wrong-code: "),
        ("eve", {}, True, "not-registered: eve is no registered approver"),
        ("jane", {"approvers": ("joe",)}, True, "not-named: "),
        ("jane", {"started_by": "command:jdoe"}, True, "self-approval: jane started this response"),
    ],
)
def test_what_does_not_count_is_told_and_written_down(
    run: Run, ledger: Ledger, secret: str, name: str, story: dict[str, Any], right: bool, told: str
) -> None:
    plan = asked(ledger, **story)

    ran = run("approve", "i-0a", "--as", name, "--code-file", "-", stdin=code(secret) if right else b"000000\n")

    assert ran.code == 1
    assert told in ran.err
    assert answers(ledger, plan) == [(name, False, told.partition(":")[0])]
    assert read_history(ledger, plan.response).decisions == {}


def test_one_yes_of_two_counts_and_says_what_is_missing(run: Run, ledger: Ledger, secret: str) -> None:
    plan = asked(ledger, quorum=2)

    ran = run("approve", "i-0a", "--as", "jane", "--code-file", "-", stdin=code(secret))

    assert (ran.code, ran.out.splitlines()[-1]) == (
        0,
        f"plan {plan.short_digest}: counted; it needs 2 different people",
    )
    assert read_history(ledger, plan.response).decisions == {}


def test_only_the_plan_that_is_meant_is_answered(run: Run, ledger: Ledger, secret: str) -> None:
    plan = asked(ledger)
    answer = ("approve", "i-0a", "--as", "jane", "--code-file", "-", "--digest")

    ran = run(*answer, "abc", stdin=code(secret))
    assert (ran.code, answers(ledger, plan)) == (2, [])
    assert f"waits with plan {plan.short_digest}, not with abc" in ran.err
    assert run(*answer, plan.digest[:12], stdin=code(secret)).code == 0


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_case_that_waits_for_nobody_is_not_answered(run: Run, ledger: Ledger, secret: str, word: str) -> None:
    case = open_case(ledger)

    ran = run(word, case, "--as", "jane", "--code-file", "-", stdin=code(secret))

    assert ran.code == 1
    assert ran.err == f"error: not-asked: {case} does not wait for an answer; see runbooks cases show {case}\n"


def test_without_a_terminal_the_code_has_to_come_from_a_file(run: Run, ledger: Ledger, secret: str) -> None:
    plan = asked(ledger)

    ran = run("approve", "i-0a", "--as", "jane", stdin=code(secret))

    assert (ran.code, answers(ledger, plan)) == (2, [])
    assert ran.err.splitlines()[-1].startswith("error: no-code: ")


@pytest.mark.parametrize("word", ["verify", "release"])
def test_who_starts_a_response_is_written_down(run: Run, ledger: Ledger, secret: str, word: str) -> None:
    open_case(ledger)

    run(word, "i-0a", "--no-wait", "--as", "jane")

    history = read_history(ledger, ledger.responses()[0].id)
    assert history.started is not None
    assert history.started.started_by == "command:jane"
