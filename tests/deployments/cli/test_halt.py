"""`runbooks halt` and `runbooks resume`: everything stands still, and everyone who looks is told so."""

from __future__ import annotations

import base64
import getpass
from collections.abc import Iterator

import pytest

from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import TOKEN, Channel, Workspace
from runbooks.case import HALT_STREAM
from runbooks.records import Halted, Resumed
from runbooks.signing import Signer
from runbooks.timestamps import moment
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.conftest import Run
from tests.serving import serving
from tests.tasks.gateways.ledger.samples import open_case

KEY = b"a signing key of thirty-two byte"
WHY = ("--reason", "the wrong group")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Signer:
    monkeypatch.setenv("RUNBOOKS_SIGNING_KEY", base64.b64encode(KEY).decode())
    return Signer(KEY)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    made = Workspace([Channel("C0SECURITY", "security-operations")])
    with serving(slack_app(made)) as url:
        monkeypatch.setenv("RUNBOOKS_SLACK_URL", f"{url}/api/")
        monkeypatch.setenv("RUNBOOKS_SLACK_TOKEN", TOKEN)
        yield made


def written(ledger: Ledger) -> list[Halted | Resumed]:
    return [entry.record() for entry in ledger.entries(HALT_STREAM)]  # type: ignore[misc]


def test_halting_and_resuming_are_written_down_signed_with_who_and_why(run: Run, ledger: Ledger, key: Signer) -> None:
    halted = run("halt", *WHY, "--as", "jane")
    assert (halted.code, halted.out) == (0, f"{words(ledger)}\n")
    resumed = run("resume", "--reason", "mended")
    assert (resumed.code, resumed.out) == (0, f"resumed by {getpass.getuser()}: mended\n")
    first, second = written(ledger)
    assert (first.by, first.reason) == ("jane", "the wrong group")
    assert (second.by, second.reason) == (getpass.getuser(), "mended")
    assert isinstance(second, Resumed)
    assert second.ends == 1
    assert all(key.verifies(HALT_STREAM, record) for record in (first, second))


def test_a_halt_needs_no_key_and_a_resumption_does(run: Run, ledger: Ledger) -> None:
    assert run("halt", *WHY).code == 0
    refused = run("resume", "--reason", "mended")
    assert refused.code == 1
    assert refused.err.startswith("error: no-signing-key: ")
    assert [record.kind for record in written(ledger)] == ["halted"]
    assert run("halt", "--status", "--json").json["halted"] is True


def words(ledger: Ledger) -> str:
    return f"halted since {moment(ledger.entries(HALT_STREAM)[0].at)} by jane: the wrong group"


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_without_a_reason_nothing_is_written(run: Run, ledger: Ledger, key: Signer, command: str) -> None:
    if command == "resume":
        run("halt", *WHY)
    before = written(ledger)
    asked = run(command)
    assert (asked.code, asked.err) == (2, 'error: no-reason: say why: --reason "..."\n')
    assert written(ledger) == before


def test_the_status_says_whether_it_is_on(run: Run, ledger: Ledger, key: Signer) -> None:
    assert run("halt", "--status").out == "not halted: what is approved is carried out\n"
    run("halt", *WHY, "--as", "jane")
    assert run("halt", "--status").out == f"{words(ledger)}\n"
    run("resume", "--reason", "mended")
    assert run("halt", "--status", "--json").json == {"halted": False, "halt": None}
    assert len(written(ledger)) == 2


def test_with_nothing_halted_there_is_nothing_to_resume(run: Run, ledger: Ledger, key: Signer) -> None:
    ran = run("resume", "--reason", "mended")
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing is halted.\n")
    assert written(ledger) == []


@pytest.mark.parametrize("command", [("list",), ("show", "i-0a")])
def test_whoever_looks_at_cases_is_told_first(run: Run, ledger: Ledger, key: Signer, command: tuple[str, ...]) -> None:
    open_case(ledger)
    assert run("cases", *command).err == ""
    run("halt", *WHY, "--as", "jane")
    assert run("cases", *command).err == f"⛔ {words(ledger)}; nothing is changed until: runbooks resume\n"
    assert isinstance(run("cases", *command, "--json").json, list | dict)
    run("resume", "--reason", "mended")
    assert run("cases", *command).err == ""


def test_the_channel_is_told_of_both(run: Run, ledger: Ledger, key: Signer, workspace: Workspace) -> None:
    run("halt", *WHY, "--as", "jane")
    run("resume", "--reason", "mended", "--as", "joe")
    halted, resumed = (message.text for message in workspace.messages)
    assert halted == f"⛔ Everything is {words(ledger)}. Nothing is changed until it is resumed."
    assert resumed == "▶️ Changes are made again: resumed by joe: mended"


def test_it_halts_though_slack_is_away(run: Run, ledger: Ledger, key: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_SLACK_URL", "http://127.0.0.1:9/api/")
    monkeypatch.setenv("RUNBOOKS_SLACK_TOKEN", TOKEN)
    ran = run("halt", *WHY)
    assert ran.code == 0
    assert "Slack was not told (slack-unreachable: " in ran.err
    assert len(written(ledger)) == 1
