"""The worker of a process work pool whose flow runs are forked. All else is Prefect's own process worker.

What it takes from inside Prefect 3.8 (`prefect.runner._...`) is what that release's process worker is made of; the
tests hold it to this, and a stock worker (`prefect worker start --type process`) can serve the same pool instead.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.flows import load_flow_from_flow_run
from prefect.logging.loggers import flow_run_logger
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.settings import get_current_settings
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from deployments.cli.output import say
from deployments.worker.forking import Refused, Template

READ_AT_IMPORT = ("PREFECT_", "PYTHON")
LEAVING_SECONDS = 30.0
"""How long a run that is to start again waits for its process of before to end."""
FAILED_POLL_SECONDS = 4.0
"""Prefect's worker gives up after twelve polls in a row that fail; at four a second that would be too soon."""


class WarmWorker(ProcessWorker):
    """Forks each flow run from a process that has Prefect and the flows imported, in about 10 ms instead of 3 to 5 s.

    A run has a process of its own all the same: what kills it kills nothing else, and is reported as a crash. A run
    whose deployment or own settings ask for another command, or for other settings of Prefect or Python, gets a fresh
    process, and so does every run while the template cannot be forked safely; the log says so.
    """

    @classmethod
    def __dispatch_key__(cls) -> str:
        return "runbooks"  # Not its `type`: `prefect worker start --type process` stays the stock one.

    def __init__(self, template: Template, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.template = template
        self._living: dict[UUID, float] = {}

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        try:
            return await super().get_and_submit_flow_runs()
        except httpx.HTTPError:
            await anyio.sleep(FAILED_POLL_SECONDS)
            raise

    async def _get_scheduled_flow_runs(self) -> list[WorkerFlowRunResponse]:
        """A suspended run may be resumed before its process has left, which would then report over the next one's
        states: it is left for a later poll, without a change to its state.
        """
        return [each for each in await super()._get_scheduled_flow_runs() if not self._is_leaving(each.flow_run.id)]

    def _is_leaving(self, flow_run_id: UUID) -> bool:
        if flow_run_id not in self._living:
            return False
        until = self._living[flow_run_id] = self._living[flow_run_id] or time.monotonic() + LEAVING_SECONDS
        return time.monotonic() < until

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        # A process of before that does not leave keeps its place, and what is Prefect's own around it.
        if configuration._command_configured or flow_run.id in self._living:  # noqa: SLF001
            return await super().run(flow_run, configuration, task_status)
        self._living[flow_run.id] = 0.0
        try:
            with tempfile.TemporaryDirectory(suffix="prefect") as scratch:
                folder = configuration.working_dir or Path(scratch)
                return await self._run(flow_run, configuration, folder, task_status or anyio.TASK_STATUS_IGNORED)
        finally:
            del self._living[flow_run.id]

    async def _run(
        self, flow_run: FlowRun, configuration: ProcessJobConfiguration, folder: Path, started: TaskStatus[int]
    ) -> ProcessWorkerResult:
        """As Prefect's own, with another way to start the process."""
        async with FlowRunExecutorContext() as around:
            starter = Starter(self.template, configuration, folder, around.control_channel)
            executor = around.create_executor(
                flow_run, starter, resolve_flow=load_flow_from_flow_run, propose_submitting=False
            )
            done = await executor.submit(task_status=_SaysPid(started))
        if done is None or done.status_code is None:
            raise RuntimeError("the flow run's process did not start")
        return ProcessWorkerResult(status_code=done.status_code, identifier=str(done.handle.pid))


class _SaysPid(TaskStatus[ProcessHandle]):
    """Prefect's executor says its handle; its worker is told the process id."""

    def __init__(self, worker: TaskStatus[int]) -> None:
        self._worker = worker

    def started(self, value: ProcessHandle | None = None) -> None:
        assert value is not None
        assert value.pid is not None
        self._worker.started(value.pid)


@dataclass
class Starter:
    """Starts one run's process: forked from the template, or a fresh one where that must not be."""

    template: Template
    configuration: ProcessJobConfiguration
    folder: Path
    control: ControlChannel

    async def start(
        self, flow_run: FlowRun, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Say the process's handle, and stay until it has ended. If this is cancelled, so is the process: killed."""
        try:
            self._same_settings()
            run = await self.template.fork(self._environment(flow_run.id), self.folder)
        except Refused as why:
            self.control.unregister(flow_run.id)
            flow_run_logger(flow_run).warning("The run starts in a fresh process, and later for it: %s", why)
            await self._fresh().start(flow_run, task_status)
            return
        task_status.started(ProcessHandle(run, create_isolated_termination_scope(run.pid)))  # type: ignore[arg-type]
        try:
            await run.wait()
        finally:
            if run.returncode is None:
                run.kill()

    def _same_settings(self) -> None:
        """Prefect and Python read theirs when they are imported, and the template has imported them."""
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        ours, theirs = (
            {name: value for name, value in each.items() if name.startswith(READ_AT_IMPORT) and value is not None}
            for each in ({**self.template.environment, **settings}, self.configuration.env)
        )
        names = [name for name in ours.keys() | theirs.keys() if not name.startswith("PREFECT__")]
        if differ := sorted(name for name in names if ours.get(name) != theirs.get(name)):
            raise Refused(f"it has settings of its own: {', '.join(differ)}")

    def _environment(self, flow_run_id: UUID) -> dict[str, str]:
        env = {name: value for name, value in self.configuration.env.items() if value is not None}
        env |= {
            "PREFECT__FLOW_RUN_ID": str(flow_run_id),
            # The worker runs these hooks, as it does for a process of its own.
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
        }
        try:
            port, token = self.control.register(flow_run_id)
        except RuntimeError:
            return env  # No port was to be had: then the exit code alone says how it ended, as with Prefect's own.
        return {**env, "PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}

    def _fresh(self) -> EngineCommandStarter:
        return EngineCommandStarter(
            cwd=self.folder,
            env=self.configuration.env,
            stream_output=self.configuration.stream_output,
            control_channel=self.control,
            isolate_process_group=True,
            env_overrides_settings=True,
        )


def serve(template: Template, pool: str, *, limit: int | None = None, healthcheck: bool = False) -> None:
    """Serve a work pool until a signal comes. The first ends it, and the runs in its care; the second kills it."""
    setup_signal_handlers_worker(os.getpid(), "the worker", say)
    worker = WarmWorker(template, work_pool_name=pool, limit=limit)
    with suppress(KeyboardInterrupt):
        asyncio.run(worker.start(with_healthcheck=healthcheck, printer=say))
    say("The worker has stopped.")
