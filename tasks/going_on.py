"""What a failure of AWS means for a step: whether it passes, and whether the plan goes on without the step."""

from __future__ import annotations

from runbooks.errors import AnswerLost, Outside, Throttled
from runbooks.steps import AnyStep

MAY_PASS = frozenset(
    {Outside.code, "unreachable", "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable"}
)
"""Codes of what failed on the way, or at AWS itself (EC2 API reference, "Server error codes")."""


def delays_nothing(step: AnyStep) -> bool:
    """Whether the plan goes on without it as soon as there is trouble; putting it back is waited for."""
    return step.evidence and not step.undoes


def goes_on_without(step: AnyStep, unseen: Outside) -> bool:
    """Whether the plan goes on though the step could not be looked at: it is evidence, or not essential and denied."""
    return delays_nothing(step) or (not step.essential and not step.undoes and is_answer(unseen))


def is_answer(error: Outside) -> bool:
    """Whether AWS itself said no, and will say it again."""
    passes = isinstance(error, Throttled | AnswerLost) or error.code in MAY_PASS
    # An answer without a body has its HTTP status for a code.
    return not passes and not error.code.startswith("5")
