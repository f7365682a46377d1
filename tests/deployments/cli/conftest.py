"""The command, run in this process, on a ledger in a folder of the test's own."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployments.cli.main import main
from deployments.sandbox.server import Sandbox
from tasks.gateways.ledger import Ledger
from tests.deployments.cli.gated import lax, registry
from tests.tasks.gateways.aws_world import AwsWorld
from tests.tasks.gateways.ledger.samples import Clock

__all__ = ["lax", "registry"]


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("RUNBOOKS_HOME", str(folder))
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*arguments: str | Path, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return _run


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(home: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{home}/ledger.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def safe(run: Run) -> None:
    """An installation that may start something: it has a signing key, and an approver."""
    run("approvers", "add", "jane", "--grant", "*@*", "--json")


@pytest.fixture(scope="session")
def running_aws() -> Iterator[Sandbox]:
    with Sandbox(pace=0.0) as sandbox:
        yield sandbox


@pytest.fixture
def aws(running_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AwsWorld:
    running_aws.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return AwsWorld(running_aws)
