"""Two sweeps at the same moment: whatever one is about to do, the other may just have done it."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from runbooks.verdict import VerdictKind
from tests.runbooks.builders import a_package
from tests.tasks.prefect_api import PrefectApi
from tests.tasks.sweep_house import SweepHouse, prefect_api, slack_workspace, sweep_house, written


@dataclass
class Interrupted:
    """A database that lets somebody else go first, once, before one of its transactions begins."""

    database: Any
    at: int
    meanwhile: Callable[[], object]
    transactions: int = 0

    def reading(self) -> AbstractContextManager[Connection]:
        self._count()
        return self.database.reading()

    def writing(self, **how: Any) -> AbstractContextManager[Connection]:
        self._count()
        return self.database.writing(**how)

    def _count(self) -> None:
        self.transactions += 1
        if self.transactions == self.at:
            self.meanwhile()


@dataclass
class Scene:
    """A ledger in which every part of a sweep has something to do."""

    house: SweepHouse
    prefect: PrefectApi
    messages: list[Any]
    names: dict[str, str] = field(default_factory=dict[str, str])

    def outcome(self) -> dict[str, Any]:
        """What all the sweeps together came to."""
        return {
            "ledger": written(self.house.ledger),
            "runs": sorted(self.prefect.keys),
            "cancelled": {run["idempotency_key"] for name, run in self.prefect.runs.items() if name in self.cancelled},
            "messages": sorted(message.text for message in self.messages),
            "responses": {row.id: (row.status, row.attempt) for row in self.house.ledger.responses()},
        }

    @property
    def cancelled(self) -> list[str]:
        return self.prefect.cancelled


@contextmanager
def a_scene(folder: Path) -> Iterator[Scene]:
    with prefect_api() as prefect, slack_workspace() as (workspace, settings), sweep_house(folder, **settings) as house:
        for number in range(1, 6):
            # Each with a package of its own: alike, they would be one response.
            house.deliver(number, f"i-0{number:016x}", packages=(a_package(name=f"library-{number}"),))
        house.sweep()
        rows = {number: house.newest(f"i-0{number:016x}") for number in range(1, 6)}
        house.take_over(rows[2].id)
        house.take_over(rows[3].id)
        house.take_over(rows[4].id)
        house.end(rows[2].id, "unverifiable", VerdictKind.UNVERIFIABLE)
        house.clock.pass_by(hours=6)
        house.ask(rows[3].id)
        prefect.become(rows[3].flow_run or "", "PAUSED")
        house.clock.pass_by(minutes=20)
        house.deliver(6, "i-00000000000000006")
        yield Scene(house, prefect, workspace.messages)


def elsewhere(house: SweepHouse) -> None:
    """A sweep in another process: its own event loop, its own ledger."""
    other = house.again()
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(other.sweep))
    thread.start()
    thread.join()
    other.ledger.close()


def both(folder: Path, at: int) -> tuple[dict[str, Any], int]:
    """One sweep, another before its transaction `at`, and a third to finish; and how many transactions there were."""
    with a_scene(folder) as scene:
        database = scene.house.ledger._database
        interrupted = Interrupted(database, at, lambda: elsewhere(scene.house))
        scene.house.ledger._database = interrupted  # type: ignore[assignment]
        troubles = scene.house.sweep().troubles
        scene.house.ledger._database = database
        assert troubles == [], at
        scene.house.sweep()
        return scene.outcome(), interrupted.transactions


def test_wherever_another_sweep_comes_between_the_outcome_is_that_of_one_after_the_other(tmp_path: Path) -> None:
    alone, transactions = both(tmp_path / "alone", 0)
    assert transactions > 40
    for at in range(1, transactions + 1, 1 if os.environ.get("RUNBOOKS_ALL_CRASH_POINTS") else 9):
        together, _ = both(tmp_path / str(at), at)
        assert together == alone, at
