"""Contain and release 1,000 generated instances, block and retire 200 images, and say what is not as it was.

python -m tests.tasks.reversibility [--instances 1000] [--images 200] [--processes 2] [--round 7]
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from tests.tasks.reversibility.carrying_out import TOGETHER, images_in_a_process, in_a_process
from tests.tasks.reversibility.descriptions import rounds
from tests.tasks.reversibility.image_trips import Trip as ImageTrip
from tests.tasks.reversibility.image_worlds import Owned, worlds
from tests.tasks.reversibility.round_trip import Trip


def main() -> int:
    """Returns 0 when everything is as it was, or as it was announced, or as somebody else made it."""
    options = _parse()
    begun, total = time.monotonic(), Trip()
    every = [each for each in rounds(options.instances, TOGETHER) if options.round in (None, each.number)]
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        for each, trip in zip(every, pool.map(in_a_process, every), strict=True):
            total += trip
            _say(f"round {each.number}: {trip.instances} instances, {len(trip.violations)} not as they should be")
            for violation in trip.violations:
                _say(f"  {violation}")
        if every:
            _say_all(total, len(every), time.monotonic() - begun)
        images = ImageTrip()
        for trip in pool.map(images_in_a_process, _batches(options.images)):
            images += trip
        _say_images(images, time.monotonic() - begun)
    return 1 if total.violations or images.violations else 0


def _batches(images: int) -> list[list[tuple[int, Owned]]]:
    """Every image with its number, so many at a time."""
    numbered = list(enumerate(worlds(images)))
    return [numbered[start : start + TOGETHER] for start in range(0, images, TOGETHER)]


def _say_images(total: ImageTrip, seconds: float) -> None:
    for violation in total.violations:
        _say(f"  {violation}")
    _say(f"{total.images} images, {seconds:.0f} s; values compared: {total.compared}")
    _say(f"steps: {sum(total.steps.values())} ({', '.join(f'{n} {what}' for what, n in sorted(total.steps.items()))})")
    _say(f"crashes: {total.crashes}; kept from by what somebody else did, and said so: {total.reported}")
    _say(f"changed by somebody else meanwhile: {sum(total.meddling.values())} {dict(total.meddling)}")
    _say(f"not as they should be: {len(total.violations)}")


def _say_all(total: Trip, responses: int, seconds: float) -> None:
    steps = ", ".join(f"{count} {status}" for status, count in total.steps.most_common())
    _say(f"{total.instances} instances in {responses} responses, {seconds:.0f} s")
    _say(f"values compared: {total.compared}; announced beforehand as not to be put back: {total.announced}")
    _say(f"steps: {sum(total.steps.values())} ({steps})")
    _say(f"crashes: {sum(total.crashes.values())} {dict(total.crashes)}")
    _say(f"changed by somebody else meanwhile: {sum(total.meddling.values())} {dict(total.meddling)}")
    _say(f"not as they should be: {len(total.violations)}")


_say = partial(print, flush=True, file=sys.stdout)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="reversibility", description=__doc__)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--round", type=int, help="only this one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
