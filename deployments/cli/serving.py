"""Commands that run until they are stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def ends_when_told() -> Iterator[None]:
    """SIGTERM and SIGINT end it at once, as done: what it was about is done again without harm."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _leave) for number in numbers}
    try:
        yield
    except Told:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Told(SystemExit):
    """It is to end. An event loop lets only this kind of exception through, whichever task is running."""


def _leave(_number: int, _frame: object) -> NoReturn:
    raise Told
