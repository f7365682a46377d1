"""The worker, with a Prefect server: whose process a run is, and what becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deployments.processes import Stack, free_port, inherited, marked
from deployments.stack import (
    deploy_all,
    ensure_work_pool,
    prefect_environment,
    prefect_server_service,
    worker_service,
)
from tasks.program import LIBRARIES, PACKAGES, digest_of

ROOT = Path(__file__).parents[3]
FLOWS = ("says", "stays", "ends_at_once", "waits")
PULL = "pull: []\ndeployments:\n"
DEPLOYMENT = "  - {{name: {name}, entrypoint: sample_flows.{name}, work_pool: {{name: local}}}}\n"


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


@dataclass
class Run:
    """A flow run, and the file where its flow says where it runs."""

    server: Server
    id: str
    file: Path

    @property
    def state(self) -> str:
        return self.server.get(f"/flow_runs/{self.id}")["state_name"]

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    @property
    def logs(self) -> str:
        found = self.server.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [self.id]}}})
        return "\n".join(each["message"] for each in found)

    def answered(self) -> bool:
        return self.server.post(f"/flow_runs/{self.id}/resume", {"run_input": {"approve": True}})["status"] == "ACCEPT"

    def ends(self, state: str) -> Run:
        until(lambda: self.state == state)
        return self


@dataclass
class Server:
    """Prefect's API, with a copy of the program that its worker runs."""

    env: dict[str, str]
    folder: Path
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        token = self.get("/csrf-token?client=a-test")["token"]
        self.headers |= {"Prefect-Csrf-Client": "a-test", "Prefect-Csrf-Token": token}

    def get(self, path: str) -> Any:
        return self._send("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, json=body)

    def start(self, flow: str, **settings: str) -> Run:
        name = flow.replace("_", "-")
        file, deployment = self.folder / uuid.uuid4().hex, self.get(f"/deployments/name/{name}/{flow}")["id"]
        body = {"parameters": {"file": str(file)}, "state": {"type": "SCHEDULED"}, "job_variables": {"env": settings}}
        return Run(self, self.post(f"/deployments/{deployment}/create_flow_run", body)["id"], file)

    def begun(self, flow: str) -> Run:
        run = self.start(flow)
        until(lambda: run.said and run.state == "Running")
        return run

    def _send(self, method: str, path: str, **body: Any) -> Any:
        """While SQLite is locked Prefect says 503, and to ask again."""
        while True:
            url = self.env["PREFECT_API_URL"] + path
            try:
                response = httpx.request(method, url, headers=self.headers, trust_env=False, timeout=30, **body)
            except httpx.ReadTimeout:
                # On SQLite Prefect may take that long on a busy machine. What only reads is asked again.
                if method != "GET":
                    raise
                continue
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response.raise_for_status().json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("worker")
    code = folder / "code"
    for name in ("deployments", *PACKAGES):
        shutil.copytree(ROOT / name, code / name)
    shutil.copy(Path(__file__).with_name("sample_flows.py"), code)
    (folder / "prefect.yaml").write_text(PULL + "".join(DEPLOYMENT.format(name=name) for name in FLOWS))
    env = {
        **inherited(without=("PREFECT_",)),
        **prefect_environment(folder, f"http://127.0.0.1:{free_port()}/api"),
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
        "PYTHONPATH": str(code),
    }
    with Stack(folder) as stack:
        stack.start(prefect_server_service(env))
        ensure_work_pool(env, "local")
        deploy_all(folder, env)
        yield Server(env, folder)


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[int]:
    """The process id of a worker that serves the pool."""
    with Stack(server.folder / "worker") as stack:
        stack.start(worker_service(server.env, "local"))
        (worker,) = (each.pid for each in marked(stack.mark) if "deployments.cli.main" in each.cmdline())
        yield worker
    assert marked(stack.mark) == []


def templates(worker: int) -> set[int]:
    """Every process of this worker's that flow runs are forked from; one, but for a moment."""
    living = (each for each in psutil.Process(worker).children() if each.status() != psutil.STATUS_ZOMBIE)
    return {each.pid for each in living if "deployments.worker.template" in each.cmdline()}


def test_a_run_completes_in_a_child_of_the_template_with_its_log_at_the_server(server: Server, worker: int) -> None:
    run = server.start("says", OF_THIS_RUN="yes").ends("Completed")
    (said,) = run.said
    assert {said["parent"]} == templates(worker)
    assert said["own_setting"] == "yes"
    assert said["folder"] not in (str(Path.cwd()), str(server.folder))
    until(lambda: "Finished in state Completed()" in run.logs)


def test_a_killed_run_and_one_that_ends_at_once_crash_and_take_no_other_with_them(server: Server, worker: int) -> None:
    other, doomed = server.begun("stays"), server.begun("stays")
    os.kill(doomed.said[0]["pid"], signal.SIGKILL)
    doomed.ends("Crashed")
    server.start("ends_at_once").ends("Crashed")
    server.start("says").ends("Completed")
    assert other.state == "Running"
    assert psutil.pid_exists(other.said[0]["pid"])
    os.kill(other.said[0]["pid"], signal.SIGKILL)
    other.ends("Crashed")


def test_a_run_that_is_answered_at_once_goes_on_when_its_process_of_before_has_left(
    server: Server, worker: int
) -> None:
    run = server.start("waits")
    until(run.answered)
    run.ends("Completed")
    assert [each["beside"] for each in run.said] == [[], []]


def test_a_run_with_settings_of_prefect_of_its_own_has_a_fresh_process(server: Server, worker: int) -> None:
    run = server.start("says", PREFECT_LOGGING_LEVEL="DEBUG").ends("Completed")
    assert [each["parent"] for each in run.said] == [worker]
    until(lambda: "fresh process, and later for it: it has settings of its own: PREFECT_LOGGING_LEVEL" in run.logs)


def test_after_an_update_a_run_says_the_digest_of_what_it_runs(server: Server, worker: int) -> None:
    (before,) = server.start("says").ends("Completed").said
    code = server.folder / "code"
    (code / "runbooks" / "of_tomorrow.py").write_text("")
    (after,) = server.start("says").ends("Completed").said
    assert after["parent"] != before["parent"]
    assert after["digest"] != before["digest"]
    assert after["digest"] == digest_of((code / name for name in PACKAGES), {name: version(name) for name in LIBRARIES})
    until(lambda: templates(worker) == {after["parent"]})


def test_a_worker_that_is_told_to_end_leaves_nothing_and_the_next_one_serves(server: Server, worker: int) -> None:
    run = server.begun("stays")
    family = [psutil.Process(worker), *psutil.Process(worker).children(recursive=True)]
    assert [worker, run.said[0]["pid"]] == [family[0].pid, family[-1].pid]
    os.kill(worker, signal.SIGTERM)
    assert psutil.wait_procs(family, timeout=20)[1] == []
    server.start("says").ends("Completed")
