"""The approvers of a demonstration: registered as any other, and their codes are taken once."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from deployments.demo.authenticators import NAMES, Authenticators
from tasks.registering import registry
from tasks.services import Services
from tasks.settings import Settings

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def test_everyone_is_registered_and_may_approve_everything(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, signing_key=None)
    Authenticators().register(settings)
    have = Services(settings)
    with closing(have.ledger):
        known = registry(have)
    assert (known.able, known.forged) == (NAMES, ())
    assert all(each.approver.may_approve("contain", "production") for each in known.standings.values())


def test_a_code_is_taken_once_and_the_next_step_is_waited_for() -> None:
    seconds = count(0, 5)
    carried = Authenticators(clock=lambda: MIDNIGHT + timedelta(seconds=next(seconds)))
    taken = [carried.take() for _ in range(4)]
    assert [name for name, _ in taken] == [*NAMES, *NAMES]
    assert len(set(taken)) == 4


def test_what_they_show_names_each_and_how_long_it_lasts() -> None:
    carried = Authenticators(clock=lambda: MIDNIGHT + timedelta(seconds=12))
    name, code = carried.take()
    assert f"{name} {code}" in carried.shown()
    assert carried.shown().endswith(": for 18 s more, and each once")
