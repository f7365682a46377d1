"""`runbooks demo`: the whole way of a finding, in the sandbox, with no account."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from runbooks.errors import BadInput

if TYPE_CHECKING:
    from deployments.demo.report import Report
    from deployments.local import Local

FOLDER = Path("demo-output")
DURATIONS = {"deployment_minute": 4.0, "network_scan": 20.0}
"""Nobody watches a demo for ten minutes of baking, or twelve hours until the next scan of the network."""
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def demo(  # noqa: PLR0913 - each is an option of the command
    *,
    interactive: Flag = False,
    keep: Flag = False,
    event: Path | None = None,
    json: Flag = False,
    reject: Flag = False,
    folder: Path | None = None,
    burst: Annotated[int | None, Parameter(validator=validators.Number(gte=2, lte=1000))] = None,
    playbook: Literal["ec2", "ecr", "lambda", "network"] = "ec2",
) -> int:
    """Show a finding on its way to a proven fix: alert, triage, contain, patch, verify, release, write up.

    Args:
        interactive: Wait for you to answer the approval form in the browser.
        keep: Leave the services up at the end, until Ctrl-C.
        event: A file with an Inspector event to play; the sandbox is furnished to match it.
        json: Print one JSON object on standard output, and nothing else.
        reject: Play an operator who rejects.
        burst: Play the vulnerability on so many instances at once: one plan, in waves, and one instance that fails.
        playbook: Which playbook is shown: of an EC2 instance, a container image, a Lambda function, or an open port.
        folder: Where the ledger, the post-mortem and the logs go; a new folder under demo-output by default.
    """
    from deployments.demo.burst import burst_of, furnish_burst, write_library
    from deployments.demo.events import DEFAULT_BUCKET, furnish, read_event
    from deployments.demo.worlds import WORLDS
    from deployments.demo.worlds import write_library as write_playbook
    from deployments.local import Local
    from deployments.processes import Stack

    world = WORLDS.get(playbook)
    if world is not None and (burst or event):
        raise BadInput(f"--playbook {playbook} has an event of its own: leave out --event and --burst", code="usage")
    now = datetime.now(UTC)
    payload = read_event(event, now)
    where = (folder or FOLDER / now.strftime("%Y%m%d-%H%M%S")).resolve()
    where.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=json, quiet=json and not sys.stderr.isatty(), highlight=False)
    events = burst_of(payload, burst) if burst else []
    library = write_library(where / "library") if burst else None
    if world is not None:
        library = write_playbook(world, where / "library")
    settings = {"RUNBOOKS_LIBRARY": str(library)} if library else {}
    local = Local(where, settings=settings, durations=DURATIONS)
    with Stack(where) as stack:
        with console.status("Starting the sandbox: AWS, Slack and Jira on this machine") as status:
            local.start_sandbox(stack)
            if world is not None:
                payload, bucket = world.furnish(local.aws), DEFAULT_BUCKET
            elif burst:
                bucket = furnish_burst(local.aws, events, status.update)
            else:
                bucket = furnish(local.aws, payload, known_exploited=event is None)
            status.update("Starting Prefect, the receiver and the sweep (about 20 s)")
            local.start_product(stack, bucket)
        introduce(console, local)
        report = _play(console, stack, local, events or payload, told=not json, interactive=interactive, reject=reject)
        _conclude(console, local, report)
        if json:
            sys.stdout.write(report.model_dump_json() + "\n")
        if keep:
            console.print(f"\nEverything stays up until Ctrl-C: Prefect at {local.prefect}")
            stack.wait()
    # One instance of a burst fails, to show that the others go on.
    good = report.good or (burst is not None and report.fixed >= report.cases - 1 > 0)
    return 0 if good or reject else 1


def introduce(console: Console, local: Local) -> None:
    console.print("Everything runs on this machine; AWS, Slack and Jira are the sandbox's.")
    console.print(f"  Prefect   {local.prefect}")
    console.print(f"  Receiver  {local.receiver}/openapi.json")
    console.print(f"  Slack     {local.slack.removesuffix('api/')}   Jira  {local.jira}")


def _play(
    console: Console,
    stack: Any,
    local: Local,
    payload: dict[str, Any] | list[dict[str, Any]],
    *,
    told: bool,
    interactive: bool,
    reject: bool,
) -> Report:
    from deployments.demo.burst import BurstStory
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
        teller = BurstStory if isinstance(payload, list) else Story
        story = teller(console, local.prefect) if told or interactive else None
        demonstration = Demonstration(stack, local, ledger, story, operator, progress)
        try:
            return demonstration.run_burst(payload) if isinstance(payload, list) else demonstration.run(payload)
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
