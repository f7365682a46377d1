"""`runbooks demo`: the whole way of a finding, in the sandbox, with no account."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

if TYPE_CHECKING:
    from deployments.demo.report import Report
    from deployments.local import Local

FOLDER = Path("demo-output")
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def demo(
    *,
    interactive: Flag = False,
    keep: Flag = False,
    event: Path | None = None,
    json: Flag = False,
    reject: Flag = False,
    folder: Path | None = None,
) -> int:
    """Show a finding on its way to a proven fix: alert, triage, contain, patch, verify, release, write up.

    Args:
        interactive: Wait for you to answer the approval form in the browser.
        keep: Leave the services up at the end, until Ctrl-C.
        event: A file with an Inspector event to play; the sandbox is furnished to match it.
        json: Print one JSON object on standard output, and nothing else.
        reject: Play an operator who rejects.
        folder: Where the ledger, the post-mortem and the logs go; a new folder under demo-output by default.
    """
    from deployments.demo.events import furnish, read_event
    from deployments.local import Local
    from deployments.processes import Stack

    now = datetime.now(UTC)
    payload = read_event(event, now)
    where = (folder or FOLDER / now.strftime("%Y%m%d-%H%M%S")).resolve()
    where.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=json, quiet=json and not sys.stderr.isatty(), highlight=False)
    local = Local(where)
    with Stack(where) as stack:
        with console.status("Starting the sandbox: AWS, Slack and Jira on this machine") as status:
            local.start_sandbox(stack)
            bucket = furnish(local.aws, payload, known_exploited=event is None)
            status.update("Starting Prefect, the receiver and the sweep (about 20 s)")
            local.start_product(stack, bucket)
        introduce(console, local)
        report = _play(console, stack, local, payload, told=not json, interactive=interactive, reject=reject)
        _conclude(console, local, report)
        if json:
            sys.stdout.write(report.model_dump_json() + "\n")
        if keep:
            console.print(f"\nEverything stays up until Ctrl-C: Prefect at {local.prefect}")
            stack.wait()
    return 0 if report.good or reject else 1


def introduce(console: Console, local: Local) -> None:
    console.print("Everything runs on this machine; AWS, Slack and Jira are the sandbox's.")
    console.print(f"  Prefect   {local.prefect}")
    console.print(f"  Receiver  {local.receiver}/openapi.json")
    console.print(f"  Slack     {local.slack.removesuffix('api/')}   Jira  {local.jira}")


def _play(
    console: Console,
    stack: Any,
    local: Local,
    payload: dict[str, Any],
    *,
    told: bool,
    interactive: bool,
    reject: bool,
) -> Report:
    from deployments.demo.demonstration import Demonstration
    from deployments.demo.operator import Operator
    from deployments.demo.story import Story
    from tasks.gateways.ledger import Ledger

    operator = (
        None
        if interactive
        else Operator(local.prefect, local.authenticators, decision="reject" if reject else "approve")
    )
    ledger = Ledger.open(local.ledger)
    with console.status("Delivering the event") if console.is_terminal else nullcontext() as status:
        progress = status.update if status else lambda words: None
        story = Story(console, local.prefect) if told or interactive else None
        try:
            return Demonstration(stack, local, ledger, story, operator, progress).run(payload)
        finally:
            ledger.close()
            if operator:
                operator.close()


def _conclude(console: Console, local: Local, report: Report) -> None:
    console.print()
    console.rule("[bold]Where to look", align="left")
    if report.verdict is None:
        console.print(f"Nothing was judged: {report.reason}")
    here = Path.cwd()
    name = local.folder.relative_to(here) if local.folder.is_relative_to(here) else local.folder
    runbooks = f".venv/bin/runbooks --home {name}"
    if report.case:
        console.print(f"  {runbooks} cases show {report.case}")
        console.print(f"  {runbooks} audit show {report.case}")
    console.print(f"  {runbooks} audit verify")
    for file in sorted(local.folder.glob("responses/*/*.md")):
        console.print(f"  {name / file.relative_to(local.folder)}")
    console.print(f"The ledger has {report.ledger['entries']} entries, verified: {report.ledger['verified']}.")
