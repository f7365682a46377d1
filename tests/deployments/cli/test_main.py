"""What holds for every command: help, exit codes, errors on one line, and a quick start."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.cli.exits import exit_code_of
from deployments.cli.main import COMMANDS, DEMO
from runbooks.catalog import Catalog
from tests.deployments.cli.conftest import Run
from tests.deployments.cli.samples import EVENTS

HEAVY = ("alembic", "boto3", "botocore", "fastapi", "httpx", "moto", "prefect", "sqlalchemy", "uvicorn")
REPORT = """
import sys
from deployments.cli.main import main
code = main(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules} & set(%r)), file=sys.stderr)
"""
NOUNS = {
    "library": ("list", "show", "validate"),
    "cases": ("list", "show"),
    "audit": ("show", "verify", "rebuild"),
    "inbox": ("list", "show"),
    "approvers": ("add", "list", "revoke", "unlock"),
    "sandbox": ("start",),
}
LEAVES = [(noun, verb) for noun, verbs in NOUNS.items() for verb in verbs]
SINGLE = [(name,) for name in (*COMMANDS, "demo") if name not in NOUNS]


def runbooks(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "deployments.cli.main", *arguments)
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def at_a_terminal(*arguments: str, **environment: str) -> str:
    """What the command prints where its output is a terminal."""
    ours, theirs = pty.openpty()
    process = runbooks(*arguments, stdout=theirs, env={**os.environ, "TERM": "xterm-256color", **environment})
    os.close(theirs)
    said = b""
    try:
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:
        pass  # Linux says EIO when the other end is closed
    process.communicate()
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["parse", str(EVENTS / "ec2_package_event.json")], 0),
        (["parse", "--help"], 0),
        (["library", "list"], 0),
        (["library", "validate"], 0),
        (["plan", "--help"], 0),
        (["cases", "--help"], 0),
        (["lbrary"], 2),
    ],
)
def test_help_parse_and_library_start_without_the_heavy_libraries(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        (sys.executable, "-c", REPORT % (HEAVY,), *arguments), capture_output=True, text=True, check=True
    )

    assert done.stderr.splitlines()[-1] == str(code)


@pytest.mark.parametrize("command", [*SINGLE, *LEAVES], ids=" ".join)
def test_every_command_says_what_it_is_for_with_examples(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command, "--help")

    assert ran.code == 0
    assert f"Usage: runbooks {' '.join(command)}" in ran.out
    assert "Examples:" in ran.out
    assert f"runbooks {command[0]}" in ran.out.partition("Examples:")[2]
    assert ran.err == ""


def test_the_first_help_names_every_command_and_every_exit_code(run: Run) -> None:
    ran = run("--help")

    assert all(f"\n  {name:12} {words}\n" in ran.out for name, words in {**COMMANDS, "demo": DEMO}.items())
    assert "\n  --home PATH  Folder of the ledger" in ran.out
    assert "0    done\n  1    it ran, and the answer is no\n  2    bad input\n  3    something outside" in ran.out
    assert (ran.code, ran.err, run(), run("-h")) == (0, "", ran, ran)


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pasre", "x"], 'error: usage: Unknown command "pasre". Did you mean "parse"? See runbooks --help.'),
        (["cases", "lsit"], 'error: usage: Unknown command "lsit". Did you mean "list"? See runbooks cases --help.'),
        (["cases", "list", "--bogus"], "error: usage: Unknown option: --bogus. See runbooks cases list --help."),
        (["zzz"], 'error: usage: Unknown command "zzz". See runbooks --help.'),
    ],
)
def test_a_misuse_is_bad_input_on_one_line(run: Run, arguments: list[str], told: str) -> None:
    ran = run(*arguments)

    assert (ran.code, ran.out, ran.err) == (2, "", told + "\n")


@pytest.mark.parametrize("option", ["--aws-port", "--slack-port", "--jira-port", "--github-port"])
@pytest.mark.parametrize("port", ["99999", "65536", "-1"])
def test_a_port_that_does_not_exist_is_bad_input(run: Run, home: Path, option: str, port: str) -> None:
    ran = run("sandbox", "start", f"{option}={port}")

    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert ran.err.startswith(f'error: usage: Invalid value "{port}" for {option}.')
    assert not home.exists()


def test_a_missing_or_a_superfluous_argument_is_bad_input(run: Run) -> None:
    assert [run(*each).code for each in (["parse"], ["parse", "a", "b"], ["--home"])] == [2, 2, 2]


def test_a_defect_is_one_line_and_its_traceback_is_there_for_who_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code_of(lambda: {}["missing"]) == 3
    assert capsys.readouterr().err == "error: defect: KeyError: 'missing' (RUNBOOKS_DEBUG=1 shows the traceback)\n"

    monkeypatch.setenv("RUNBOOKS_DEBUG", "1")
    assert exit_code_of(lambda: {}["missing"]) == 3
    assert capsys.readouterr().err.startswith("Traceback (most recent call last):\n")


def test_a_setting_out_of_bounds_is_bad_input_and_its_value_is_not_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOKS_SLACK_URL", "xoxb-pasted-into-the-wrong-place")

    ran = run("library", "list")

    assert ran.code == 2
    assert ran.err == ("error: invalid-setting: RUNBOOKS_SLACK_URL: must begin with http:// or https://\n")


def test_home_may_stand_anywhere_and_comes_before_the_environment(run: Run, tmp_path: Path) -> None:
    for arguments in (["--home", tmp_path / "a", "inbox", "list"], ["inbox", "list", "--home", tmp_path / "a"]):
        ran = run(*arguments)
        assert ran.code == 2
        assert ran.err.startswith(f"error: no-ledger: there is no ledger at {tmp_path}/a/ledger.db; ")


def test_a_reader_who_leaves_early_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = runbooks("library", "list", "--json", stdout=writing)
    os.close(writing)

    assert process.communicate()[1] == ""
    assert process.returncode == 141


def test_a_pipe_gets_no_colours_and_a_terminal_does_unless_it_is_told_not_to() -> None:
    piped = runbooks("library", "list", stdout=subprocess.PIPE).communicate()[0]

    assert "\x1b" not in piped
    shipped = [runbook.name for runbook in Catalog.read()]
    assert [line.split("\t")[0] for line in piped.splitlines()] == ["NAME", *shipped]
    coloured = at_a_terminal("library", "show", "ec2-package-cve", "--help")
    plain = at_a_terminal("library", "show", "ec2-package-cve", "--help", NO_COLOR="1")
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in plain
