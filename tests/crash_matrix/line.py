"""The line between an executor and everything else: each call and each commit passes it, and one of them breaks.

Calls are counted where they arrive, commits where they are made. A process that is to die is killed with SIGKILL: by
the world while its call is under way, or by itself between a call's answer and the commit that would record it.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from runbooks.errors import LedgerError

Kind = Literal["change", "read", "commit"]
When = Literal["before it leaves", "done, answer lost", "answered, not recorded"]
How = Literal["SIGKILL", "timeout", "throttle", "5xx", "stale read", "SIGKILL then stale reads", "timeout, stale reads"]

NOT_AWS = ("slack:", "jira:", "prefect:", "ledger:")
AWS_READ_ATTEMPTS = 5
"""How often botocore asks for what only reads: a fault that lasts outlasts them."""


@dataclass(frozen=True)
class Event:
    """One call that leaves the executor, or one commit."""

    name: str
    """Such as ec2:DescribeInstances, slack:chat.postMessage, prefect:POST artifacts, ledger:intent."""
    occurrence: int
    """The how manieth of its name in its process, from 0."""
    kind: Kind
    moved: bool = False
    """Of a read of AWS: it was asked before, and was answered differently."""


@dataclass(frozen=True)
class Blow:
    """What happens to one event."""

    name: str
    occurrence: int
    when: When
    how: How


class Line:
    """One process at a time is on the line."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        """Changes that took effect, by name, since the beginning."""
        self._lock = threading.Lock()
        self._child = 0
        self.anew()

    def anew(self, blow: Blow | None = None) -> None:
        """A process joins: what it does is counted from here on, and struck once."""
        self.events: list[Event] = []
        self.blow = blow
        self.struck = False
        self._counts: Counter[str] = Counter()
        self._doomed = mmap.mmap(-1, 1)
        self._commits = Commits(self)

    @contextmanager
    def with_process(self, blow: Blow | None = None) -> Iterator[None]:
        """For as long as a process takes; what it reported is among the events afterwards."""
        self.anew(blow)
        try:
            yield
        finally:
            self.events += self._commits.reported()
            self.struck = self.struck or self._commits.struck
            self.blow = None

    @property
    def commits(self) -> Commits:
        return self._commits

    def joined(self, child: int) -> None:
        self._child = child

    def arrives(self, name: str, kind: Kind, *, moved: bool = False) -> Blow | None:
        """A call has left the process; gives the blow that it meets."""
        if self.is_doomed:
            return Blow(name, 0, "before it leaves", "SIGKILL")
        with self._lock:
            occurrence = self._counts[name]
            self._counts[name] += 1
            self.events.append(Event(name, occurrence, kind, moved))
            blow = self.blow
            if blow is None or blow.name != name or occurrence < blow.occurrence:
                return None
            if occurrence > blow.occurrence and not self._goes_on(blow, kind, occurrence):
                return None
            self.struck = True
            return blow

    def _goes_on(self, blow: Blow, kind: Kind, occurrence: int) -> bool:
        """A read of AWS that is asked for again at once finds AWS as it was."""
        lasts = kind == "read" and blow.how in ("timeout", "throttle", "5xx")
        return lasts and not blow.name.startswith(NOT_AWS) and occurrence < blow.occurrence + AWS_READ_ATTEMPTS

    def kill(self) -> None:
        os.kill(self._child, signal.SIGKILL)

    def doom(self) -> None:
        """The process gets its answer, and dies before it records anything or asks for more."""
        self._doomed[0] = 1

    @property
    def is_doomed(self) -> bool:
        return self._doomed[0] == 1


class Commits:
    """The commits of one process: counted, reported to the world by a pipe, and struck where they are made."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        self._counts: Counter[str] = Counter()
        self.struck = False

    def before(self, name: str) -> None:
        """Raises LedgerError where the blow is that the database fails."""
        if self._line.is_doomed:
            _die()
        blow = self._blow(name)
        if blow is not None and blow.when == "before it leaves":
            self._strike(blow)

    def after(self, name: str) -> None:
        blow = self._blow(name)
        self._counts[name] += 1
        self._report(name)
        if blow is not None and blow.when != "before it leaves":
            self._strike(blow)

    def reported(self) -> list[Event]:
        """What the process, which has ended, has reported."""
        os.close(self._in)
        text = b""
        while part := _read(self._out):
            text += part
        os.close(self._out)
        names, counts, events = text.decode().splitlines(), Counter[str](), []
        self.struck = "!" in names
        for name in names:
            if name != "!":
                events.append(Event(name, counts[name], "commit"))
                counts[name] += 1
        return events

    def _blow(self, name: str) -> Blow | None:
        blow = self._line.blow
        same = blow is not None and (blow.name, blow.occurrence) == (name, self._counts[name])
        return blow if same and not self.struck else None

    def _strike(self, blow: Blow) -> None:
        self.struck = True
        self._report("!")
        if blow.how == "SIGKILL":
            _die()
        raise LedgerError(f"the database did not answer: {blow.when}")

    def _report(self, line: str) -> None:
        os.write(self._in, f"{line}\n".encode())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
