"""The crash matrix: `python -m tests.crash_matrix`, with `--help` for its choices.

Prints which kinds of steps its stories carry out, `N points, D duplicates, L lost, U unrestorable, O left open` and
which point fails first; ends with 1 unless all four are 0, and, of the whole matrix, N is at least 1,000. With
`--stopped` nothing is broken: it measures what a run does that is stopped between its check and its call.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tests.conftest  # noqa: F401 - nothing of this machine's owner is read, nothing beyond loopback is reached
from tests.crash_matrix.stories import STORIES

AT_LEAST = 1_000
_fork = multiprocessing.get_context("fork")


def main() -> int:
    options = _options()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="crash-matrix-") as folder:
            if options.stopped:
                return _measure_stopped(options, Path(folder))
            wrong = _report(options, list(_broken(options, Path(folder))))
    finally:
        shutil.rmtree(os.environ["PREFECT_HOME"], ignore_errors=True)
    _say(f"{time.monotonic() - began:.0f} s, {options.workers} workers")
    return 1 if wrong else 0


def _broken(options: argparse.Namespace, folder: Path) -> Iterator[Any]:
    """Every point as it is judged, whichever worker broke it; a worker that fails is None."""
    kinds: set[str] = set()
    told, stories = _fork.SimpleQueue(), _fork.SimpleQueue()
    workers = [
        _fork.Process(target=_work, args=(options, folder / str(number), stories, told))
        for number in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    for name in [options.story] if options.story else STORIES:
        stories.put(name)
    for _ in workers:
        stories.put(None)
    running = len(workers)
    while running:
        broken = told.get()
        if isinstance(broken, frozenset):
            running -= 1
            kinds |= broken
            continue
        if broken.wrong or not broken.reached:
            _say(f"{broken.point}" + ("" if broken.reached else ": was not reached"))
            for kind, words in broken.wrong:
                _say(f"    {kind}: {words}")
        yield broken
    _say(f"steps: {', '.join(sorted(kinds))}")
    for worker in workers:
        worker.join()
        if worker.exitcode:
            yield None


def _report(options: argparse.Namespace, found: list[Any]) -> bool:
    """Say what was found; whether anything is wrong with it."""
    judged = [each for each in found if each is not None]
    counted = Counter(kind for each in judged for kind, _ in each.wrong)
    failed = [each for each in judged if each.wrong or not each.reached]
    for what, number in sorted(Counter(f"{each.point.blow.when}: {each.point.blow.how}" for each in judged).items()):
        _say(f"    {number:5} {what}")
    _say(
        f"{len(judged)} points, {counted['duplicate']} duplicates, {counted['lost']} lost, "
        f"{counted['unrestorable']} unrestorable, {counted['left open']} left open"
    )
    if failed:
        _say(f"first to fail: {failed[0].point}")
    enough = len(judged) >= (1 if options.sample or options.story or options.only else AT_LEAST)
    return bool(failed) or not enough or len(judged) < len(found)


def _measure_stopped(options: argparse.Namespace, folder: Path) -> int:
    from tests.crash_matrix.matrix import Worker

    late: list[Any] = []

    def tell(each: Any) -> None:
        late.append(each)
        words = "; ".join(f"{kind}: {what}" for kind, what in each.wrong) or "nothing is wrong"
        effect = "took effect" if each.took_effect else "AWS refused it"
        _say(f"{each.event.name} ({each.event.occurrence}): {effect}, {each.others} changes after it; {words}")

    Worker(folder, lambda points: points, lambda broken: None).run_stopped(options.only, tell)
    _say(
        f"{len(late)} calls held back, {sum(each.took_effect for each in late)} took effect all the same, "
        f"{sum(each.others for each in late)} changes after them, {sum(bool(each.wrong) for each in late)} did harm"
    )
    return 1 if any(each.others for each in late) or not late else 0


def _work(options: argparse.Namespace, folder: Path, stories: Any, told: Any) -> None:
    from tests.crash_matrix.matrix import Worker  # loads everything, in each worker

    def choose(points: list[Any]) -> list[Any]:
        chosen = [point for point in points if options.only in str(point)]
        if not options.sample:
            return chosen
        # The middle of each of as many equal parts.
        wanted = min(max(1, options.sample // (1 if options.story else len(STORIES))), len(chosen))
        return [chosen[(2 * number + 1) * len(chosen) // (2 * wanted)] for number in range(wanted)]

    folder.mkdir()
    worker = Worker(folder, choose, told.put)
    try:
        worker.run(iter(stories.get, None))
    finally:
        told.put(frozenset(worker.kinds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="crash_matrix", description="Break the playbook everywhere, once each.")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="about so many points, evenly spread")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--story", choices=list(STORIES))
    parser.add_argument("--only", default="", metavar="WORDS", help="the points whose description has these words")
    parser.add_argument("--stopped", action="store_true", help="measure what a stopped and overtaken run does")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
