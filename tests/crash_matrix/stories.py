"""The stories that are broken: what kind of instance, and what its runbook chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runbooks.definition import Runbook
from tests.tasks.harness import the_runbook

SUSPECTED = {"remediation:compromise-suspected": "a detection"}


@dataclass(frozen=True)
class Story:
    """One kind of response, from its finding to its end."""

    choices: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the shipped runbook."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the furnished world."""
    in_group: bool = True

    @property
    def runbook(self) -> Runbook:
        return the_runbook(**self.choices)


STORIES = {
    "patch": Story(),
    "open-group": Story(choices={"contain": {"cut_connections": True}}, options={"exposed": False, "tags": SUSPECTED}),
    "replace": Story(choices={"remediate": {"strategy": "replace"}, "verify": {"look_every_seconds": 600}}),
}
"""`patch`: contained by one swap, released by itself. `open-group`: connections are cut by way of an open group, and a
person releases. `replace`: the instance's Auto Scaling group is refreshed."""
