"""The process that runs are forked from, without a Prefect server: its runs wait for one that never answers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from deployments.processes import MARK, inherited, marked
from deployments.worker.forking import UNKNOWN_EXIT, ForkedRun, Refused, Template

ROOT = Path(__file__).parents[3]
PACKAGES = ("deployments", "flows", "runbooks", "tasks")
RUN = "00000000-0000-0000-0000-000000000001"
STARTS_A_THREAD = (
    "import threading\nthreading.Thread(target=threading.Event().wait, name='mine', daemon=True).start()\n"
)
OPENS_A_CONNECTION = "import socket\nkept = socket.socket()\nkept.bind(('127.0.0.1', 0))\nkept.listen()\n"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the program, which the template runs and a test may change."""
    folder = tmp_path / "code"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.fixture
def environment(tmp_path: Path, code: Path, silent: str) -> dict[str, str]:
    return {
        **inherited(without=("PREFECT_",)),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": silent,
        "PYTHONPATH": str(code),
        MARK: tmp_path.name,
    }


class Watched(Template):
    """A template whose runs are ended with the test."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        super().__init__(environment)
        self.folder = folder
        self.runs: list[ForkedRun] = []

    async def run(self, flow_run: str = RUN) -> ForkedRun:
        self.runs.append(await self.fork({**self.environment, "PREFECT__FLOW_RUN_ID": flow_run}, self.folder))
        return self.runs[-1]

    async def end(self) -> None:
        self.stop()
        for run in self.runs:
            run.kill()
            if run.returncode is None:
                await run.wait()
        for process in self._left:
            process.wait()


@asynccontextmanager
async def a_template(environment: dict[str, str], folder: Path) -> AsyncIterator[Watched]:
    template = Watched(environment, folder)
    try:
        yield template
    finally:
        await template.end()


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def pids(environment: dict[str, str]) -> set[int]:
    return {process.pid for process in marked(environment[MARK])}


def test_a_run_is_a_child_of_the_template_and_its_death_takes_no_other_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async def story() -> None:
        async with a_template(environment, tmp_path) as template:
            doomed, other = await template.run(), await template.run()
            assert {psutil.Process(each.pid).ppid() for each in (doomed, other)} == {template.pid}
            assert (os.getsid(doomed.pid), os.getsid(other.pid)) == (doomed.pid, other.pid)
            assert psutil.Process(doomed.pid).cwd() == str(tmp_path)

            os.kill(doomed.pid, signal.SIGKILL)
            assert await doomed.wait() == -signal.SIGKILL
            assert pids(environment) == {template.pid, other.pid}

            os.kill(other.pid, signal.SIGTERM)
            assert await other.wait() == -signal.SIGTERM
            assert await (await template.run("no run at all")).wait() == 1

    asyncio.run(story())


def test_a_run_outlives_its_template_and_the_next_has_a_new_one(environment: dict[str, str], tmp_path: Path) -> None:
    async def story() -> None:
        async with a_template(environment, tmp_path) as template:
            orphan, killed = await template.run(), template.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            ended = asyncio.create_task(orphan.wait())
            other = await template.run()
            assert psutil.Process(other.pid).ppid() == template.pid != killed
            assert pids(environment) == {template.pid, orphan.pid, other.pid}
            orphan.kill()
            assert await ended == UNKNOWN_EXIT

    asyncio.run(story())


def test_a_template_that_is_told_to_leave_does_when_its_last_run_has_ended(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async def story() -> None:
        async with a_template(environment, tmp_path) as template:
            run, pid = await template.run(), template.pid
            assert pid is not None
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
            template.stop()
            next_one = await template.run()
            assert pids(environment) == {pid, run.pid, template.pid, next_one.pid}
            run.kill()
            assert await run.wait() == -signal.SIGKILL
            await until(lambda: pids(environment) == {template.pid, next_one.pid})

    asyncio.run(story())


def test_after_the_code_has_changed_runs_are_forked_from_a_new_template(
    environment: dict[str, str], tmp_path: Path, code: Path
) -> None:
    async def story() -> None:
        async with a_template(environment, tmp_path) as template:
            before = psutil.Process((await template.run()).pid).ppid()
            (code / "runbooks" / "of_tomorrow.py").write_text("")
            both = await asyncio.gather(template.run(), template.run())
            after = {psutil.Process(each.pid).ppid() for each in both}
            assert after == {template.pid}
            assert before not in after

    asyncio.run(story())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (STARTS_A_THREAD, "2 threads run where there must be one: MainThread, mine"),
        (OPENS_A_CONNECTION, "1 connections are open"),
        ("raise ImportError", "the template process ended"),
    ],
)
def test_nothing_is_forked_from_what_would_not_survive_it(
    environment: dict[str, str], tmp_path: Path, code: Path, source: str, why: str
) -> None:
    (code / "flows" / "of_today.py").write_text(source)

    async def story() -> None:
        async with a_template(environment, tmp_path) as template:
            with pytest.raises(Refused, match=f"^{why}$"):
                await template.run()

    asyncio.run(story())
