"""All benchmarks, or those that are named, one after the other.

    python -m benchmarks [NAME...]

Each runs as `python -m benchmarks.NAME` does, in a process of its own; its table goes to standard error as it comes. At
the end one table and one JSON object stand on standard output: by benchmark, what it measured, and on what.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured_on import measured_on

QUICK: dict[str, tuple[str, ...]] = {
    "command": (),
    "ingest": (),
    "grouping": (),
    "starting": (),
    "calls": (),
    "throttle": (),
    "audit": ("100000",),
}
"""Name -> arguments of its quick form, in the order in which they run; each prints one JSON object last."""


def main(names: Sequence[str]) -> None:
    if unknown := sorted(set(names) - set(QUICK)):
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}: there are {', '.join(QUICK)}")
    figures: dict[str, Any] = {"measured_on": measured_on()}
    figures |= {name: _measured(name) for name in QUICK if name in names or not names}
    for path, value in _flat(figures):
        sys.stdout.write(f"{path:60} {value}\n")
    sys.stdout.write(json.dumps(figures) + "\n")


def _measured(name: str) -> dict[str, Any]:
    """The figures of one benchmark.

    Raises:
        SystemExit: It is not there, it failed, or it printed no figures: none is left out in silence.
    """
    command = (sys.executable, "-m", f"benchmarks.{name}", *QUICK[name])
    sys.stderr.write(f"--- {name}\n")
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1]) as done:
        assert done.stdout is not None  # a pipe was asked for
        for line in done.stdout:
            lines.append(line)
            sys.stderr.write("" if line.startswith("{") else line)
    if done.returncode != 0 or not lines or not lines[-1].startswith("{"):
        raise SystemExit(f"benchmarks.{name} did not measure: it ended with {done.returncode}")
    return json.loads(lines[-1])


def _flat(figures: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


if __name__ == "__main__":
    main(sys.argv[1:])
