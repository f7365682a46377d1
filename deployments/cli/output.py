"""What commands print: data on standard output, as text or JSON; talk on standard error.

Much of it comes from outside (findings, tags, comments): no character of it reaches the terminal that could move the
cursor, change colours or turn the text around.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TextIO

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="As JSON.")]


def data(value: Any) -> None:
    """`value` as JSON, on standard output; models and times as their JSON forms."""
    from pydantic_core import to_jsonable_python

    print(json.dumps(to_jsonable_python(value), indent=2))


def lines(*texts: str) -> None:
    """Lines of text, on standard output."""
    for text in texts:
        print(_shown(text, sys.stdout))


def rows(header: Sequence[str], body: Iterable[Sequence[str]]) -> None:
    """A table for a person at a terminal; for a program, lines of cells with tabs between them."""
    cells = [[_one_line(cell) for cell in row] for row in body]
    if sys.stdout.isatty():
        _table(header, cells)
    else:
        for row in (header, *cells):
            print(_shown("\t".join(row), sys.stdout, keep="\t"))


def document(markdown: str) -> None:
    """A text in markdown, escaped already: rendered at a terminal, as it is elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(markdown))
    else:
        print(_encodable(markdown, sys.stdout), end="")


def say(text: str) -> None:
    """Talk: progress, hints and errors, on standard error."""
    for line in text.splitlines() or ("",):
        print(_shown(line, sys.stderr), file=sys.stderr, flush=True)


def _table(header: Sequence[str], cells: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shown(text: str, stream: TextIO, keep: str = "") -> str:
    """The text with a mark in place of what is not visible."""
    visible = "".join(each if each.isprintable() or each in keep else "\N{REPLACEMENT CHARACTER}" for each in text)
    return _encodable(visible, stream)


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
