"""The processes under test: one flow run of the playbook, and one pass of the sweep.

Everything of theirs is the product's own, and so are the clients they use, Prefect's too. Left out is Prefect's engine
around the tasks: a task here is its function, tried again as its settings say.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import anyio
import prefect.events.utilities
from prefect import Task
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import Pause
from prefect.settings import (
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_RESULTS_DEFAULT_SERIALIZER,
    temporary_settings,
)

from deployments.local import GITHUB_TOKEN, JIRA_TOKEN, JIRA_USER, SLACK_TOKEN
from flows.respond import respond
from runbooks.catalog import Catalog
from tasks.gateways.ledger import Ledger
from tasks.gateways.ledger.database import Database
from tasks.services import Services, use
from tasks.settings import Settings
from tasks.sweep import sweep
from tests.crash_matrix import prefect_api
from tests.crash_matrix.line import Line
from tests.crash_matrix.world import Addresses, World

SIGNING_KEY = b"a signing key of thirty-two byte"
"""That of tests.runbooks.signatures."""
LEASE_SECONDS = 300
"""The most there may be: it is renewed in real time, and time here may pass in leaps."""


def flow_run(run: prefect_api.FlowRun) -> Callable[[World], None]:
    """The program of one flow run."""

    def program(world: World) -> None:
        with _product(world) as services, use(services), _as_flow_run(run):
            try:
                asyncio.run(respond.fn(**run.parameters))
            except Pause:
                pass
            except Exception:
                traceback.print_exc()
                raise

    return program


def one_sweep(world: World) -> None:
    """The program of one pass of the sweep."""
    with _product(world) as services:
        for trouble in asyncio.run(sweep(services)).troubles:
            os.write(2, f"sweep: {trouble}\n".encode())


class _Services(Services):
    """The services of a process in this world: its time, its ledger, its story's runbook."""

    world: World

    def now(self) -> Any:
        return self.world.moment.now()

    @cached_property
    def ledger(self) -> Ledger:
        database = BreakableDatabase(self.settings.ledger, self.world.line)
        return BreakableLedger(database, self.now, self.sign)

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog([self.world.story.runbook])


class BreakableDatabase(Database):
    """A database each of whose commits may be the last thing that the process does."""

    def __init__(self, url: str, line: Line) -> None:
        super().__init__(url, wait_seconds=10)
        self._line = line
        self.written: list[str] = []

    @contextmanager
    def writing(self, *, in_turn: bool = True) -> Iterator[Any]:
        self.written.clear()
        with super().writing(in_turn=in_turn) as connection:
            yield connection
            name = f"ledger:{'+'.join(self.written) or 'tables'}"
            self._line.commits.before(name)
        self._line.commits.after(name)


class BreakableLedger(Ledger):
    """The ledger, telling its database what each commit holds."""

    _database: BreakableDatabase

    def _write(self, connection: Any, stream: str, *records: Any) -> Any:
        self._database.written += [str(record.kind) for record in records]
        return super()._write(connection, stream, *records)


@contextmanager
def the_product(addresses: Addresses) -> Iterator[None]:
    """Where the product's processes find everything; entered once, for all that are forked meanwhile."""
    os.environ |= {
        "AWS_ENDPOINT_URL": addresses.aws,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "SSL_CERT_FILE": os.devnull,
    }
    prefect.events.utilities.should_emit_events = lambda: False  # pyright: ignore[reportPrivateImportUsage]
    with temporary_settings(
        {
            PREFECT_API_URL: f"{addresses.services}/prefect/api",
            PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
            PREFECT_LOGGING_TO_API_ENABLED: False,
            PREFECT_RESULTS_DEFAULT_SERIALIZER: "json",
            PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True,
        }
    ):
        yield


@contextmanager
def _product(world: World) -> Iterator[Services]:
    """The settings that a process of the product would have, and time that passes at once."""
    services = world.addresses.services
    settings = Settings.model_validate(
        {
            "home": world.folder,
            "package_bucket": world.built.get("bucket", ""),
            "slack_url": f"{services}/slack/api/",
            "slack_token": SLACK_TOKEN,
            "slack_channel": "#security",
            "jira_server": f"{services}/jira",
            "jira_user": JIRA_USER,
            "jira_token": JIRA_TOKEN,
            "github_api": f"{services}/github",
            "github_token": GITHUB_TOKEN,
            "ui_url": f"{services}/prefect",
            "signing_key": base64.b64encode(SIGNING_KEY).decode(),
            "lease_seconds": LEASE_SECONDS,
            "short_wait_seconds": 0,
            "grouping_seconds": 0,
        }
    )
    made = _Services(settings)
    object.__setattr__(made, "world", world)
    before = time.sleep, anyio.sleep, Task.__call__
    time.sleep, anyio.sleep, Task.__call__ = world.moment.advance, _pass_in(world), _call_in(world)
    try:
        yield made
    finally:
        time.sleep, anyio.sleep, Task.__call__ = before


def _pass_in(world: World) -> Callable[[float], Any]:
    async def sleep(seconds: float) -> None:
        world.moment.advance(seconds)

    return sleep


def _call_in(world: World) -> Callable[..., Any]:
    """A task as its function, tried again where Prefect would."""

    def call(task: Task[..., Any], *given: Any, **named: Any) -> Any:
        context = FlowRunContext.get()
        flow = context.flow_run.id if context and context.flow_run else None
        known = TaskRun(id=uuid4(), flow_run_id=flow, task_key=task.task_key, dynamic_key="0")
        with TaskRunContext.model_construct(task=task, task_run=known, client=None):
            return tried(task, *given, **named)

    def tried(task: Task[..., Any], *given: Any, **named: Any) -> Any:
        for _ in range(task.retries):
            try:
                return task.fn(*given, **named)
            except Exception as error:
                state: State[Any] = State(type=StateType.FAILED, data=error)
                if task.retry_condition_fn is None or not task.retry_condition_fn(task, None, state):  # type: ignore[arg-type]
                    raise
                world.moment.advance(float(task.retry_delay_seconds or 0))  # type: ignore[arg-type]
        return task.fn(*given, **named)

    return call


@contextmanager
def _as_flow_run(run: prefect_api.FlowRun) -> Iterator[None]:
    """The context that Prefect gives to a flow while it runs."""
    known = FlowRun(id=UUID(run.id), flow_id=UUID(run.id), name=run.id)
    with FlowRunContext.model_construct(flow=respond, flow_run=known, client=None, observed_flow_pauses={}):
        yield
