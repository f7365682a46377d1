"""An attack: how it is tried, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runbooks.records import ApproverAdded
from tests.attacks.scene import Scene, everyone


@dataclass(frozen=True)
class Attack:
    """One way to have something done that nobody who may has said yes to."""

    name: str
    told: str
    """The ledger entry that tells of it: its kind, and the code of the refusal."""
    tried: Callable[[Scene], object]
    state: str = "not-approved"
    """With which code a run refuses to carry out the plan afterwards."""
    rule: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What is particular about who has to say yes."""
    people: Sequence[ApproverAdded] = field(default_factory=everyone)
    started_by: str = "webhook"
    asked: bool = True
    code: str = ""
