"""Responses that a person starts: to verify a case, and to release one."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from runbooks.case import response_stream
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS, a_contain_plan, ask, end, meanwhile
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case

pytestmark = pytest.mark.usefixtures("safe")
ARN = "arn:aws:inspector2:eu-west-1:111122223333:finding/1"
EVENT = EVENTS / "ec2_package_event.json"


@pytest.mark.parametrize("purpose", ["verify", "release"])
def test_a_response_of_that_purpose_is_opened_and_left_to_the_sweep(run: Run, ledger: Ledger, purpose: str) -> None:
    case = open_case(ledger)

    ran = run(purpose, "i-0a", "--no-wait")

    (response,) = ledger.responses()
    assert (response.purpose, response.cases, response.status) == (purpose, (case,), "new")
    assert (ran.code, ran.out) == (0, f"{response.id}\n")
    started = ledger.entries(response_stream(response.id))[0].body
    assert (started["purpose"], started["started_by"]) == (purpose, f"command:{getpass.getuser()}")


def test_a_finding_names_its_case(run: Run, ledger: Ledger) -> None:
    case = open_case(ledger)

    given = run("verify", ARN, "--no-wait", "--json").json

    assert given == {"response": ledger.responses()[0].id, "case": case, "purpose": "verify"}


@pytest.mark.parametrize(
    ("purpose", "result", "code"),
    [("verify", "fixed", 0), ("verify", "unverifiable", 1), ("release", "released", 0), ("release", "rejected", 1)],
)
def test_it_is_followed_to_its_end(run: Run, ledger: Ledger, purpose: str, result: str, code: int) -> None:
    open_case(ledger)
    its_run = meanwhile(ledger.responses, lambda: end(ledger, ledger.responses()[0].id, result))

    ran = run(purpose, "i-0a", "--json")

    its_run.join()
    assert ran.code == code
    assert (ran.json["purpose"], ran.json["result"], ran.json["reason"]) == (purpose, result, "as the evidence says")
    assert ran.err.splitlines()[-1].endswith(f"ended, {result}: as the evidence says")


def test_a_case_that_is_being_acted_on_is_left_alone(run: Run, ledger: Ledger) -> None:
    case = open_case(ledger)
    acting = ledger.start_response(RUNBOOK, (case,), "webhook").id

    ran = run("verify", case)

    assert ran.code == 1
    assert ran.err.startswith(f"error: case-busy: {case} is being acted on by {acting}")
    assert [each.id for each in ledger.responses()] == [acting]


@pytest.mark.parametrize("command", [("verify", "i-0a"), ("release", "i-0a"), ("respond", str(EVENT))])
def test_nothing_is_begun_where_nobody_could_say_yes(run: Run, ledger: Ledger, command: tuple[str, ...]) -> None:
    open_case(ledger)
    run("approvers", "revoke", "jane")

    ran = run(*command)

    assert ran.code != 0
    assert "unsafe: it is not safe to start:\n  approvers: nobody can say yes" in ran.err
    assert (ledger.responses(), ledger.deliveries()) == ((), ())


def test_a_name_of_no_case_is_bad_input(run: Run, ledger: Ledger) -> None:
    assert [run(purpose, "i-0z").code for purpose in ("verify", "release")] == [2, 2]
    assert ledger.responses() == ()


def test_ctrl_c_stops_following_and_not_the_response(home: Path, ledger: Ledger) -> None:
    case = open_case(ledger)
    command = (sys.executable, "-m", "deployments.cli.main", "release", case)
    environment = {**os.environ, "RUNBOOKS_HOME": str(home), "RUNBOOKS_UI_URL": "http://127.0.0.1:4200"}
    process = subprocess.Popen(
        command,
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        # A shell that started these tests in the background has them, and so the command, ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    assert process.stderr is not None
    told = [process.stderr.readline() for _ in range(2)]
    response = ledger.responses()[0].id
    ask(ledger, a_contain_plan(response, case))
    told += [process.stderr.readline() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)

    assert told[0] == f"{response}: release i-0a (111122223333, eu-west-1); the sweep starts its run\n"
    assert told[4] == "  answer it at http://127.0.0.1:4200/runs/flow-run/run-1\n"
    assert rest == f"No longer following. {response} goes on; see: runbooks cases list\n"
    assert (process.returncode, out) == (130, "")
    assert ledger.responses()[0].status == "asking"
