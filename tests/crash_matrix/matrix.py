"""Break a story at each of its points, each in a copy of its world, and judge how it was brought home.

A worker lives through a story once. Before each turn it forks: in each copy that turn is broken at one point, and what
the product then makes of it is played to the end. So nothing that lies before a point is played again for it.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash_matrix.driver import NeverEnds, Turn, deliver, play, turns
from tests.crash_matrix.executor import the_product
from tests.crash_matrix.judge import Facts, Wrong, compare, facts_of
from tests.crash_matrix.line import NOT_AWS, Event
from tests.crash_matrix.points import Point, points_of
from tests.crash_matrix.stopped import Late, overtaken_at
from tests.crash_matrix.stories import STORIES, Story
from tests.crash_matrix.world import Addresses, World


@dataclass(frozen=True)
class Broken:
    """One point, and what was wrong after it."""

    point: Point
    wrong: list[tuple[Wrong, str]]
    reached: bool


Choose = Callable[[list[Point]], list[Point]]


class Worker:
    """Breaks one story after another, as it is given them."""

    def __init__(self, folder: Path, choose: Choose, tell: Callable[[Broken], None]) -> None:
        self._folder = folder
        self._choose = choose
        self._tell = tell
        self.addresses = Addresses()
        self._rehearsed: set[type] = set()
        self.kinds: set[str] = set()
        """Of the steps that the stories carried out, undisturbed."""

    def run(self, stories: Iterable[str]) -> None:
        with the_product(self.addresses):
            for name in stories:
                self.rehearse(STORIES[name])
                self._break(name)

    def run_stopped(self, only: str, tell: Callable[[Late], None]) -> None:
        """Instead of breaking anything: hold back each change of AWS until another run has brought its case home."""
        with the_product(self.addresses):
            self.rehearse(STORIES["patch"])
            world = self.new_world(STORIES["patch"], "patch")
            undisturbed: Undisturbed = self.in_a_copy(world, live_through)
            for number, turn in enumerate(turns(world)):
                for event in undisturbed.events[number]:
                    if event.kind == "change" and not event.name.startswith(NOT_AWS) and only in event.name:
                        late = partial(overtaken_at, turn=turn, event=event, undisturbed=undisturbed.facts)
                        tell(self.in_a_copy(world, late))
                world.serve()
                play(world, turn)
                world.rest()

    def rehearse(self, story: Story) -> None:
        """Load what the processes will need, before they are forked: once for each kind of resource."""
        kind = type(story.subject)
        if kind in self._rehearsed:
            return
        self._rehearsed.add(kind)
        world = self.new_world(story, f"rehearsal-{kind.__name__}")
        world.serve()
        for turn in turns(world):
            play(world, turn, here=True)
        world.rest()

    def _break(self, name: str) -> None:
        world = self.new_world(STORIES[name], name)
        gc.collect()
        gc.freeze()
        undisturbed: Undisturbed = self.in_a_copy(world, live_through)
        assert [result for result, _ in undisturbed.facts.ended] == ["fixed"], undisturbed.facts
        self.kinds |= undisturbed.facts.kinds
        points = self._choose(list(points_of(name, undisturbed.events, STORIES[name].breadth)))
        last = max((point.turn for point in points), default=-1)
        for number, turn in enumerate(turns(world)):
            for point in (each for each in points if each.turn == number):
                self._tell(self.in_a_copy(world, partial(broken_at, turn=turn, point=point, undisturbed=undisturbed)))
            if number >= last:
                break
            world.serve()
            play(world, turn)
            world.rest()

    def new_world(self, story: Story, folder: str) -> World:
        world = World(self.addresses, self._folder / folder, story)
        deliver(world)
        return world

    def in_a_copy(self, world: World, live: Callable[[World], Any]) -> Any:
        """What `live` makes of a copy of the world, which is gone afterwards."""
        answer, write = os.pipe()
        child = os.fork()
        folder = self._folder / "copy"
        if child == 0:
            code = 1
            try:
                os.close(answer)
                world.part(folder)
                with os.fdopen(write, "wb") as out:
                    pickle.dump(live(world), out)
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        os.close(write)
        with os.fdopen(answer, "rb") as back:
            text = back.read()
        os.waitpid(child, 0)
        shutil.rmtree(folder, ignore_errors=True)
        return pickle.loads(text)


@dataclass(frozen=True)
class Undisturbed:
    """A story with nothing broken: the events of each turn, and what it comes to."""

    events: list[list[Event]]
    facts: Facts


def live_through(world: World) -> Undisturbed:
    world.cloud.watches = True
    events = [play(world, turn) for turn in turns(world)]
    return Undisturbed(events, facts_of(world))


def broken_at(world: World, *, turn: Turn, point: Point, undisturbed: Undisturbed) -> Broken:
    """Break the turn at the point, bring the response home, and judge."""
    play(world, turn, point.blow)
    reached = world.line.struck
    stuck: list[tuple[Wrong, str]] = []
    try:
        for later in turns(world):
            play(world, later)
            if later.run is not None:
                world.cloud.forget_past()
    except NeverEnds:
        stuck.append(("lost", "the response never comes home"))
    return Broken(point, [*stuck, *compare(undisturbed.facts, facts_of(world))], reached)
