"""One sandbox with images in its registry, and a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.sandbox.server import Sandbox
from tests.tasks.scanned import Registry, a_registry
from tests.tasks.sweep_house import SweepHouse, sweep_house


@pytest.fixture
def sandbox(executor_aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("AWS_ENDPOINT_URL", executor_aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return executor_aws


@pytest.fixture
def registry(sandbox: Sandbox) -> Registry:
    return a_registry(sandbox)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SweepHouse]:
    with sweep_house(tmp_path) as made:
        yield made
