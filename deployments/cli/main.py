"""The `runbooks` command. Each command is imported when it is called, so that help and reading stay quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from deployments.cli.exits import exit_code_of
from deployments.cli.output import lines

HELP = """\
Amazon Inspector says what is vulnerable; this gets it fixed, and proves it.

For example:
  runbooks parse finding.json               what a payload is taken for
  runbooks plan finding.json                what would be done about it
  runbooks respond finding.json --wait      do it, and follow it to its end
  runbooks cases show i-0123456789abcdef0   what was done, what comes next
  runbooks audit verify                     is the record as it was written?

Exit codes:
  0    done
  1    it ran, and the answer is no
  2    bad input
  3    something outside failed
  130  stopped by Ctrl-C

Data goes to standard output, talk to standard error. NO_COLOR turns colours
off. RUNBOOKS_DEBUG=1 shows tracebacks. Settings are environment variables
named RUNBOOKS_...
"""

COMMANDS = {
    "parse": "What a payload is taken for.",
    "library": "The runbooks there are, and whether they are valid.",
    "plan": "What would be done about a finding. Changes nothing.",
    "respond": "Have a finding dealt with.",
    "verify": "Have Inspector look again at a case, and judge it.",
    "release": "End the containment of a case, after a person's yes.",
    "approve": "Say yes to the plan that a case waits with.",
    "reject": "Say no to the plan that a case waits with.",
    "approvers": "Who may say yes: add, list, revoke, unlock.",
    "waves": "How the waves of a response stand; hold the next one back.",
    "halt": "Stop every change at once.",
    "resume": "Let changes be made again.",
    "gate": "May this image, or what this SBOM lists, go on? For pipelines.",
    "doctor": "Is it safe and able to run like this?",
    "cases": "What is going on, and what was done.",
    "audit": "The record itself: read it, verify it.",
    "inbox": "What was delivered, and what was set aside.",
    "receiver": "Serve the webhook that EventBridge calls.",
    "consumer": "Take messages from an SQS queue into the inbox.",
    "sweep": "Keep every response moving; runs until it is stopped.",
    "worker": "Run the flows; runs until it is stopped.",
    "sandbox": "A small AWS, Slack and Jira on this machine.",
}
"""Name -> what it is for. Each is the `app` of the module of its name."""
DEMO = "The whole way of a finding, in the sandbox."
HOME = "Folder of the ledger and of what is written; as RUNBOOKS_HOME."


def _version() -> str:
    from importlib.metadata import version  # with it comes what reads mail

    return version("remediation-runbooks")


app = App(
    name="runbooks",
    help=HELP,
    help_format="plaintext",
    version=_version,
    result_action="return_value",
)
for name, words in COMMANDS.items():
    app.command(f"deployments.cli.{name}:app", name=name, help=words)
app.command(
    "deployments.cli.demo:demo",
    name="demo",
    help=DEMO,
    help_epilogue="Examples:\n\n  runbooks demo\n  runbooks demo --interactive --keep\n",
)


@app.meta.default
def _with_global_options(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, Parameter(help=HOME)] = None,
) -> Any:
    if home is not None:
        os.environ["RUNBOOKS_HOME"] = str(home)
    return app(tokens, exit_on_error=False, print_error=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and give its exit code. Nothing is raised but what ends a process at once."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given in ([], ["--help"], ["-h"]):
        return exit_code_of(_overview)
    return exit_code_of(
        lambda: app.meta(given, exit_on_error=False, print_error=False, result_action="return_value"),
    )


def _overview() -> None:
    """What there is. Cyclopts would say the same, and bring Rich with it, which takes longer than everything else."""
    options = {
        "--home PATH": HOME,
        "--version": "Which version this is.",
        "-h, --help": "This; behind a command, its own.",
    }
    lines("Usage: runbooks COMMAND [OPTIONS]", "", *HELP.splitlines())
    for title, named in (("Commands", {**COMMANDS, "demo": DEMO}), ("Options", options)):
        lines("", f"{title}:", *(f"  {name:12} {words}" for name, words in sorted(named.items())))


if __name__ == "__main__":
    sys.exit(main())
