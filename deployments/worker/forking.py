"""The worker's end of the template: start it, ask it for runs, replace it when the code has changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from deployments.worker.template import STALE

GONE = "the template process ended"
LOOK_EVERY = 0.25
UNKNOWN_EXIT = 1
"""Of a run whose template was killed. Prefect takes it for a crash unless the run has said how it ended."""


class Refused(Exception):
    """No run was forked; a fresh process is the way."""


@dataclass
class ForkedRun:
    """One flow run's process, a child of the template. `pid` and `returncode` are what Prefect looks at."""

    pid: int
    lines: asyncio.StreamReader
    writer: asyncio.StreamWriter
    returncode: int | None = None

    async def wait(self) -> int:
        """Stay until it has ended, and give its exit code; negative: the signal that ended it."""
        try:
            line = await self.lines.readline()
            ended = json.loads(line)["exit"] if line else await self._watched()
        finally:
            self.writer.close()
        self.returncode = ended
        return ended

    def kill(self) -> None:
        """End it and what it started, without a word."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    async def _watched(self) -> int:
        """The template is gone, the run need not be: it is an orphan now, and nobody will say its exit code."""
        while _lives(self.pid):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)
        return UNKNOWN_EXIT


class Template:
    """The template process, started again when it is gone or its code is old."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._left: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def fork(self, env: Mapping[str, str], cwd: Path) -> ForkedRun:
        """A new process that runs what this environment names. Raises `Refused`."""
        request = json.dumps({"env": dict(env), "cwd": str(cwd)}).encode() + b"\n"
        self._left = [each for each in self._left if each.poll() is None]
        why = ""
        for _ in range(2):  # The first may be gone, or of old code; the second is of today's.
            control = self.start() if self._control is None else self._control
            answer, lines, writer = await _ask(control, request)
            if "pid" in answer:
                return ForkedRun(answer["pid"], lines, writer)
            writer.close()
            why = answer.get("refused", GONE)
            if why in (GONE, STALE) and self._control is control:
                self.stop()
        raise Refused(why)

    def start(self) -> socket.socket:
        """Start it. It takes requests at once, and answers when it has imported everything (2 to 4 s)."""
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-m", "deployments.worker.template", str(theirs.fileno())),
                env=self.environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return self._control

    def stop(self) -> None:
        """Let it go: it leaves when the last of its runs has ended."""
        if self._control:
            self._control.close()
        if self._process:
            self._left.append(self._process)
        self._process = self._control = None


async def _ask(
    control: socket.socket, request: bytes
) -> tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]:
    """What is answered on a connection of its own, and that connection. Nothing, when the template is gone."""
    ours, theirs = socket.socketpair()
    lines, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        with theirs:
            socket.send_fds(control, [b"."], [theirs.fileno()])
        writer.write(request)
        line = await lines.readline()
    except OSError:
        return {}, lines, writer
    return json.loads(line or b"{}"), lines, writer


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
