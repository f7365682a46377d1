"""Numbers of things in plain words; whatever speaks to people, steps included, counts like this."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """`1 step`, `3 steps`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
