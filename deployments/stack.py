"""Prefect on this machine, as children of one command: its server, a worker, the deployments.

with Stack(folder) as stack:
    stack.start(prefect_server_service(env, port))
    ensure_work_pool(env, pool)
    stack.start(worker_service(env, pool))
    deploy_all(repository, env)
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from deployments.processes import Progress, Service, Stack, free_port, inherited
from runbooks.errors import Outside

__all__ = [
    "Progress",
    "Service",
    "Stack",
    "deploy_all",
    "ensure_work_pool",
    "free_port",
    "inherited",
    "prefect_environment",
    "prefect_server_service",
    "prefect_worker_service",
    "responds",
    "worker_service",
]

_PREFECT = (sys.executable, "-m", "prefect")

# With the defaults every task run and event is its own SQLite transaction; the bursts lock the database, requests are
# answered 503, and the client sleeps for seconds. A crash of the server loses at most these seconds of its history.
_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
}


def prefect_environment(folder: Path, api_url: str, *, auth: str | None = None) -> dict[str, str]:
    """The settings of server, worker and flow runs alike: everything in `folder/prefect`, nothing told to anyone.

    `api_url` ends in `/api`; `auth` is `user:password`, in ASCII. Prefect ignores names it does not know, so a test
    holds these to be settings of the installed release.
    """
    home = folder.resolve() / "prefect"
    port = urlsplit(api_url).port or 4200
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/prefect.db",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        # The defaults let any page open in the operator's browser call this API.
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
        # Without it a client that cannot reach the server starts a temporary one of its own.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The approval form opens from a button in this UI; in the other one it hides in a menu.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        # The default is pickle: whoever can write a result file could run code in the worker.
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_WRAP_LINES": "false",
        "DO_NOT_TRACK": "1",
        **_BATCHES,
    }
    if auth:
        settings |= {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}
    return settings


def prefect_server_service(env: Mapping[str, str]) -> Service:
    """The API and the UI, on the host and port that `env` names; ready when its database is (a new one: 12 to 20 s)."""
    api = env["PREFECT_API_URL"]
    command = (*_PREFECT, "server", "start", "--host", env["PREFECT_SERVER_API_HOST"])
    return Service(
        name="prefect-server",
        command=(*command, "--port", env["PREFECT_SERVER_API_PORT"]),
        env=env,
        ready=lambda: responds(f"{api}/health") and responds(f"{api}/ready"),
        restart=True,
        ready_within=120,
    )


def worker_service(env: Mapping[str, str], pool: str) -> Service:
    """`runbooks worker` for the pool, restarted when it dies; ready when it polls."""
    return _worker((sys.executable, "-m", "deployments.cli.main", "worker", "--pool", pool, "--healthcheck"), env)


def prefect_worker_service(env: Mapping[str, str], pool: str) -> Service:
    """Prefect's own process worker, in place of `worker_service`: every flow run imports everything anew."""
    command = (*_PREFECT, "worker", "start", "--pool", pool, "--type", "process", "--with-healthcheck")
    return _worker(command, {**env, "PREFECT_WORKER_QUERY_SECONDS": "1"})


def _worker(command: Sequence[str], env: Mapping[str, str]) -> Service:
    port = free_port()
    return Service(
        name="worker",
        command=command,
        env={**env, "PREFECT_WORKER_WEBSERVER_PORT": str(port)},
        ready=lambda: responds(f"http://127.0.0.1:{port}/health"),
        restart=True,
    )


def ensure_work_pool(env: Mapping[str, str], name: str) -> None:
    """Create the process work pool unless it exists; its first worker fills in the job template."""
    client_id = str(uuid.uuid4())
    login = tuple(env.get("PREFECT_API_AUTH_STRING", "").split(":", 1))
    auth = (login[0], login[1]) if len(login) == 2 else None
    with httpx.Client(base_url=env["PREFECT_API_URL"], auth=auth, trust_env=False, timeout=30) as api:
        token = api.get("/csrf-token", params={"client": client_id}).raise_for_status().json()["token"]
        headers = {"Prefect-Csrf-Client": client_id, "Prefect-Csrf-Token": token}
        answer = api.post("/work_pools/", json={"name": name, "type": "process"}, headers=headers)
    if answer.status_code not in (httpx.codes.CREATED, httpx.codes.CONFLICT):
        raise Outside(f"the work pool {name} could not be created: HTTP {answer.status_code}", code="prefect-refused")


def deploy_all(repository: Path, env: Mapping[str, str], *, within: float = 120) -> None:
    """Register every deployment of `repository/prefect.yaml`, within so many seconds.

    Raises `Outside` (code `deploy-failed`) with the end of what Prefect said.
    """
    try:
        done = subprocess.run(
            (*_PREFECT, "--no-prompt", "deploy", "--all"),
            cwd=repository,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Outside(f"prefect deploy --all had not ended after {within:g} s", code="deploy-failed") from error
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-15:])
        raise Outside(f"prefect deploy --all ended with exit code {done.returncode}:\n{said}", code="deploy-failed")


def responds(url: str) -> bool:
    """Whether this URL answers 200 just now."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
