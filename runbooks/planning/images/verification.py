"""The verify plan of an image. There is nothing to hurry: Inspector scans what is pushed by itself."""

from __future__ import annotations

from functools import partial

from runbooks.planning.verification import plan_looking

plan_image_verification = partial(
    plan_looking,
    reason="the verdict rests on which image runs now, and on its scan, which nothing has to start",
)
