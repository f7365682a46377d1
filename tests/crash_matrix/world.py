"""One world: the sandbox and Prefect's API in this process, the ledger on disk, and the processes that act in it.

A world is copied by forking the process it lives in. Only one of the copies serves at a time, so they share addresses.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from deployments.sandbox.github import Hub, github_app
from deployments.sandbox.jira import jira_app
from deployments.sandbox.jira_site import Site
from deployments.sandbox.server import AwsServer, listen
from deployments.sandbox.slack import slack_app
from deployments.sandbox.slack_workspace import Workspace
from tasks.gateways.ledger import Ledger
from tests.crash_matrix.far_end import Breakable, BreakableCloud, github_name, jira_name, prefect_name, slack_name
from tests.crash_matrix.line import Blow, Event, Line
from tests.crash_matrix.moment import Moment
from tests.crash_matrix.prefect_api import PrefectServer, prefect_app
from tests.crash_matrix.stories import Story

_sleep = time.sleep


class Addresses:
    """Where the worlds of this process, and of its copies, are found."""

    def __init__(self) -> None:
        self._aws, self._services = listen("127.0.0.1", 0), listen("127.0.0.1", 0)

    @property
    def aws(self) -> str:
        return _url(self._aws)

    @property
    def services(self) -> str:
        """Slack, Jira, GitHub and Prefect's API, each under its name."""
        return _url(self._services)

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self._aws.dup(), self._services.dup()


class World:
    """Everything that lives on when a process dies."""

    def __init__(self, addresses: Addresses, folder: Path, story: Story) -> None:
        folder.mkdir()
        self.addresses = addresses
        self.folder = folder
        self.story = story
        self.moment = Moment()
        self.line = Line()
        self.cloud = BreakableCloud(self.line, self.moment, story.subject)
        self.cloud.reset()
        self.slack = Workspace(clock=self.moment)
        self.jira = Site(clock=self.moment)
        self.prefect = PrefectServer(self.moment)
        self.built = story.subject.furnish(self.cloud)
        self._stop: Callable[[], None] = lambda: None

    def serve(self) -> None:
        """Be there for the processes."""
        aws_socket, services_socket = self.addresses.sockets()
        aws = AwsServer(self.cloud, aws_socket)
        services = uvicorn.Server(
            uvicorn.Config(self._services(), log_level="critical", access_log=False, lifespan="off")
        )
        thread = threading.Thread(target=services.run, args=([services_socket],), daemon=True)
        aws.start()
        thread.start()
        while not services.started:
            _sleep(0.001)

        def stop() -> None:
            services.should_exit = True
            thread.join()
            aws.stop()

        self._stop = stop

    def rest(self) -> None:
        """Be there no more, so that a copy can be."""
        self._stop()

    def part(self, folder: Path) -> None:
        """In a forked process: from here on nothing is shared with the world that this one is a copy of."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*-shm", "output.txt", "responses"))
        self.folder = folder
        self.moment.part()
        self.serve()

    def run(self, program: Callable[[World], None], blow: Blow | None = None) -> tuple[int, list[Event]]:
        """Run a program in a process of its own; gives its exit code, -9 when it was killed, and what it did."""
        with self.line.with_process(blow):
            _, status = os.waitpid(self.begin(program), 0)
        return os.waitstatus_to_exitcode(status), self.line.events

    def begin(self, program: Callable[[World], None]) -> int:
        """Begin a program in a process of its own; gives its id. It waits until the line knows it."""
        gate, opened = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(opened)
            os.read(gate, 1)
            _become(program, self)
        self.line.joined(child)
        os.close(gate)
        os.close(opened)
        return child

    def rehearse(self, program: Callable[[World], None]) -> tuple[int, list[Event]]:
        """Run a program in this very process: what it loads, every later one has loaded."""
        with self.line.with_process():
            program(self)
        return 0, self.line.events

    def ledger(self) -> Ledger:
        """As whoever looks afterwards opens it."""
        return Ledger.open(f"sqlite:///{self.folder / 'ledger.db'}", clock=self.moment.now)

    def _services(self) -> Starlette:
        slack = Breakable(slack_app(self.slack), self.line, slack_name)
        jira = Breakable(jira_app(self.jira), self.line, jira_name)
        github = Breakable(github_app(Hub(self.cloud)), self.line, github_name)
        prefect = Breakable(prefect_app(self.prefect), self.line, prefect_name)
        mounted = {"/slack": slack, "/jira": jira, "/github": github, "/prefect/api": prefect}
        return Starlette(routes=[Mount(path, application) for path, application in mounted.items()])


def _become(program: Callable[[World], None], world: World) -> None:
    """What the process does from its first moment to its last; it never comes back."""
    code = 1
    gc.disable()
    try:
        log = os.open(world.folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        program(world)
        code = 0
    finally:
        os._exit(code)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{host}:{port}"
