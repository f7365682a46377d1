"""The judgement as a developer reads it: what is refused, why, and what to do; then what was let pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from runbooks.gating.judgement import Judgement, Outcome, Ruling, Weighed
from runbooks.telling.words import counted, listed

HEADER = ("PACKAGE", "INSTALLED", "FIXED IN", "SEVERITY", "VULNERABILITY", "WHY REFUSED")
_WIDEST = 60
_MOST_NAMES = 20
"""In a line; the other forms have them all."""
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
        vulnerabilities = len({each.vulnerability.id for each in refused})
        number = "1 vulnerability" if vulnerabilities == 1 else f"{vulnerabilities} vulnerabilities"
        said.insert(0, f"{number} in {counted(packages, 'package')}")
    return f"{_RULINGS[judgement.ruling]}: {'; '.join(said) or 'nothing in it is refused'}"


def _lines(judgement: Judgement) -> Iterator[str]:
    yield f"{judgement.subject}"
    if platforms := judgement.subject.platforms:
        yield f"Platforms: {', '.join(each.name for each in platforms)}"
    yield f"{summary(judgement)} (gate {judgement.gate}, version {judgement.gate_version})"
    if refused := judgement.of(Outcome.REFUSED):
        yield from ("", *_table(_rows(refused, judgement)), "", "How to fix")
        yield from dict.fromkeys(f"  {each.vulnerability.package}: {each.how_to_fix}" for each in refused)
    if passing := (*judgement.of(Outcome.ACCEPTED), *judgement.of(Outcome.TOLERATED)):
        yield from ("", "Not refused", *_by_reason((each.reason, each.vulnerability.id) for each in passing))
    if judgement.unscanned:
        yield from ("", "Not looked at", *_by_reason((each.why, str(each)) for each in judgement.unscanned))
        if not judgement.lets_pass:
            yield "  Give each its package URL, and version, or let it go in the gate's rules: unscanned_components"
    if judgement.warnings:
        yield from ("", "Warnings", *(f"  {each}" for each in judgement.warnings))
    if judgement.ruling is Ruling.CANNOT_TELL and judgement.lets_pass:
        yield from ("", "The gate lets pass what it cannot judge: this is no evidence that it is good.")


def _rows(refused: Sequence[Weighed], judgement: Judgement) -> list[Sequence[str]]:
    """The heading and a row for each vulnerable package, one for all platforms that have it alike."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in refused:
        alike.setdefault(_row(each), []).append(each.vulnerability.platform or "")
    if not (platforms := judgement.subject.platforms):
        return [HEADER, *alike]
    everywhere = {each.name for each in platforms}
    places = ("all" if everywhere <= set(found) else ", ".join(dict.fromkeys(found)) for found in alike.values())
    rows = [(*row[:-1], place, row[-1]) for row, place in zip(alike, places, strict=True)]
    return [(*HEADER[:-1], "PLATFORM", HEADER[-1]), *rows]


def _row(each: Weighed) -> tuple[str, ...]:
    found = each.vulnerability
    fixed_in = found.fixed_in or ("yes" if found.fix_available else "no version yet")
    return (found.package, found.installed, fixed_in, found.severity, found.id, each.reason)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cut = [[cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 3]}..." for cell in row[:-1]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    for cells, row in zip(cut, rows, strict=True):
        yield "  ".join((*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), row[-1])).rstrip()


def _by_reason(told: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for each reason, with what it is about."""
    about: dict[str, dict[str, None]] = {}
    for reason, name in told:
        about.setdefault(reason, {})[name] = None
    for reason, names in about.items():
        yield f"  {len(names)} ({reason}): {listed(names, _MOST_NAMES)}"


def _visible(line: str) -> str:
    """What comes from outside moves no cursor and changes no colour."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
