"""One world: the sandbox and Prefect's API in this process, the ledger on disk, and the processes that act in it.

A world is copied by forking the process it lives in: then it parts, and has files, a time and addresses of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from deployments.sandbox.furnish import furnish
from deployments.sandbox.furnish_options import FurnishOptions
from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import Site
from deployments.sandbox.server import AwsServer, listen, serve_asgi
from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import Workspace
from tasks.gateways.ledger import Ledger
from tests.crash_matrix.far_end import Breakable, BreakableCloud, jira_name, prefect_name, slack_name
from tests.crash_matrix.line import Blow, Event, Line
from tests.crash_matrix.moment import Moment
from tests.crash_matrix.prefect_api import PrefectServer, prefect_app
from tests.crash_matrix.stories import Story
from tests.tasks.gateways.aws_world import an_event

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """Where a process finds the world."""

    folder: Path
    aws: str
    services: str


class World:
    """Everything that lives on when a process dies."""

    def __init__(self, folder: Path, story: Story) -> None:
        self.folder = folder
        self.story = story
        self.moment = Moment()
        self.line = Line()
        self.cloud = BreakableCloud(self.line, self.moment)
        self.slack = Workspace(clock=self.moment)
        self.jira = Site(clock=self.moment)
        self.prefect = PrefectServer(self.moment)
        self.built: dict[str, Any] = furnish(
            self.cloud, an_event(in_group=story.in_group), FurnishOptions.model_validate(story.options)
        )
        self._servers: list[Any] = []
        self.addresses = Addresses(folder, "", "")

    def serve(self) -> None:
        """Be there for the processes, at addresses of its own."""
        aws = AwsServer(self.cloud, listen(_LOOPBACK, 0))
        services = serve_asgi(self._services(), listen(_LOOPBACK, 0))
        self._servers += [aws, services]
        aws.start()
        services.start()
        self.addresses = Addresses(self.folder, aws.url, services.url)

    def part(self, folder: Path) -> None:
        """In a forked process: from here on nothing is shared with the world that this one is a copy of."""
        folder.mkdir()
        for file in self.folder.glob("ledger.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder / file.name)
        self.folder = folder
        self.moment.part()
        self.serve()

    def run(self, program: Callable[[World], None], blow: Blow | None = None) -> tuple[int, list[Event]]:
        """Run a program in a process of its own; gives its exit code, -9 when it was killed, and what it did."""
        with self.line.with_process(blow):
            gate, opened = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(opened)
                os.read(gate, 1)
                _become(program, self)
            self.line.joined(child)
            os.close(gate)
            os.close(opened)
            _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), self.line.events

    def ledger(self) -> Ledger:
        """As whoever looks afterwards opens it."""
        return Ledger.open(f"sqlite:///{self.folder / 'ledger.db'}", clock=self.moment.now)

    def at(self, addresses: Addresses) -> World:
        self.addresses = replace(addresses)
        return self

    def _services(self) -> Starlette:
        slack = Breakable(slack_app(self.slack), self.line, slack_name)
        jira = Breakable(jira_app(self.jira), self.line, jira_name)
        prefect = Breakable(prefect_app(self.prefect), self.line, prefect_name)
        return Starlette(
            routes=[Mount("/slack", slack), Mount("/jira", jira), Mount("/prefect/api", prefect)]
        )


def _become(program: Callable[[World], None], world: World) -> None:
    """What the process does from its first moment to its last; it never comes back."""
    code = 1
    try:
        log = os.open(world.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        program(world)
        code = 0
    finally:
        os._exit(code)
