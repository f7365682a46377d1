"""The verify plan of a function. There is nothing to hurry: Inspector scans $LATEST after each change by itself."""

from __future__ import annotations

from functools import partial

from runbooks.planning.verification import plan_looking

plan_function_verification = partial(
    plan_looking,
    reason="the verdict rests on Inspector's scan of $LATEST, and on the aliases serving just what it scanned",
)
