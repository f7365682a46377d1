"""The product's AWS clients and its ledger, with one point in them that breaks when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from botocore.exceptions import ClientError, ReadTimeoutError

from runbooks.chain import Entry
from runbooks.records import Record
from runbooks.steps.base import Role
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import ApprovalRow, Lease, Ledger, ResponseRow
from tests.tasks.gateways.aws_world import ROLE_ARN

SERVICES = {"elbv2": "elasticloadbalancing"}
AnswerT = TypeVar("AnswerT")
Blow = Literal["dies before the call", "answer lost", "dies after the call", "dies before the commit", "dies after it"]


class Died(BaseException):
    """The process is gone: nothing that it runs through may catch this."""


@dataclass
class Shaky:
    """Counts what goes out of the process, and breaks the one point it is told to."""

    calls: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    blow: Blow | None = None
    point: int = -1
    """Which of the calls, or of the commits, counted from 0."""
    struck: str | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """Operations, as `service:Operation`, that AWS refuses for as long as they are here, and with which error code."""
    then: dict[str, Callable[[], None]] = field(default_factory=dict)
    """What somebody else does right after the first call of an operation."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def before_call(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
            strikes = self._strikes("dies before the call", len(self.calls), name)
        if strikes:
            raise Died(name)
        if code := self.refused.get(name):
            answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(answer, name.partition(":")[2])  # type: ignore[arg-type]

    def after_call(self, name: str) -> None:
        if meanwhile := self.then.pop(name, None):
            meanwhile()
        with self._lock:
            died = self._strikes("dies after the call", len(self.calls), name)
            lost = self._strikes("answer lost", len(self.calls), name)
        if died:
            raise Died(name)
        if lost:
            raise ReadTimeoutError(endpoint_url=name)

    def before_commit(self, records: Iterable[Record]) -> None:
        name = ", ".join(str(record.kind) for record in records)
        self.commits.append(name)
        if self._strikes("dies before the commit", len(self.commits), name):
            raise Died(name)

    def after_commit(self) -> None:
        if self.commits and self._strikes("dies after it", len(self.commits), self.commits[-1]):
            raise Died(self.commits[-1])

    def _strikes(self, blow: Blow, count: int, name: str) -> bool:
        if self.struck or self.blow != blow or self.point != count - 1:
            return False
        self.struck = name
        return True


class ShakySessions(AwsSessions):
    """The product's AWS clients, each of whose calls passes by whoever watches."""

    def __init__(self) -> None:
        super().__init__(ROLE_ARN, session_name="response-under-test", guard=self._ask_guard)
        self.guard: Callable[[str], None] = lambda name: None
        self.shaky = Shaky()
        self._watched: set[int] = set()

    def client(self, service: str, account: str, region: str, role: Role) -> Any:
        client = super().client(service, account, region, role)
        if id(client) not in self._watched:
            self._watched.add(id(client))
            name = SERVICES.get(service, service)
            events = client.meta.events
            events.register_last("before-send", lambda event_name, **_: self._before(name, event_name))
            events.register_last("after-call", lambda event_name, **_: self._after(name, event_name))
        return client

    def _ask_guard(self, name: str) -> None:
        self.guard(name)

    def _before(self, service: str, event_name: str) -> None:
        self.shaky.before_call(f"{service}:{event_name.rpartition('.')[2]}")

    def _after(self, service: str, event_name: str) -> None:
        self.shaky.after_call(f"{service}:{event_name.rpartition('.')[2]}")


class ShakyLedger(Ledger):
    """The ledger, each of whose commits may be the last thing that the process does."""

    shaky = Shaky()

    def append(self, *given: Any, **named: Any) -> tuple[Entry, ...]:
        return self._committed(super().append(*given, **named))

    def start_response(self, *given: Any, **named: Any) -> ResponseRow:
        return self._committed(super().start_response(*given, **named))

    def take_over(self, *given: Any, **named: Any) -> Lease:
        return self._committed(super().take_over(*given, **named))

    def ask(self, *given: Any, **named: Any) -> ApprovalRow:
        return self._committed(super().ask(*given, **named))

    def decide(self, *given: Any, **named: Any) -> bool:
        return self._committed(super().decide(*given, **named))

    def _committed(self, answer: AnswerT) -> AnswerT:
        self.shaky.after_commit()
        return answer

    def _write(self, connection: Any, stream: str, *records: Record) -> tuple[Entry, ...]:
        if records:
            self.shaky.before_commit(records)
        return super()._write(connection, stream, *records)
