"""Tables and lists in markdown and in wiki markup. Cells and items come escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def blocks(*parts: str) -> str:
    """Paragraphs, lists and tables with an empty line between them, as markdown wants; empty ones are left out."""
    return "\n\n".join(part for part in parts if part) + "\n"


def bullets(items: Iterable[str], mark: str = "-") -> str:
    return "\n".join(f"{mark} {item}" for item in items)


def section(title: str, body: str, level: int = 3) -> str:
    """A heading with what is under it, or nothing where there is nothing."""
    return f"{'#' * level} {title}\n\n{body}" if body else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table, or nothing without rows."""
    body = [f"| {' | '.join(cell or '-' for cell in row)} |" for row in rows]
    if not body:
        return ""
    return "\n".join((f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *body))


def wiki_section(title: str, body: str) -> str:
    return f"h3. {title}\n{body}" if body else ""


def wiki_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A wiki table, or nothing without rows. An empty cell would read as a heading, so it gets a dash."""
    body = [f"| {' | '.join(cell or '-' for cell in row)} |" for row in rows]
    return "\n".join((f"|| {' || '.join(header)} ||", *body)) if body else ""


def fence(text: str, language: str = "") -> str:
    """A code block that its content cannot end."""
    ticks = "```"
    while ticks in text:
        ticks += "`"
    shown = "".join(each for each in text if each == "\n" or each.isprintable()).strip("\n")
    return f"{ticks}{language}\n{shown}\n{ticks}"
