"""How a command ends: every error becomes one line on standard error, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from cyclopts import CycloptsError, UnknownCommandError

from deployments.cli.output import say
from runbooks.errors import RunbooksError

DONE, ANSWER_IS_NO, BAD_INPUT, OUTSIDE_FAILED = 0, 1, 2, 3
INTERRUPTED, READER_GONE = 130, 141
"""As a shell reports a program that SIGINT or SIGPIPE has ended."""


def exit_code_of(command: Callable[[], Any]) -> int:
    """Run a command; what it returns, or what its error means, is the exit code."""
    try:
        answer = command()
        sys.stdout.flush()
    except RunbooksError as error:
        return _told(error.code, error.detail, error.exit_code)
    except CycloptsError as error:
        return _told("usage", f"{_misuse(error)} See {_command_of(error)} --help.", BAD_INPUT)
    except BrokenPipeError:
        # What is still buffered would be refused again, with a message, when the interpreter flushes at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - it lives as long as the process
        return READER_GONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost line: here a defect of ours becomes an exit code
        return _defect(error)
    return answer if isinstance(answer, int) else DONE


def _told(code: str, detail: str, exit_code: int) -> int:
    _show_traceback()
    say(f"error: {code}: {detail}")
    return exit_code


def _defect(error: Exception) -> int:
    said = str(error) or "no message"
    return _told("defect", f"{type(error).__name__}: {said} (RUNBOOKS_DEBUG=1 shows the traceback)", OUTSIDE_FAILED)


def _show_traceback() -> None:
    if os.environ.get("RUNBOOKS_DEBUG") == "1":
        say(traceback.format_exc())


def _misuse(error: CycloptsError) -> str:
    """Cyclopts' own words, but for an unknown command: to find a similar one it would import every command there is."""
    if not isinstance(error, UnknownCommandError) or not error.unused_tokens:
        return str(error)
    unknown = error.unused_tokens[0]
    similar = get_close_matches(unknown, list(error.app or ()), n=1)
    return f'Unknown command "{unknown}".' + (f' Did you mean "{similar[0]}"?' if similar else "")


def _command_of(error: CycloptsError) -> str:
    return " ".join(("runbooks", *(error.command_chain or ())))
