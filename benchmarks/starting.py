"""How long a flow run takes to start, and to go on after an answer: our worker beside Prefect's own, on one server.

    python -m benchmarks.starting

Prints a table, and then one JSON object: for each worker, medians in seconds of `created_to_first_line` (a flow run is
asked for; the first line of its flow runs), `created_to_form` (the form of a flow that only suspends can be answered)
and `answered_to_first_line` (its answer is sent; the flow runs again from its first line), with
`processor_seconds_per_run` of worker and flow runs together. A person takes longer to answer than a suspended run's
process to leave, so that much is waited.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from prefect import flow
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput

from deployments.processes import Service, Stack, free_port, inherited, marked
from deployments.stack import (
    deploy_all,
    ensure_work_pool,
    prefect_environment,
    prefect_server_service,
    prefect_worker_service,
    worker_service,
)

ROUNDS = int(os.environ.get("ROUNDS", "5"))
LEAVING_SECONDS = 2
POOL = "benchmark"
DEPLOYMENTS = f"""
pull: []
deployments:
  - {{name: starts, entrypoint: benchmarks.starting.starts, work_pool: {{name: {POOL}}}}}
  - {{name: waits, entrypoint: benchmarks.starting.waits, work_pool: {{name: {POOL}}}}}
"""
Worker = Callable[[dict[str, str], str], Service]


class Answer(RunInput):
    approve: bool


@flow
async def starts(file: str) -> None:
    _note(file)


@flow
async def waits(file: str) -> None:
    _note(file)
    await asuspend_flow_run(wait_for_input=Answer, key="answer", timeout=None)


def _note(file: str) -> None:
    now = time.time()
    with Path(file).open("a", encoding="utf-8") as lines:
        lines.write(f"{now}\n")


class _Again(httpx.HTTPTransport):
    """Prefect answers 503 while SQLite is locked."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        while (response := super().handle_request(request)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
            response.read()
            time.sleep(0.05)
        return response


class Server:
    """Prefect's API, as whoever starts and answers flow runs uses it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30, transport=_Again())
        token = self._client.get("/csrf-token", params={"client": "bench"}).raise_for_status().json()["token"]
        self._client.headers.update({"Prefect-Csrf-Client": "bench", "Prefect-Csrf-Token": token})

    def start(self, name: str, file: Path) -> str:
        deployment = self._client.get(f"/deployments/name/{name}/{name}").raise_for_status().json()["id"]
        body = {"parameters": {"file": str(file)}, "state": {"type": "SCHEDULED"}}
        return (
            self._client.post(f"/deployments/{deployment}/create_flow_run", json=body).raise_for_status().json()["id"]
        )

    def answer(self, run: str) -> bool:
        """Whether the answer was taken; before the form is there it is not."""
        body = {"run_input": {"approve": True}}
        return self._client.post(f"/flow_runs/{run}/resume", json=body).json().get("status") == "ACCEPT"

    def has_form(self, run: str) -> bool:
        return self.state(run) == "Suspended" and any(
            "schema" in each["key"]
            for each in self._client.post(f"/flow_runs/{run}/input/filter", json={"prefix": "suspended-answer"}).json()
        )

    def state(self, run: str) -> str:
        return self._client.get(f"/flow_runs/{run}").json()["state_name"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = {
            **inherited(without=("PREFECT_", "RUNBOOKS_", "AWS_")),
            **prefect_environment(folder, f"http://127.0.0.1:{free_port()}/api"),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
        }
        (folder / "prefect.yaml").write_text(DEPLOYMENTS, encoding="utf-8")
        with Stack(folder) as stack:
            stack.start(prefect_server_service(env))
            ensure_work_pool(env, POOL)
            deploy_all(folder, env)
            workers: dict[str, Worker] = {"ours": worker_service, "prefects": prefect_worker_service}
            measured = {name: _measure(folder, env, worker) for name, worker in workers.items()}
    for figure in measured["ours"]:
        sys.stdout.write(
            f"{figure:28}" + "".join(f"{name}: {each[figure]:<10}" for name, each in measured.items()) + "\n"
        )
    sys.stdout.write(json.dumps(measured) + "\n")


def _measure(folder: Path, env: dict[str, str], worker: Worker) -> dict[str, float]:
    server = Server(env["PREFECT_API_URL"])
    with Stack(folder / uuid.uuid4().hex) as stack:
        stack.start(worker(env, POOL))
        _started(server, stack.folder)  # The first finds what later ones need: caches, connections, a template.
        before = _processor_seconds(stack)
        begun = [_started(server, stack.folder) for _ in range(ROUNDS)]
        spent = (_processor_seconds(stack) - before) / ROUNDS
        answered = [_answered(server, stack.folder) for _ in range(ROUNDS)]
    return {
        "created_to_first_line": _median(begun),
        "created_to_form": _median([form for form, _ in answered]),
        "answered_to_first_line": _median([after for _, after in answered]),
        "processor_seconds_per_run": round(spent, 2),
    }


def _started(server: Server, folder: Path) -> float:
    file, asked = folder / uuid.uuid4().hex, time.time()
    run = server.start("starts", file)
    _until(lambda: server.state(run) == "Completed")
    return _lines(file)[0] - asked


def _answered(server: Server, folder: Path) -> tuple[float, float]:
    file, asked = folder / uuid.uuid4().hex, time.time()
    run = server.start("waits", file)
    _until(lambda: server.has_form(run))
    form = time.time() - asked
    time.sleep(LEAVING_SECONDS)
    answered = time.time()
    _until(lambda: server.answer(run))
    _until(lambda: server.state(run) == "Completed")
    return form, _lines(file)[1] - answered


def _lines(file: Path) -> list[float]:
    return [float(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _until(condition: Callable[[], Any], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError
        time.sleep(0.1)


def _processor_seconds(stack: Stack) -> float:
    """Of everything the stack has started, and of what of it has ended and been waited for."""
    times = [process.cpu_times() for process in marked(stack.mark)]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


def _median(figures: list[float]) -> float:
    return round(statistics.median(figures), 3)


if __name__ == "__main__":
    main()
