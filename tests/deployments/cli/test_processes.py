"""The commands that run until they are stopped, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from deployments.processes import free_port
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS
from tests.tasks.gateways.ledger.samples import RUNBOOK, open_case

NOBODY = "http://127.0.0.1:9/api"
SAFE = {
    "PREFECT_CLIENT_MAX_RETRIES": "0",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
"""Nothing in it for the start-up guard to refuse."""


def runbooks(home: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-m", "deployments.cli.main", "--home", str(home), *arguments),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **SAFE, **environment},
    )


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Exit code and what was still said on standard error."""
    process.send_signal(number)
    rest = process.communicate(timeout=30)[1]
    return process.returncode, rest


@pytest.fixture
def manned(run: Run) -> None:
    """Somebody can say yes, which makes the signing key as well."""
    assert run("approvers", "add", "jane", "--grant", "*@*").code == 0


@pytest.mark.parametrize("command", ["sweep", "receiver"])
def test_nothing_starts_while_nobody_can_say_yes(home: Path, command: str) -> None:
    process = runbooks(home, command, PREFECT_API_URL=NOBODY, RUNBOOKS_WEBHOOK_KEY="secret")
    err = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert "error: unsafe: it is not safe to start:" in err.splitlines()
    assert "  approvers: " in err


def test_the_sweep_does_not_start_without_the_address_of_prefect(run: Run, home: Path) -> None:
    ran = run("sweep", "--once")

    assert ran.code == 2
    assert ran.err.startswith("error: invalid-setting: PREFECT_API_URL is not set")


@pytest.mark.usefixtures("manned")
def test_one_pass_of_the_sweep_drains_the_inbox_and_says_so(home: Path, ledger: Ledger) -> None:
    ledger.receive("a", "webhook", (EVENTS / "scan_event.json").read_bytes())

    process = runbooks(home, "sweep", "--once", PREFECT_API_URL=NOBODY)
    err = process.communicate(timeout=60)[1]

    assert (process.returncode, err.split("UTC  ")[-1]) == (0, "deliveries: 1\n")
    assert [each.state for each in ledger.deliveries()] == ["set-aside"]


@pytest.mark.usefixtures("manned")
def test_the_sweep_tells_a_trouble_once_goes_on_and_ends_when_told(home: Path, ledger: Ledger) -> None:
    ledger.start_response(RUNBOOK, (open_case(ledger),), "webhook")

    process = runbooks(home, "sweep", PREFECT_API_URL=NOBODY, RUNBOOKS_SWEEP_SECONDS="0.2")
    assert process.stderr is not None
    trouble = process.stderr.readline()
    ledger.receive("a", "webhook", (EVENTS / "scan_event.json").read_bytes())
    drained = process.stderr.readline()

    assert "UTC  trouble: resp-" in trouble
    assert "UTC  deliveries: 1; trouble: resp-" in drained
    assert stop(process, signal.SIGTERM)[0] == 0


def test_the_receiver_does_not_start_without_a_key(run: Run, home: Path) -> None:
    ran = run("receiver")

    assert ran.code == 2
    assert ran.err.startswith("error: invalid-setting: RUNBOOKS_WEBHOOK_KEY is not set")
    assert not home.exists()


@pytest.mark.usefixtures("manned")
def test_the_receiver_keeps_what_is_sent_with_the_key(home: Path) -> None:
    port = free_port()
    process = runbooks(home, "receiver", RUNBOOKS_WEBHOOK_KEY="secret", RUNBOOKS_RECEIVER_PORT=str(port))
    assert process.stderr is not None
    while "Uvicorn running" not in (line := process.stderr.readline()):
        assert line, "it ended"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/webhooks/inspector",
        (EVENTS / "ec2_package_event.json").read_bytes(),
        {"x-api-key": "secret", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        kept = json.loads(answer.read())["delivery"]

    stop(process, signal.SIGINT)
    ledger = Ledger.open(f"sqlite:///{home}/ledger.db")
    assert [(each.id, each.source) for each in ledger.deliveries()] == [(kept, "webhook")]
    ledger.close()


@pytest.mark.usefixtures("manned")
def test_a_port_that_is_taken_is_a_failure_outside(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = runbooks(home, "receiver", RUNBOOKS_WEBHOOK_KEY="secret", RUNBOOKS_RECEIVER_PORT=port)
        err = process.communicate(timeout=60)[1]

    assert (process.returncode, err.splitlines()[-1]) == (
        3,
        "error: receiver-failed: the receiver could not be served",
    )


@pytest.fixture
def addresses(tmp_path: Path) -> Path:
    return tmp_path / "addresses.json"


def test_the_sandbox_prints_the_environment_to_use_it_with(home: Path, addresses: Path) -> None:
    process = runbooks(home, "sandbox", "start", "--addresses", str(addresses))
    assert process.stdout is not None
    environment = dict(process.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(11))
    written = json.loads(addresses.read_text())

    try:
        assert environment["AWS_ENDPOINT_URL"] == written["aws"]
        assert environment["RUNBOOKS_SLACK_URL"] == written["slack"]
        assert environment["RUNBOOKS_JIRA_SERVER"] == written["jira"]
        assert environment["RUNBOOKS_GITHUB_API"] == written["github"]
        event = json.loads((EVENTS / "ec2_package_event.json").read_bytes())
        furnish = urllib.request.Request(f"{written['aws']}/sandbox/furnish", json.dumps({"finding": event}).encode())
        with urllib.request.urlopen(furnish, timeout=30) as answer:
            assert json.loads(answer.read())["instance_id"] == "i-0a1b2c3d4e5f60718"
        plan = runbooks(home, "plan", event["detail"]["findingArn"], "--json", **environment)
        out, err = plan.communicate(timeout=60)
        assert plan.returncode == 0, err
        assert [each["phase"] for each in json.loads(out)["cases"][0]["plans"]] == ["contain", "remediate"]
    finally:
        code, said = stop(process, signal.SIGINT)
    assert code == 130
    assert f"The sandbox runs until Ctrl-C. Its addresses are in {addresses}" in said
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(written["aws"], timeout=5)
