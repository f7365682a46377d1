"""What the demo says before it begins."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from deployments.cli.demo import introduce
from deployments.local import Local


def test_the_demo_names_addresses_that_answer(tmp_path: Path) -> None:
    said, local = io.StringIO(), Local(tmp_path)
    local.prefect, local.receiver = "http://127.0.0.1:1", "http://127.0.0.1:2"
    local.slack, local.jira = "http://127.0.0.1:3/api/", "http://127.0.0.1:4"

    introduce(Console(file=said, width=200), local)

    assert said.getvalue().splitlines()[1:] == [
        "  Prefect   http://127.0.0.1:1",
        "  Receiver  http://127.0.0.1:2/openapi.json",
        "  Slack     http://127.0.0.1:3/   Jira  http://127.0.0.1:4",
    ]
