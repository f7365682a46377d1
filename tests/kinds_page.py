"""docs/what-happens-to-each-kind.md as tests read it: one table for all that is held to it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
EVENTS = {file.stem: file for file in sorted((ROOT / "tests" / "events").glob("*.json"))}
_PAGE = (ROOT / "docs" / "what-happens-to-each-kind.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without what only makes them look like code or lead somewhere."""
    (found,) = [each for each in _PAGE.split("\n## ")[1:] if each.split("\n", 1)[0] == heading]
    lines = [line for line in found.splitlines() if line.startswith("| ")][1:]
    return [[_text(cell) for cell in line.strip("|").split("|")] for line in lines]


def fates() -> dict[str, list[str]]:
    """Example -> what becomes of it, part by part."""
    return {name: result.split("; ") for _, name, result in rows("Every example")}


def _text(cell: str) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", cell).strip().replace("`", "")
