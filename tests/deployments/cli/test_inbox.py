"""What was delivered, as `runbooks inbox` shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.tasks.gateways.ledger.samples import Clock

BODY = b'{"findings": [],\n "note": "\\u202e"}'


def fill(ledger: Ledger, clock: Clock) -> tuple[str, str]:
    first = ledger.receive("a", "webhook", BODY).id
    clock.pass_by(minutes=1)
    ledger.receive_set_aside("b", "command", b"\xff{", "not-json", "it is not\nJSON")
    return first, ledger.deliveries()[0].id


def test_deliveries_are_listed_newest_first_with_why_they_were_set_aside(
    run: Run, ledger: Ledger, clock: Clock
) -> None:
    first, second = fill(ledger, clock)

    ran = run("inbox", "list")

    assert [line.split("\t") for line in ran.out.splitlines()] == [
        ["ID", "RECEIVED", "SOURCE", "STATE", "CODE", "REASON"],
        [second, "2026-03-02 08:01:00 UTC", "command", "set-aside", "not-json", "it is not JSON"],
        [first, "2026-03-02 08:00:00 UTC", "webhook", "pending", "", ""],
    ]


def test_a_state_or_a_number_narrows_the_list(run: Run, ledger: Ledger, clock: Clock) -> None:
    first, second = fill(ledger, clock)

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in run("inbox", "list", "--json", *options).json]

    assert ids() == [second, first]
    assert ids("--state", "pending") == [first]
    assert ids("--limit", "1") == [second]
    assert run("inbox", "list", "--state", "lost").code == 2
    assert run("inbox", "list", "--limit", "0").code == 2


def test_the_payload_is_shown_byte_for_byte_with_its_fate_beside_it(run: Run, ledger: Ledger, clock: Clock) -> None:
    first, second = fill(ledger, clock)

    ran = run("inbox", "show", first)

    assert ran.out.encode() == BODY
    assert ran.err == f"{first} from webhook at 2026-03-02 08:00:00 UTC, pending\n"
    assert run("inbox", "show", first.removeprefix("delivery-")).out == ran.out
    assert run("inbox", "show", second, "--json").json["body"] == "\\xff{"


def test_bytes_that_are_no_text_reach_a_pipe_as_they_came(home: Path, ledger: Ledger, clock: Clock) -> None:
    _, second = fill(ledger, clock)
    command = (sys.executable, "-m", "deployments.cli.main", "inbox", "show", second)

    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "RUNBOOKS_HOME": str(home)})

    assert done.stdout == b"\xff{"


def test_an_unknown_delivery_is_bad_input(run: Run, ledger: Ledger) -> None:
    ran = run("inbox", "show", "delivery-0")

    assert (ran.code, ran.err) == (
        2,
        "error: no-such-delivery: there is no delivery delivery-0; see runbooks inbox list\n",
    )
