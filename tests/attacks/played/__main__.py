"""`python -m tests.attacks.played`: tries every attack in a copy of its world, and prints what came of each as JSON."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import tests.conftest  # noqa: F401 - nothing of this machine's owner is read, nothing beyond loopback is reached
from tests.attacks.played.attack import Came, carried_on, has_come
from tests.attacks.played.catalogue import ATTACKS
from tests.attacks.played.stories import STORIES
from tests.crash_matrix.driver import play, turns
from tests.crash_matrix.executor import the_product
from tests.crash_matrix.matrix import Worker


def main(wanted: str = "") -> None:
    attacks = [each for each in ATTACKS if wanted in each.name]
    with tempfile.TemporaryDirectory(prefix="attacks-") as folder:
        worker = Worker(Path(folder), lambda points: points, lambda broken: None)
        with the_product(worker.addresses):
            for name in dict.fromkeys(each.story for each in attacks):
                worker.rehearse(STORIES[name])
                _try(worker, name, [each for each in attacks if each.story == name])
    shutil.rmtree(os.environ["PREFECT_HOME"], ignore_errors=True)


def _try(worker: Worker, name: str, attacks: list) -> None:
    """Live through the story once; where an attack's moment comes, try it in a copy of the world."""
    world, left = worker.new_world(STORIES[name], name), list(attacks)
    for turn in turns(world):
        for attack in [each for each in left if has_come(world, each.moment)]:
            left.remove(attack)
            came: Came = worker.in_a_copy(world, partial(carried_on, attack=attack))
            sys.stdout.write(f"{json.dumps(vars(came))}\n")
            sys.stdout.flush()
        if not left:
            return
        world.serve()
        play(world, turn)
        world.rest()


if __name__ == "__main__":
    main(*sys.argv[1:])
