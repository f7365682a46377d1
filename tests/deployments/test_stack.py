"""The supervisor, with small Python programs for children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import Settings

from deployments.processes import MARK, Service, Stack, free_port, inherited, marked
from deployments.stack import (
    deploy_all,
    ensure_work_pool,
    prefect_environment,
    prefect_server_service,
    prefect_worker_service,
    responds,
)
from runbooks.errors import Outside

SERVER = """
    import http.server
    http.server.ThreadingHTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
STAYS = """
    import signal
    while True:
        signal.pause()
"""
STAYS_WHEN_ASKED_TO_END = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + STAYS
IMPATIENT = """
    import os, signal
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGINT))
    open({file!r}, "w").close()
    while True:
        signal.pause()
"""
SAYS_ITS_END = """
    import pathlib, signal, sys
    def end(*_):
        with open({file!r}, "a") as file:
            file.write({name!r})
        sys.exit()
    signal.signal(signal.SIGTERM, end)
    pathlib.Path({file!r} + {name!r}).touch()
    while True:
        signal.pause()
"""
LEAVES_A_GRANDCHILD = """
    import pathlib, subprocess, sys
    grandchild = subprocess.Popen([sys.executable, "-c", {program!r}], start_new_session=True)
    pathlib.Path({file!r}).write_text(str(grandchild.pid))
    grandchild.wait()
"""
SUPERVISES = """
    import sys, pathlib
    from tests.deployments.test_stack import STAYS, service
    from deployments.processes import Stack
    folder = pathlib.Path(sys.argv[1])
    with Stack(folder) as stack:
        stack.start(service("one", STAYS))
        (folder / "mark").write_text(stack.mark)
        stack.wait()
"""
DEPLOYMENT = """
deployments: [{name: one, entrypoint: sample.nothing, work_pool: {name: local}, schedules: [{interval: 3600}]}]
"""


def program(text: str) -> str:
    lines = text.splitlines()
    return lines[0] + "\n" + textwrap.dedent("\n".join(lines[1:]))


def service(name: str, text: str, ready: Callable[[], bool] = lambda: True, **how: float) -> Service:
    return Service(name, (sys.executable, "-c", program(text)), inherited(), ready, **how)  # type: ignore[arg-type]


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, patience=2) as stack:
        yield stack
    assert marked(stack.mark) == []


def test_a_service_is_ready_when_it_answers_and_gone_at_the_end(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/"
    told: list[tuple[str, bool]] = []
    with Stack(tmp_path) as stack:
        stack.start(
            service("files", SERVER.format(port=port), lambda: responds(url)),
            progress=lambda name, seconds, ready: told.append((name, ready)),
        )
        assert len(marked(stack.mark)) == 1
    assert not responds(url)
    assert marked(stack.mark) == []
    assert [name for name, ready in told if ready] == ["files"]
    assert told[-1] == ("files", True)


def test_a_child_that_ends_before_it_is_ready_is_named_with_the_end_of_its_log(stack: Stack) -> None:
    dies = "print('the port is taken'); raise SystemExit(7)"
    with pytest.raises(Outside, match="server ended with exit code 7 before it was ready") as caught:
        stack.start(service("server", dies, lambda: False))
    assert caught.value.code == "service-failed"
    assert str(caught.value).endswith("the port is taken")


def test_a_child_that_is_never_ready_is_not_waited_for_longer_than_said(stack: Stack) -> None:
    with pytest.raises(Outside, match=r"server was not ready within 0\.2 s") as caught:
        stack.start(service("server", STAYS, lambda: False, ready_within=0.2))
    assert caught.value.code == "service-not-ready"


def test_a_grandchild_in_a_session_of_its_own_is_ended_even_after_its_parent_left(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    leaves = LEAVES_A_GRANDCHILD.format(program=program(STAYS_WHEN_ASKED_TO_END), file=str(file))
    with Stack(tmp_path, patience=0.5) as stack:
        stack.start(service("parent", leaves, lambda: file.exists() and file.read_text() != ""))
        pid = int(file.read_text())
        (parent,) = (process for process in marked(stack.mark) if process.pid != pid)
        parent.kill()
        until(lambda: [process.pid for process in marked(stack.mark)] == [pid])
        assert os.getsid(pid) == pid
    assert marked(stack.mark) == []
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_child_that_is_to_be_restarted_is_back_after_it_died(stack: Stack) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/"
    stack.start(service("files", SERVER.format(port=port), lambda: responds(url), restart=True))
    (first,) = marked(stack.mark)
    first.kill()
    until(lambda: [process.pid for process in marked(stack.mark)] not in ([], [first.pid]) and responds(url))
    stack.check()


def test_the_end_of_a_child_that_is_not_restarted_ends_the_waiting(stack: Stack) -> None:
    stack.start(service("ledger", STAYS))
    (child,) = marked(stack.mark)
    child.kill()
    with pytest.raises(Outside, match="ledger ended with exit code -9"):
        stack.wait()


def test_what_was_started_last_is_ended_first(tmp_path: Path) -> None:
    file = str(tmp_path / "ended")
    with Stack(tmp_path) as stack:
        for name in ("server", "worker"):
            stack.start(service(name, SAYS_ITS_END.format(file=file, name=name), Path(file + name).exists))
    assert Path(file).read_text() == "workerserver"


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    stack = Stack(tmp_path)

    def fails_inside() -> None:
        with stack:
            stack.start(service("one", STAYS), service("two", STAYS))
            raise LookupError

    with pytest.raises(LookupError):
        fails_inside()
    assert marked(stack.mark) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_nothing_is_left_and_nothing_is_said_after_a_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    command = (sys.executable, "-c", program(SUPERVISES), str(tmp_path))
    mark = tmp_path / "mark"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as supervisor:
        until(lambda: mark.exists() and mark.read_text())
        assert len(marked(mark.read_text())) == 1
        supervisor.send_signal(number)
        said, _ = supervisor.communicate(timeout=20)
    assert (said, supervisor.returncode) == (b"", code)
    until(lambda: marked(mark.read_text()) == [])


def test_a_second_signal_while_ending_kills_at_once(tmp_path: Path) -> None:
    stack = Stack(tmp_path, patience=60)
    ready = tmp_path / "ready"
    begun = time.monotonic()

    def interrupted_twice() -> None:
        with stack:
            stack.start(service("impatient", IMPATIENT.format(file=str(ready)), ready.exists))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit) as caught:
        interrupted_twice()
    assert caught.value.code == 130
    assert marked(stack.mark) == []
    assert time.monotonic() - begun < 60, "its patience"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Outside, match=str(port)) as caught:
            free_port(port)
    assert caught.value.code == "port-busy"
    assert free_port(port) == port


def test_the_environment_can_leave_out_what_a_child_must_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    assert "AWS_PROFILE" in inherited()
    assert not any(name.startswith("AWS_") for name in inherited(without=("AWS_",)))
    assert MARK not in inherited()


def test_every_prefect_variable_is_a_setting_of_this_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = prefect_environment(tmp_path, "http://127.0.0.1:4299/api", auth="user:word")
    worker = prefect_worker_service(env, "pool").env
    names = {name for name in {*env, *worker} if name != "DO_NOT_TRACK"}
    for name in tuple(os.environ):
        if name.startswith("PREFECT_"):
            monkeypatch.delenv(name)
    for name in names:
        monkeypatch.setenv(name, {**env, **worker}[name])
    assert set(Settings().to_environment_variables(exclude_unset=True)) == names


def test_the_server_listens_on_loopback_where_the_environment_says(tmp_path: Path) -> None:
    env = prefect_environment(tmp_path, "http://127.0.0.1:4299/api")
    server = prefect_server_service(env)
    assert tuple(server.command[1:]) == (
        *("-m", "prefect", "server", "start"),
        *("--host", "127.0.0.1", "--port", "4299"),
    )
    assert {"PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"}.isdisjoint(server.env)


def test_a_repository_that_cannot_be_deployed_is_said_with_prefects_words(tmp_path: Path) -> None:
    env = {**inherited(), **prefect_environment(tmp_path, f"http://127.0.0.1:{free_port()}/api")}
    (tmp_path / "prefect.yaml").write_text("deployments: [{name: one, entrypoint: no_such_module.flow}]")
    with pytest.raises(Outside, match="exit code 1") as caught:
        deploy_all(tmp_path, env)
    assert caught.value.code == "deploy-failed"
    with pytest.raises(Outside, match=r"had not ended after 0\.1 s"):
        deploy_all(tmp_path, env, within=0.1)


def scheduled(api: str, login: tuple[str, str]) -> list[str]:
    """The runs that the server's scheduler has made of the deployment's schedule."""
    with httpx.Client(base_url=api, auth=login, timeout=60) as client:
        token = client.get("/csrf-token", params={"client": "a-test"}).json()["token"]
        headers = {"Prefect-Csrf-Client": "a-test", "Prefect-Csrf-Token": token}
        found = client.post("/flow_runs/filter", json={}, headers=headers).raise_for_status().json()
    return [each["id"] for each in found if each["state_type"] == "SCHEDULED" and each["auto_scheduled"]]


def test_the_locked_prefect_starts_deploys_schedules_and_works_behind_a_password(tmp_path: Path) -> None:
    api = f"http://127.0.0.1:{free_port()}/api"
    env = {**inherited(without=("PREFECT_",)), **prefect_environment(tmp_path, api, auth="runbooks:secret")}
    (tmp_path / "sample.py").write_text("from prefect import flow\n\n@flow\nasync def nothing(): ...\n")
    (tmp_path / "prefect.yaml").write_text(DEPLOYMENT)
    login = ("runbooks", "secret")
    with Stack(tmp_path) as stack:
        stack.start(prefect_server_service(env))
        ensure_work_pool(env, "local")
        ensure_work_pool(env, "local")
        deploy_all(tmp_path, env)
        stack.start(prefect_worker_service(env, "local"))
        assert httpx.get(f"{api}/deployments/name/nothing/one", timeout=60).status_code == httpx.codes.UNAUTHORIZED
        deployment = httpx.get(f"{api}/deployments/name/nothing/one", auth=login, timeout=60).json()
        until(lambda: httpx.get(f"{api}/work_pools/local", auth=login, timeout=60).json()["status"] == "READY")
        until(lambda: scheduled(api, login), seconds=90)
        forged = httpx.post(f"{api}/flow_runs/filter", json={}, auth=login, timeout=60)
    assert (deployment["work_pool_name"], deployment["paused"]) == ("local", False)
    assert forged.status_code == httpx.codes.FORBIDDEN
    assert marked(stack.mark) == []
