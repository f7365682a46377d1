"""Copacetic as a program beside the product: what it is told, what it is not, and that it never outlives its time."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from runbooks.errors import Halted, Outside
from tasks.gateways import copacetic
from tasks.gateways.copacetic import Copacetic
from tests.tasks.gateways.copa import REGISTRY, Copa

IMAGE = f"{REGISTRY}/shop/checkout@sha256:{'0' * 64}"
CREDENTIAL = base64.b64encode(b"AWS:a-password").decode()


@pytest.fixture
def copa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copa:
    monkeypatch.setattr(copacetic, "ASKS_EVERY_SECONDS", 0.05)
    return Copa.install(tmp_path, monkeypatch)


def patch(seconds: int = 60, buildkit: str = "") -> None:
    Copacetic(buildkit).patch(IMAGE, "1.4.3", CREDENTIAL, seconds, lambda: None)


def is_gone(number: int) -> bool:
    """A process that nobody has buried yet is gone all the same."""
    try:
        process = psutil.Process(number)
    except psutil.NoSuchProcess:
        return True
    _, living = psutil.wait_procs([process], timeout=2)
    return all(each.status() == psutil.STATUS_ZOMBIE for each in living)


def test_it_is_told_the_image_by_digest_the_tag_and_its_time(copa: Copa) -> None:
    patch()
    patch(90, "tcp://127.0.0.1:1234")
    first, second = ((call["command"], call["arguments"]) for call in copa.calls)
    assert first == ("patch", {"image": IMAGE, "tag": "1.4.3", "push": "", "timeout": "60s"})
    assert second[1] == first[1] | {"timeout": "90s", "addr": "tcp://127.0.0.1:1234"}


def test_its_credential_is_in_a_file_of_its_own_that_is_gone_afterwards(copa: Copa) -> None:
    patch()
    (call,) = copa.calls
    assert call["config"] == {"auths": {REGISTRY: {"auth": CREDENTIAL}}}
    assert CREDENTIAL not in str(call["arguments"])
    assert not Path(call["folder"]).exists()


def test_it_inherits_nothing_that_is_secret(copa: Copa, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "RUNBOOKS_SIGNING_KEY", "PREFECT_API_KEY", "PGPASSWORD", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    patch()
    (call,) = copa.calls
    assert {"DOCKER_CONFIG", "DOCKER_HOST", "PATH"} <= set(call["environment"])
    # Python adds LC_CTYPE by itself.
    assert set(call["environment"]) <= {"DOCKER_CONFIG", "LC_CTYPE", *copacetic._INHERITED}


def test_without_it_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Copacetic().is_there
    with pytest.raises(Outside) as refused:
        patch()
    assert refused.value.code == "no-copa"


def test_what_it_said_last_is_told_on_one_line_without_its_credential(copa: Copa) -> None:
    copa.tell(ends=3, says=f"pulling\n{CREDENTIAL}\na-password\x1b[31m no such platform" + " x" * 200)
    with pytest.raises(Outside) as failed:
        patch()
    assert failed.value.code == "copa-failed"
    assert failed.value.detail.startswith("copa ended with exit code 3: pulling *** *** [31m no such platform x x")
    copa.tell(says="x" * 10_000)
    with pytest.raises(Outside) as failed:
        patch()
    assert len(failed.value.detail) < 600


def test_it_is_ended_in_its_own_group_when_it_may_not_go_on(copa: Copa) -> None:
    copa.tell(waits=True)
    asked: list[str] = []

    def halted() -> None:
        asked.append("asked")
        if len(asked) == 2:
            copa.until_it_waits()
        if len(asked) == 4:
            raise Halted("stop")

    with pytest.raises(Halted):
        Copacetic().patch(IMAGE, "1.4.3", CREDENTIAL, 60, halted)
    (call,) = copa.calls
    assert call["group"] == call["process"] != os.getpgrp()
    assert is_gone(call["process"])
    assert not Path(call["folder"]).exists()


def test_it_is_not_started_when_it_may_not_begin(copa: Copa) -> None:
    def halted() -> None:
        raise Halted("stop")

    with pytest.raises(Halted):
        Copacetic().patch(IMAGE, "1.4.3", CREDENTIAL, 60, halted)
    assert copa.calls == []


def test_it_is_ended_when_its_time_is_over(copa: Copa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copacetic, "_GRACE_SECONDS", 1)
    copa.tell(waits=True)
    with pytest.raises(Outside) as failed:
        patch(seconds=0)
    assert failed.value.code == "copa-timeout"
    assert all(is_gone(call["process"]) for call in copa.calls)


def test_it_is_ended_when_its_run_is_cancelled(copa: Copa) -> None:
    class Cancelled(BaseException):
        """As Prefect raises it in the main thread, out of the handler of SIGTERM."""

    def cancel(*_: object) -> None:
        raise Cancelled

    asked: list[str] = []

    def still() -> None:
        asked.append("asked")
        if len(asked) == 2:
            copa.until_it_waits()
            signal.raise_signal(signal.SIGTERM)

    copa.tell(waits=True)
    before = signal.signal(signal.SIGTERM, cancel)
    try:
        with pytest.raises(Cancelled):
            Copacetic().patch(IMAGE, "1.4.3", CREDENTIAL, 60, still)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [is_gone(call["process"]) for call in copa.calls] == [True]


def test_it_does_not_outlive_the_process_that_started_it(copa: Copa) -> None:
    copa.tell(waits=True)
    code = (
        "from tasks.gateways.copacetic import Copacetic\n"
        f"Copacetic().patch({IMAGE!r}, '1.4.3', {CREDENTIAL!r}, 60, lambda: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    copa.until_it_waits()
    process.kill()
    process.wait()
    assert [is_gone(call["process"]) for call in copa.calls] == [True]
