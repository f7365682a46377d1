"""Who may say yes, registered from the terminal."""

from __future__ import annotations

import getpass
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pyotp.totp import TOTP

from runbooks.case import APPROVERS_STREAM
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.tasks.gateways.ledger.samples import kinds, tamper


def secret_in(uri: str) -> str:
    return parse_qs(urlsplit(uri).query)["secret"][0]


def test_an_approver_is_registered_with_a_secret_that_is_shown_once(run: Run, home: Path) -> None:
    ran = run("approvers", "add", "jane", "--grant", "contain@*", "--grant", "remediate@staging", "--login", "jdoe")

    assert (ran.code, ran.err) == (0, "jane is registered. The secret is not shown again.\n")
    secret = secret_in(ran.out)
    assert ran.out.startswith("otpauth://totp/Remediation%20Runbooks:jane?secret=")
    assert (home / "keys" / "signing.key").stat().st_mode & 0o777 == 0o600
    listed = run("approvers", "list")
    assert listed.out.splitlines() == [
        "NAME\tSTATE\tGRANTS\tSLACK\tLOGINS",
        "jane\tactive\tcontain@*, remediate@staging\t\tjdoe",
    ]
    everything = listed.out + run("approvers", "list", "--json").out
    stored = b"".join(file.read_bytes() for file in home.glob("ledger.db*"))
    assert secret not in everything
    assert secret.encode() not in stored


def test_as_json_it_is_one_object(run: Run) -> None:
    given = run(
        "approvers", "add", "joe", "--grant", "*@*", "--slack-user", "U0JOE", "--slack-team", "T01", "--json"
    ).json

    assert (given["name"], given["grants"], secret_in(given["uri"])) == ("joe", ["*@*"], given["secret"])
    assert run("approvers", "list", "--json").json == {
        "approvers": [
            {
                "name": "joe",
                "grants": ["*@*"],
                "slack_user": "U0JOE",
                "slack_team": "T01",
                "logins": [],
                "state": "active",
                "wrong_codes": 0,
            }
        ],
        "forged": [],
    }


def test_who_changed_it_is_written_down(run: Run, ledger: Ledger) -> None:
    run("approvers", "add", "jane", "--grant", "*@*")
    run("approvers", "revoke", "jane", "--as", "the-boss")
    run("approvers", "unlock", "JANE")

    entries = ledger.entries(APPROVERS_STREAM)
    me = getpass.getuser()
    assert [(entry.kind, entry.body["by"]) for entry in entries] == [
        ("approver-added", me),
        ("approver-revoked", "the-boss"),
        ("approver-unlocked", me),
    ]
    assert "jane\trevoked" in run("approvers", "list").out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "jane"), "requires an argument"),
        (("add", "jane", "--grant", "contain"), "error: bad-input: grants: "),
        (("add", "j", "--grant", "*@*"), "error: bad-input: name: "),
        (("add", "jane", "--grant", "*@*", "--slack-user", "U0JANE"), "error: bad-input: a Slack user id"),
        (("revoke", "eve"), "error: no-such-approver: no approver has the name eve; see runbooks approvers list"),
        (("unlock", "eve"), "error: no-such-approver: "),
    ],
)
def test_what_is_typed_wrong_changes_nothing(run: Run, ledger: Ledger, arguments: tuple[str, ...], told: str) -> None:
    run("approvers", "add", "joe", "--grant", "*@*")

    ran = run("approvers", *arguments)

    assert ran.code == 2
    assert told in ran.err
    assert ran.err.count("\n") == 1
    assert kinds(ledger, APPROVERS_STREAM) == ["approver-added"]


def test_a_record_that_was_tampered_with_is_told(run: Run, ledger: Ledger) -> None:
    run("approvers", "add", "jane", "--grant", "*@*")
    tamper(ledger, """UPDATE entries SET body = replace(body, '"*@*"', '"contain@*"')""")

    ran = run("approvers", "list")

    assert (ran.code, ran.out.splitlines()[1:]) == (0, [])
    assert "The record of approvers was tampered with (entry 1)" in ran.err


def test_at_a_terminal_there_is_a_qr_code_and_the_first_code_is_asked_for(home: Path, ledger: Ledger) -> None:
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "deployments.cli.main", "approvers", "add", "jane", "--grant", "*@*")
    environment = {**os.environ, "RUNBOOKS_HOME": str(home), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = read_until(ours, "shows now: ")
    os.write(ours, b"000000\n")
    said += read_until(ours, "shows now: ")
    secret = secret_in(next(line for line in said.split() if line.startswith("otpauth://")))
    os.write(ours, TOTP(secret).now().encode() + b"\n")
    said += read_until(ours, "not shown again.")
    assert process.wait(timeout=20) == 0
    os.close(ours)

    assert any(block in said for block in "█▀▄")
    assert "this is not what the secret's codes are now" in said
    assert said.count(secret) == 1
    assert kinds(ledger, APPROVERS_STREAM) == ["approver-added", "code-tried"]


def read_until(terminal: int, words: str) -> str:
    said, limit = "", time.monotonic() + 30
    while words not in said:
        assert time.monotonic() < limit, said
        said += os.read(terminal, 65536).decode(errors="replace")
    return said
