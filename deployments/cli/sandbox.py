"""`runbooks sandbox`: AWS, Slack, Jira and GitHub on this machine, to try things on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from deployments.cli.opening import read_settings
from deployments.cli.output import Json, data, lines, say

Port = Annotated[int, Parameter(help="0 takes a free one.", show_default=False, validator=Number(gte=0, lte=65535))]

JIRA_USER = "runbooks@example.com"
"""The one login of the sandbox's Jira site."""

app = App(
    name="sandbox",
    help_epilogue="""\
Examples:

  runbooks sandbox start
  runbooks sandbox start --aws-port 5555 --addresses sandbox.json
""",
)


@app.command
def start(
    *,
    aws_port: Port = 0,
    slack_port: Port = 0,
    jira_port: Port = 0,
    github_port: Port = 0,
    addresses: Path | None = None,
    as_json: Json = False,
) -> None:
    """Start the sandbox, print the environment to use it with, and run until Ctrl-C.

    Args:
        addresses: File that the addresses are written to; without it, one in the home folder.
    """
    from deployments.processes import Service, Stack, inherited

    folder = read_settings().home.resolve() / "sandbox"
    file = (addresses or folder / "addresses.json").resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # an old one would say that it is ready
    ports = {
        "--port": aws_port,
        "--slack-port": slack_port,
        "--jira-port": jira_port,
        "--github-port": github_port,
    }
    command = (sys.executable, "-m", "deployments.sandbox.server", "--addresses", str(file))
    options = (word for name, port in ports.items() for word in (name, str(port)))
    with Stack(folder) as stack:
        stack.start(Service("sandbox", (*command, *options), inherited(), file.exists))
        _show(json.loads(file.read_text(encoding="utf-8")), as_json=as_json)
        say(f"The sandbox runs until Ctrl-C. Its addresses are in {file}, its log is {stack.log('sandbox')}.")
        stack.wait()


def _show(addresses: dict[str, str], *, as_json: bool) -> None:
    environment = environment_for(addresses)
    if as_json:
        data({"addresses": addresses, "environment": environment})
    else:
        lines(*(f"export {name}={value}" for name, value in environment.items()))
    sys.stdout.flush()
    say(f"Furnish it: curl -d '{{\"finding\": ...}}' {addresses['aws']}/sandbox/furnish")


def environment_for(addresses: dict[str, str]) -> dict[str, str]:
    """The settings that have this system, and the AWS command line, use the sandbox at these addresses."""
    from deployments.sandbox import github, jira_site, slack_workspace

    return {
        "AWS_ENDPOINT_URL": addresses["aws"],
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "RUNBOOKS_SLACK_URL": addresses["slack"],
        "RUNBOOKS_SLACK_TOKEN": slack_workspace.TOKEN,
        "RUNBOOKS_JIRA_SERVER": addresses["jira"],
        "RUNBOOKS_JIRA_USER": JIRA_USER,
        "RUNBOOKS_JIRA_TOKEN": jira_site.TOKEN,
        "RUNBOOKS_GITHUB_API": addresses["github"],
        "RUNBOOKS_GITHUB_TOKEN": github.TOKEN,
        "RUNBOOKS_MAXIMUM_LOOK_SECONDS": "5",
        "RUNBOOKS_REQUEST_RATE_FACTOR": "0",
    }
