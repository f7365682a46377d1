"""What the worker's tests run: each begins by saying where it runs."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import time
from pathlib import Path

import psutil
from prefect import flow
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput

from tasks.program import code_digest


class Answer(RunInput):
    approve: bool


@flow
async def says(file: str) -> None:
    _say(file)


@flow
async def stays(file: str) -> None:
    _say(file)
    await asyncio.sleep(600)


@flow
async def ends_at_once(file: str) -> None:
    _say(file)
    os._exit(3)


@flow
async def waits(file: str) -> None:
    _say(file)
    atexit.register(time.sleep, 3)  # Its process takes its time to leave.
    await asuspend_flow_run(wait_for_input=Answer, key="answer", timeout=None)


def _say(file: str) -> None:
    said = Path(file).read_text(encoding="utf-8").splitlines() if Path(file).exists() else []
    before = [json.loads(line)["pid"] for line in said]
    here = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "folder": str(Path.cwd()),
        "digest": code_digest(),
        "beside": [pid for pid in before if psutil.pid_exists(pid)],
        "own_setting": os.environ.get("OF_THIS_RUN"),
    }
    with Path(file).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(here) + "\n")
