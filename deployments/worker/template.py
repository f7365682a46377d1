"""The process that flow runs are forked from: it has imported Prefect and the flows, and does nothing but fork.

    python -P -m deployments.worker.template FD

`FD` is a Unix socket. Each byte that comes over it brings one more socket, for one run: on it one line of JSON with
`env` (the whole of it) and `cwd` is read, and lines of JSON are answered: `pid` by the run itself, which from there on
is what `python -m prefect.engine` is, and `exit` when it has ended (negative: by that signal); or `refused`, with why.

A fork copies the thread that forks and no other, with every lock and connection as it is just then. So nothing here has
a thread, a loop or a connection; where that does not hold, or the code on disk is not what was imported, it refuses.
Closing `FD` is how it is told to leave: it does when the last of its runs has ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import psutil

from tasks import program

STALE = "the code on disk is not what was imported"
IMPORTED_LATER = ("prefect.flow_engine", "anyio._backends._asyncio", "anyio.streams.tls", "boto3")
"""What a run imports only when it has begun, and each run would anew."""
_QUIET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Serve until told to leave; in each child: become the run."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for number in _QUIET:
        signal.signal(number, signal.SIG_IGN)
    program.code_digest()  # Before anything is imported: what changes meanwhile shows at the first fork.
    load()
    if (request := Template(control).serve()) is not None:
        become(request)


def load() -> None:
    """Import what every run needs, and set it aside for good: a collection in a child would copy all of it."""
    import flows
    import tasks.playbooks

    for name in IMPORTED_LATER:
        importlib.import_module(name)
    for package in (flows, tasks.playbooks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def obstacle() -> str:
    """Why this process must not be forked just now; empty where it may."""
    here = psutil.Process()
    if (threads := here.num_threads()) != 1:
        names = ", ".join(each.name for each in threading.enumerate())
        return f"{threads} threads run where there must be one: {names}"
    if connections := here.net_connections():
        return f"{len(connections)} connections are open"
    return "" if program.digest_on_disk() == program.code_digest() else STALE


@dataclass
class Template:
    """What the forking process holds: the socket that requests come by, and one for each run that has not ended."""

    control: socket.socket
    runs: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])

    def serve(self) -> dict[str, Any] | None:
        """Fork for each request. In a child: its request. In this process, when it has nothing left to do: None."""
        ended, wake = socket.socketpair()
        wake.setblocking(False)  # noqa: FBT003
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector, ended, wake:
            selector.register(self.control, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            told_to_leave = False
            while self.runs or not told_to_leave:
                ready = [key.fileobj for key, _ in selector.select()]
                if ended in ready:
                    ended.recv(4096)
                    self._reap()
                if self.control in ready:
                    byte, given, _, _ = socket.recv_fds(self.control, 1, 1)
                    if not byte:
                        told_to_leave = True
                        selector.unregister(self.control)
                    elif given and (request := self._answer(socket.socket(fileno=given[0]))) is not None:
                        signal.set_wakeup_fd(-1)
                        return request
        return None

    def _answer(self, connection: socket.socket) -> dict[str, Any] | None:
        """Fork, or refuse. The request is what is returned in the child."""
        with connection.makefile() as lines:
            line = lines.readline()
        if not line.endswith("\n"):  # Whoever asked is gone.
            connection.close()
            return None
        if why := obstacle():
            return _refuse(connection, why)
        # Until the child has handlers of its own, a signal to it waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _QUIET)
        try:
            child = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _QUIET)
            return _refuse(connection, f"no process could be forked: {error.strerror}")
        if child == 0:
            self._leave_the_template(connection)
            return json.loads(line)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _QUIET)
        self.runs[child] = connection
        return None

    def _leave_the_template(self, connection: socket.socket) -> None:
        """In the child: a session of its own, a word to whoever asked, and nothing of the template is kept."""
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _QUIET)
        _say(connection, {"pid": os.getpid()})
        for each in (*self.runs.values(), connection, self.control):
            each.close()

    def _reap(self) -> None:
        while self.runs:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            with self.runs.pop(child) as connection:
                _say(connection, {"exit": os.waitstatus_to_exitcode(status)})


def become(request: dict[str, Any]) -> None:
    """Be what `python -m prefect.engine` is in this folder with this environment."""
    engine = sys.modules["prefect.engine"].__file__
    assert engine
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path.insert(0, request["cwd"])
    sys.argv = [engine]
    runpy.run_path(engine, run_name="__main__")


def _refuse(connection: socket.socket, why: str) -> None:
    with connection:
        _say(connection, {"refused": why})


def _say(connection: socket.socket, answer: dict[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(answer).encode() + b"\n")
    except OSError:
        return  # Whoever asked is gone; the run goes on, and Prefect hears of it from the run itself.


if __name__ == "__main__":
    main()
