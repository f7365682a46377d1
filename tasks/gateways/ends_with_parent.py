"""Becomes a program that ends when the process that started it does, be that by SIGKILL.

`python ends_with_parent.py PARENT PROGRAM [ARGUMENT...]`, PARENT being the process id of whoever starts it. Only Linux
can do so (prctl(2), PR_SET_PDEATHSIG, which an exec leaves in force); elsewhere the program just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1


def main(parent: int, program: str, *arguments: str) -> None:
    """Replace this process by the program."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # It was gone before this was asked for.
            sys.exit(1)
    os.execv(program, (program, *arguments))  # noqa: S606 - the program and its arguments are the caller's own


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
