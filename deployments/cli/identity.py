"""Who sits at the terminal, and how they prove it."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from runbooks.errors import BadInput

As = Annotated[str | None, Parameter(name="--as", help="Who you are, if not your login on this machine.")]
CodeFile = Annotated[
    Path | None,
    Parameter(
        allow_leading_hyphen=True,
        help="A file with your one-time code (- is standard input); otherwise you are asked for it.",
    ),
]


def login() -> str:
    """The login of whoever runs this command, as the machine has it.

    Raises:
        BadInput: it has none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise BadInput("this machine has no name for you; give one with --as", code="no-login") from None


def started_by(name: str | None) -> str:
    """What the ledger says of a response that this person starts; they do not approve it as well."""
    return f"command:{name or login()}"


def read_code(file: Path | None, prompt: str = "One-time code: ") -> str:
    """A one-time code: from a file, or typed unseen. Never from the command line, which every user can list.

    Raises:
        BadInput: the file cannot be read, or there is no terminal to ask at.
    """
    if file is not None:
        return _first_line(file)
    if not sys.stdin.isatty():
        raise BadInput("a one-time code is needed: give it at a terminal, or with --code-file", code="no-code")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise BadInput("no one-time code was given", code="no-code") from None


def _first_line(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.readline().strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}", code="unreadable") from error
