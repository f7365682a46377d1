"""The judgement as a developer reads it: what is refused, why, and what to do; then what was let pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runbooks.gating.judgement import Judgement, Outcome, Ruling, Weighed
from runbooks.telling.words import counted

HEADER = ("PACKAGE", "INSTALLED", "FIXED IN", "SEVERITY", "VULNERABILITY", "WHY REFUSED")
_WIDEST = 60
_RULINGS = {
    Ruling.PASSED: "PASSED",
    Ruling.REFUSED: "REFUSED",
    Ruling.CANNOT_TELL: "CANNOT TELL",
}


def as_table(judgement: Judgement) -> str:
    """Lines of plain text, whatever the width of the terminal."""
    return "\n".join(_visible(line) for line in _lines(judgement)) + "\n"


def summary(judgement: Judgement) -> str:
    """The judgement in one line."""
    refused, said = judgement.of(Outcome.REFUSED), list(judgement.reasons)
    if refused:
        packages = len({each.vulnerability.package for each in refused})
        number = "1 vulnerability" if len(refused) == 1 else f"{len(refused)} vulnerabilities"
        said.insert(0, f"{number} in {counted(packages, 'package')}")
    return f"{_RULINGS[judgement.ruling]}: {'; '.join(said) or 'nothing in it is refused'}"


def _lines(judgement: Judgement) -> Iterator[str]:
    yield f"{judgement.subject}"
    yield f"{summary(judgement)} (gate {judgement.gate}, version {judgement.gate_version})"
    if refused := judgement.of(Outcome.REFUSED):
        yield from ("", *_table([HEADER, *map(_row, refused)]), "", "How to fix")
        yield from dict.fromkeys(f"  {each.vulnerability.package}: {each.how_to_fix}" for each in refused)
    if passing := (*judgement.of(Outcome.ACCEPTED), *judgement.of(Outcome.TOLERATED)):
        yield from ("", "Not refused")
        for reason, number in Counter(each.reason for each in passing).items():
            names = dict.fromkeys(each.vulnerability.id for each in passing if each.reason == reason)
            yield f"  {number} ({reason}): {', '.join(list(names)[:5])}{', ...' if len(names) > 5 else ''}"
    if judgement.warnings:
        yield from ("", "Warnings", *(f"  {each}" for each in judgement.warnings))
    if judgement.ruling is Ruling.CANNOT_TELL and judgement.lets_pass:
        yield from ("", "The gate lets pass what it cannot judge: this is no evidence that it is good.")


def _row(each: Weighed) -> tuple[str, ...]:
    found = each.vulnerability
    fixed_in = found.fixed_in or ("yes" if found.fix_available else "no version yet")
    return (found.package, found.installed, fixed_in, found.severity, found.id, each.reason)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cut = [[cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 3]}..." for cell in row[:-1]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    for cells, row in zip(cut, rows, strict=True):
        yield "  ".join((*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), row[-1])).rstrip()


def _visible(line: str) -> str:
    """What comes from outside moves no cursor and changes no colour."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
