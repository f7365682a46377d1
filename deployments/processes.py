"""Child processes that never outlive what started them.

Every child of a `Stack` carries the stack's mark in its environment, and so does whatever the child starts, wherever
that moves (Prefect's flow runs sit in sessions of their own). At the end everything with the mark is ended: by the
stack itself when it leaves normally, by an error or by a signal; by its guard, a process that only waits for the stack
to be gone, when it was killed. Nothing is ever ended by name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import psutil

from runbooks.errors import Outside

MARK = "RUNBOOKS_STACK"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_EVERY = 0.1
FIRST_RESTART_DELAY, LONGEST_RESTART_DELAY, STEADY_AFTER = 0.5, 30.0, 60.0

Progress = Callable[[str, float, bool], None]
"""Told a service's name, the seconds since its start and whether it is ready, ten times a second, for a display."""


@dataclass(frozen=True)
class Service:
    """One child: its command, the whole of its environment, and how to tell that it is ready (within seconds)."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    restart: bool = False
    ready_within: float = 60.0
    directory: Path | None = None


@dataclass
class _Child:
    service: Service
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    restarts: int = 0
    restart_at: float | None = None

    def living(self) -> list[psutil.Process]:
        """This child and its descendants, as far as they are alive."""
        if self.process.poll() is not None:
            return []
        try:
            root = psutil.Process(self.process.pid)
            return [process for process in (root, *root.children(recursive=True)) if _alive(process)]
        except psutil.NoSuchProcess:
            return []


class Stack:
    """The children of one command. Their output goes to `folder/logs/NAME.log`.

    Used as a context manager, from the main thread. Inside, SIGINT, SIGTERM and SIGHUP leave by `SystemExit` with 128
    and the signal's number (Ctrl-C: 130), without a traceback; a second one while the children are being ended kills
    them at once.
    """

    def __init__(self, folder: Path, *, patience: float = 10.0) -> None:
        self.folder = folder
        self.patience = patience
        self.mark = uuid.uuid4().hex
        self._children: list[_Child] = []
        self._failure: Outside | None = None
        self._hurry = False
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="stack", daemon=True)

    def __enter__(self) -> Self:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._before = {number: signal.signal(number, self._leave) for number in SIGNALS}
        self._guard = subprocess.Popen(
            (sys.executable, "-m", __spec__.name, self.mark),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number in SIGNALS:
            signal.signal(number, self._make_haste)
        self._stopping.set()
        self._watcher.join()
        for child in reversed(self._children):
            end(child.living, self.patience, lambda: self._hurry)
        end(lambda: marked(self.mark), self.patience, lambda: self._hurry)
        self._guard.communicate(b"ended")
        for child in self._children:
            child.process.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, *services: Service, progress: Progress | None = None) -> None:
        """Start these side by side and return when all are ready.

        Raises `Outside` with the service's name, the reason and the end of its log (code `service-failed` or
        `service-not-ready`).
        """
        started = [_Child(service, self._spawn(service, "wb")) for service in services]
        self._children += started
        while waiting := [child for child in started if not child.ready]:
            for child in waiting:
                child.ready = self._is_ready(child)
                if progress:
                    progress(child.service.name, time.monotonic() - child.started, child.ready)
            self.check()
            time.sleep(LOOK_EVERY)

    def check(self) -> None:
        """Raise `Outside` (code `service-failed`) when a service that is not restarted has ended."""
        if self._failure:
            raise self._failure

    def wait(self) -> None:
        """Stay until a signal comes (`SystemExit`) or a service that is not restarted ends (`Outside`)."""
        while True:
            self.check()
            time.sleep(LOOK_EVERY)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _spawn(self, service: Service, mode: str) -> subprocess.Popen[bytes]:
        with self.log(service.name).open(mode) as log:
            return subprocess.Popen(
                service.command,
                env={**service.env, MARK: self.mark},
                cwd=service.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self, child: _Child) -> bool:
        # Whether it lives is asked first: something else may answer on the port that this child did not get.
        if (code := child.process.poll()) is not None:
            raise self._failed(child, f"ended with exit code {code} before it was ready", "service-failed")
        if child.service.ready():
            return True
        if time.monotonic() - child.started > child.service.ready_within:
            raise self._failed(child, f"was not ready within {child.service.ready_within:g} s", "service-not-ready")
        return False

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            for child in tuple(self._children):
                if not child.ready or (code := child.process.poll()) is None:
                    continue
                if child.service.restart:
                    self._restart_when_due(child)
                elif not self._failure:
                    self._failure = self._failed(child, f"ended with exit code {code}", "service-failed")

    def _restart_when_due(self, child: _Child) -> None:
        now = time.monotonic()
        if child.restart_at is None:
            child.restarts = 0 if now - child.started > STEADY_AFTER else child.restarts + 1
            child.restart_at = now + min(FIRST_RESTART_DELAY * 2**child.restarts, LONGEST_RESTART_DELAY)
        elif now >= child.restart_at:
            child.process, child.started, child.restart_at = self._spawn(child.service, "ab"), now, None

    def _failed(self, child: _Child, reason: str, code: str) -> Outside:
        log = self.log(child.service.name)
        return Outside(f"{child.service.name} {reason}. The end of {log}:\n{tail(log)}", code=code)

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _make_haste(self, _number: int, _frame: FrameType | None) -> None:
        self._hurry = True


def end(
    find: Callable[[], Iterable[psutil.Process]], patience: float, hurry: Callable[[], bool] = lambda: False
) -> None:
    """Ask every process that `find` finds to end; kill what is left after `patience` seconds, or at once in a hurry."""
    asked: set[int] = set()
    kill_at = time.monotonic() + patience
    while (left := list(find())) and time.monotonic() < kill_at + patience:
        kill = hurry() or time.monotonic() > kill_at
        for process in left:
            if kill or process.pid not in asked:
                asked.add(process.pid)
                _send(process, signal.SIGKILL if kill else signal.SIGTERM)
        time.sleep(LOOK_EVERY / 2)


def marked(mark: str) -> list[psutil.Process]:
    """Every living process that carries the mark, whichever session it moved to and whoever its parent is now."""
    return [process for process in psutil.process_iter() if _mark_of(process) == mark and _alive(process)]


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def inherited(*, without: Sequence[str] = ()) -> dict[str, str]:
    """This process's environment, less the variables with one of these prefixes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(tuple(without))}


def free_port(wanted: int | None = None) -> int:
    """A port of the loopback interface that nothing listens on: the wanted one, or any.

    Raises `Outside` (code `port-busy`) when the wanted one is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it, connections of a server that just ended would keep its port busy for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            raise Outside(f"port {wanted} is in use or not allowed ({error.strerror})", code="port-busy") from error
        return probe.getsockname()[1]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _stand_guard(mark: str) -> None:
    """Wait until the stack is gone, and end what it left unless it said that it left nothing."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if not sys.stdin.buffer.read():
        end(lambda: marked(mark), patience=5)


if __name__ == "__main__":
    _stand_guard(sys.argv[1])
