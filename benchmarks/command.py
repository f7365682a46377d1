"""How long the `runbooks` command takes to start: its help, over a bare import of the library it is made with.

    python -m benchmarks.command [ROUNDS]

Each round starts every program once, in turns; compiled files are kept in a folder of this benchmark's own and made
before the first round. Prints a table, and then one JSON object: `command_start_ratio`, `runbooks --help` over `import
cyclopts` and an `App()`, the median of the rounds, by processor time (by the clock beside it); `library_help_ratio`,
the same for the help of an app of that library with nothing in it: no command that is made with it comes below.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measured_on import measured_on

ROUNDS = 9
PROGRAMS = {
    "library": ("-c", "import cyclopts; cyclopts.App()"),
    "library_help": ("-c", "import cyclopts; cyclopts.App(help_format='plaintext')(['--help'], exit_on_error=False)"),
    "runbooks_help": ("-m", "deployments.cli.main", "--help"),
}


class Spent(NamedTuple):
    seconds: float
    processor: float


def main(rounds: int) -> None:
    figures = measure(rounds)
    for name, value in figures.items():
        sys.stdout.write(f"{name:36} {value}\n")
    sys.stdout.write(json.dumps({**figures, "measured_on": measured_on("cyclopts", "rich")}) + "\n")


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """The figures; see the module."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as compiled:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = compiled
        for program in PROGRAMS.values():
            _started(program, env)
        measured = [{name: _started(program, env) for name, program in PROGRAMS.items()} for _ in range(rounds)]
    return {
        "command_start_ratio": _ratio(
            [(each["runbooks_help"].processor, each["library"].processor) for each in measured]
        ),
        "command_start_clock_ratio": _ratio(
            [(each["runbooks_help"].seconds, each["library"].seconds) for each in measured]
        ),
        "library_help_ratio": _ratio(
            [(each["library_help"].processor, each["library"].processor) for each in measured]
        ),
        "processor_ms": {
            name: round(1000 * statistics.median(each[name].processor for each in measured)) for name in PROGRAMS
        },
    }


def _started(program: tuple[str, ...], env: dict[str, str]) -> Spent:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = (sys.executable, *program)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env, cwd=Path(__file__).resolve().parents[1])
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 2)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
