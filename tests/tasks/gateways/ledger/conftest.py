"""Ledgers on each of the two databases, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.gateways.ledger import Ledger
from tests.tasks.gateways.ledger.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def opened(clock: Clock) -> Iterator[Callable[[str], Ledger]]:
    """Opens ledgers with the test's clock, and closes them when the test is over."""
    ledgers: list[Ledger] = []

    def open_ledger(url: str) -> Ledger:
        ledgers.append(Ledger.open(url, clock=clock, wait_seconds=20))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(url: str, opened: Callable[[str], Ledger]) -> Ledger:
    return opened(url)
