"""Judging images of the sandbox, and what the ledger holds of it."""

from __future__ import annotations

from runbooks.gating import Gate, ImageName, Judgement
from runbooks.records import GateJudged
from tasks import gating
from tasks.services import Services
from tests.runbooks.gating.gated import a_gate
from tests.tasks.scanned import Registry
from tests.tasks.sweep_house import SweepHouse


def judged(
    registry: Registry, image: str, gate: Gate | None = None, *, minutes: float = 0, have: Services | None = None
) -> Judgement:
    name = ImageName.parse(image)
    return gating.judge_image(have, registry.sessions, name, gate or a_gate(), registry.patience(minutes))


def records(house: SweepHouse, stream: str) -> list[GateJudged]:
    found = [entry.record() for entry in house.ledger.entries_of(stream, "gate-judged")]
    assert all(isinstance(each, GateJudged) for each in found)
    return found  # type: ignore[return-value]
