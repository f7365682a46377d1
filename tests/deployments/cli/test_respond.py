"""Putting findings into the inbox, and following what becomes of them."""

from __future__ import annotations

import getpass
import json

import pytest

from runbooks.catalog import Catalog
from runbooks.event import read_payload
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS, end, meanwhile
from tests.tasks.gateways.aws_world import AwsWorld, an_event

pytestmark = pytest.mark.usefixtures("safe")
EC2 = EVENTS / "ec2_package_event.json"
ARN = "arn:aws:inspector2:eu-west-1:210987654321:finding/00000000000000000000000000000001"


def handle(ledger: Ledger, result: str) -> None:
    """A sweep and a run, so to speak."""
    for response in drain(ledger, Catalog.read()).responses:
        end(ledger, response, result)


def test_the_payload_lies_in_the_inbox_as_it_was_given(run: Run, ledger: Ledger) -> None:
    ran = run("respond", EC2, "--as", "jdoe")

    (delivery,) = ledger.deliveries()
    assert (delivery.source, delivery.body, delivery.state) == ("command:jdoe", EC2.read_bytes(), "pending")
    assert (ran.code, ran.out) == (0, f"{delivery.id}\n")
    assert ran.err.splitlines() == [
        "received: CVE-2026-10001 (CRITICAL) on i-0a1b2c3d4e5f60718 (210987654321, eu-west-1)",
        f"Next: runbooks inbox show {delivery.id}; runbooks cases show i-0a1b2c3d4e5f60718",
    ]


def test_asked_twice_it_is_two_deliveries(run: Run, ledger: Ledger) -> None:
    ids = {run("respond", EC2, "--json").json["delivery"] for _ in range(2)}

    assert {each.id for each in ledger.deliveries()} == ids
    assert len(ids) == 2


def test_what_is_no_finding_is_refused_and_not_kept(run: Run, ledger: Ledger) -> None:
    codes = [run("respond", "-", stdin=b"{").code, run("respond", EVENTS / "scan_event.json").code]

    assert codes == [2, 2]
    assert ledger.deliveries() == ()


def test_a_finding_named_by_its_arn_is_read_from_inspector_and_kept_whole(
    run: Run, ledger: Ledger, aws: AwsWorld
) -> None:
    aws.furnish(an_event())

    ran = run("respond", ARN)

    assert ran.code == 0
    (delivery,) = ledger.deliveries()
    (kept,) = read_payload(delivery.body).findings
    assert (kept.arn, kept.severity, kept.packages[0].name) == (ARN, "CRITICAL", "libssl3")
    assert aws.calls() == ["inspector2:ListFindings"]


@pytest.mark.parametrize(("result", "code"), [("fixed", 0), ("nothing-to-do", 0), ("not fixed", 1), ("expired", 1)])
def test_waiting_ends_with_the_response_and_its_result_is_the_answer(
    run: Run, ledger: Ledger, result: str, code: int
) -> None:
    sweep = meanwhile(ledger.pending, lambda: handle(ledger, result))

    ran = run("respond", EC2, "--wait")

    sweep.join()
    (response,) = ledger.responses()
    assert (ran.code, ran.out) == (code, f"{response.id}: {result}: as the evidence says\n")
    assert [line.split("UTC  ")[-1] for line in ran.err.splitlines()[1:]] == [
        f"taken into {response.cases[0]}",
        f"response to respond started by command:{getpass.getuser()}: 1 case under ec2-high-severity-cve",
        f"ended, {result}: as the evidence says",
    ]


def test_waiting_says_when_no_response_came_of_it(run: Run, ledger: Ledger) -> None:
    sweep = meanwhile(ledger.pending, lambda: handle(ledger, "fixed"))

    ran = run("respond", EVENTS / "ecr_package_event.json", "--wait", "--json")

    sweep.join()
    assert ran.code == 1
    assert (ran.json["state"], ran.json["code"], ran.json["responses"]) == ("set-aside", "no-runbook", [])
    assert "no-runbook: inspector-finding: no runbook covers a PACKAGE_VULNERABILITY" in ran.err


def test_a_closed_finding_for_which_nothing_is_open_is_nothing_to_do(run: Run, ledger: Ledger) -> None:
    event = json.loads(EC2.read_bytes())
    event["detail"]["status"] = "CLOSED"
    sweep = meanwhile(ledger.pending, lambda: handle(ledger, "fixed"))

    ran = run("respond", "-", "--wait", stdin=json.dumps(event).encode())

    sweep.join()
    assert ran.code == 0
    assert "nothing-open: inspector-finding: it is CLOSED, and no case is open" in ran.err
