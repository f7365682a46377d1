"""`runbooks demo`, as a person starts it: in a process of its own, which leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.demo.events import SHIPPED
from deployments.demo.report import Report

LONGEST_SECONDS = 240


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Something in the environment of the command, and of whatever it starts, to find them by."""
    monkeypatch.setenv("STARTED_BY_TEST", request.node.nodeid)
    return request.node.nodeid


@pytest.fixture(autouse=True)
def nothing_is_left(mark: str) -> Iterator[None]:
    yield
    assert [process.cmdline() for process in started_by(mark)] == []


def started_by(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("STARTED_BY_TEST") == mark and process.pid != os.getpid()
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "deployments.cli.main", "demo", "--folder", str(folder), *arguments)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def report_of(command: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = command.communicate(timeout=LONGEST_SECONDS)
    assert command.returncode == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


def shipped(folder: Path, **detail: Any) -> Path:
    event = json.loads(SHIPPED.read_text(encoding="utf-8"))
    event["detail"] |= detail
    file = folder / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    return file


def test_it_shows_the_whole_way_and_reports_it_as_one_json_object(tmp_path: Path) -> None:
    report = report_of(demo(tmp_path / "out", "--json"))
    assert report.keys() == Report.model_fields.keys()
    assert (report["verdict"], report["result"], report["containment_released"]) == ("fixed", "fixed", True)
    assert [plan["phase"] for plan in report["plans"]] == ["contain", "remediate", "verify", "release"]
    assert {step["outcome"] for step in report["steps"]} == {"done"}
    assert report["ledger"]["verified"]
    assert (tmp_path / "out" / "responses").is_dir()


def test_a_burst_is_one_response_in_waves_and_one_bad_instance_stops_nobody(tmp_path: Path) -> None:
    report = report_of(demo(tmp_path / "out", "--json", "--burst", "3"))
    assert (report["cases"], report["fixed"], report["result"]) == (3, 2, "not fixed")
    assert report["reason"].startswith("2 of 3 cases are fixed; Update openssl-libs")
    assert [plan["phase"] for plan in report["plans"]].count("remediate") == 1
    assert report["ticket"] == "SEC-1"
    assert report["ledger"]["verified"]


def test_a_closed_finding_calls_for_nothing(tmp_path: Path) -> None:
    report = report_of(demo(tmp_path / "out", "--json", "--event", str(shipped(tmp_path, status="CLOSED"))))
    assert (report["verdict"], report["case"]) == (None, None)
    assert "CLOSED" in report["reason"]


def test_ctrl_c_in_the_middle_ends_everything(tmp_path: Path) -> None:
    command = demo(tmp_path / "out")
    assert command.stdout
    for line in command.stdout:
        if "Triage" in line:
            break
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert "Traceback" not in out + err
