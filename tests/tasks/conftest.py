"""One sandbox and one set of AWS clients for all tests of the executor; each test gets an emptied house."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.sandbox.server import Sandbox
from tasks.gateways.ledger import Ledger
from tests.tasks.harness import EMPTY_LEDGER, House
from tests.tasks.shaky import ShakySessions

OpenHouse = Callable[..., House]


@pytest.fixture(scope="session")
def executor_aws() -> Iterator[Sandbox]:
    """Its clock stands still: a test, or a run that waits, advances it."""
    with Sandbox(pace=0.0) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def shaky_sessions() -> ShakySessions:
    return ShakySessions()


@pytest.fixture(scope="session")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty ledger to begin from: bringing one up takes longer than a whole response."""
    folder = tmp_path_factory.mktemp("ledgers")
    Ledger.open(f"sqlite:///{folder}/{EMPTY_LEDGER}").close()
    return folder


@pytest.fixture
def open_house(
    executor_aws: Sandbox, shaky_sessions: ShakySessions, ledgers: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenHouse]:
    """Makes houses, one after another: each empties the sandbox."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    opened: list[House] = []

    def make(**choices: Any) -> House:
        while opened:
            opened.pop().close()
        executor_aws.reset()
        opened.append(House(executor_aws, shaky_sessions, ledgers, **choices))
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()
