"""What a playbook brings: how its kind of resource is read, planned for, and judged. All else is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbooks.errors import Refused
from runbooks.facts import CaseFacts
from runbooks.history import ResponseHistory
from runbooks.image_verdict import Examination
from runbooks.plan import Phase, Plan
from runbooks.steps import AnyStep
from runbooks.triage import Assessment
from runbooks.verdict import NotYet, Verdict
from tasks.run import Run

Planner = Callable[[Run, ResponseHistory, Sequence[str]], Plan]
"""Makes the plan of a phase for some cases. Raises Refused where nothing can be done without a person."""


class Judge(Protocol):
    """Gathers the evidence on some cases, and judges them."""

    def __call__(
        self,
        run: Run,
        history: ResponseHistory,
        remediation: Plan | None,
        assessments: Mapping[str, Assessment],
        since: datetime,
        final: bool,
    ) -> dict[str, Verdict | NotYet]:
        """Case -> its verdict, or what is still waited for.

        Args:
            since: when the last change that should have fixed it was made.
            final: whether waiting is over.
        """
        ...


Examiner = Callable[[Run, ResponseHistory, bool], Examination | NotYet]
"""What the scan says of what the newest rebuild made; with True waiting is over."""


def nothing_is_made(run: Run, history: ResponseHistory) -> str:
    """For a playbook that builds nothing."""
    raise Refused(f"{run.runbook.name} builds nothing", code="nothing-to-do")


def nothing_is_examined(run: Run, history: ResponseHistory, final: bool) -> Examination | NotYet:
    """For a playbook that builds nothing."""
    raise Refused(f"{run.runbook.name} builds nothing", code="nothing-to-do")


@dataclass(frozen=True)
class Playbook:
    """How one kind of resource is handled."""

    read: Callable[[Run, Sequence[str]], dict[str, CaseFacts]]
    """Reads everything triage takes of some cases, in bulk."""
    planners: Mapping[Phase, Planner]
    judged: Judge
    protected: Callable[[Run, Sequence[AnyStep]], dict[str, str]]
    """Those cases of some steps that must not be touched now, each with the reason, as the tags say now."""
    made: Callable[[Run, ResponseHistory], str] = nothing_is_made
    """The name of what the newest rebuild made: a digest, a version."""
    examined: Examiner = nothing_is_examined
