"""What was delivered, as `runbooks inbox` shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.sandbox.faults import FaultKind
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, AwsWorld
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
        ["ID", "RECEIVED", "SOURCE", "STATE", "CODE", "WHAT BECAME OF IT"],
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


@pytest.fixture
def asked(aws: AwsWorld, safe: None, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    monkeypatch.setenv("RUNBOOKS_INSPECTOR_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RUNBOOKS_INSPECTOR_REGIONS", f"{REGION},eu-north-1")
    return aws


def found_long_ago(aws: AwsWorld, days: float) -> str:
    """A finding of so many days ago."""
    arn = aws.furnish()["finding_arn"]
    finding = aws.sandbox.cloud.world(ACCOUNT, REGION).findings[arn]
    finding.updated_at = datetime.now(UTC) - timedelta(days=days)
    return arn


def test_inspector_is_asked_in_every_region_and_what_is_news_is_in_the_inbox(
    run: Run, ledger: Ledger, asked: AwsWorld
) -> None:
    arn = found_long_ago(asked, days=0.001)

    first, second = run("inbox", "pull"), run("inbox", "pull", "--json")

    assert (first.code, [line.split("\t") for line in first.out.splitlines()]) == (
        0,
        [
            ["ACCOUNT", "REGION", "LISTED", "NEW"],
            [ACCOUNT, REGION, "1", "1"],
            [ACCOUNT, "eu-north-1", "0", "0"],
        ],
    )
    assert first.err == "Next: runbooks inbox list --state pending; the sweep does the rest\n"
    assert second.json[0] == {"account": ACCOUNT, "region": REGION, "listed": 1, "missed": 0}
    (delivery,) = ledger.pending()
    assert (delivery.source, json.loads(delivery.body)["findingArn"]) == ("pull", arn)


def test_a_date_goes_further_back_but_not_beyond_thirty_days(run: Run, ledger: Ledger, asked: AwsWorld) -> None:
    found_long_ago(asked, days=20)

    def since(days: int) -> str:
        return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()

    assert run("inbox", "pull").code == 0
    assert ledger.pending() == ()
    assert run("inbox", "pull", "--since", since(21)).code == 0
    assert len(ledger.pending()) == 1
    refused = [run("inbox", "pull", "--since", each) for each in (since(32), since(-2), "yesterday")]
    assert [each.code for each in refused] == [2, 2, 2]
    assert [each.err.split(": ")[1] for each in refused] == ["bad-since", "bad-since", "usage"]


def test_a_region_that_does_not_answer_keeps_no_other_waiting(run: Run, ledger: Ledger, asked: AwsWorld) -> None:
    found_long_ago(asked, days=0.001)
    asked.fault("inspector2:ListFindings", FaultKind.THROTTLE, times=5)

    ran = run("inbox", "pull")

    assert (ran.code, ran.out.splitlines()[1:]) == (3, [f"{ACCOUNT}\teu-north-1\t0\t0"])
    assert ran.err.startswith(f"error: not-asked: {REGION}: throttled: ")
    assert run("inbox", "pull").code == 0
    assert len(ledger.pending()) == 1


def test_nobody_is_asked_where_nobody_is_named(run: Run, safe: None) -> None:
    ran = run("inbox", "pull")

    assert (ran.code, ran.err.split(": ")[1]) == (2, "invalid-setting")


def test_nobody_is_asked_where_it_is_not_safe(run: Run, aws: AwsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_INSPECTOR_ACCOUNT", ACCOUNT)
    monkeypatch.setenv("RUNBOOKS_INSPECTOR_REGIONS", REGION)

    assert run("inbox", "pull").code == 1
    assert aws.calls() == []
