"""`runbooks consumer`: the SQS queue into the inbox."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from deployments.cli.opening import opened
from deployments.cli.output import say
from deployments.cli.serving import ends_when_told
from runbooks.errors import Outside, RunbooksError
from runbooks.timestamps import moment

if TYPE_CHECKING:
    from tasks.gateways.queue import Queue
    from tasks.services import Services

app = App(
    name="consumer",
    help_epilogue="""\
Examples:

  RUNBOOKS_QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/123456789012/findings \\
    runbooks consumer
  runbooks consumer --once

It only keeps what the queue holds; the sweep does the rest: runbooks sweep.
Any number of consumers may share a queue.
""",
)


@app.default
def consumer(*, once: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> None:
    """Take messages from the SQS queue into the inbox, until it is stopped. A message is deleted once it is kept.

    Args:
        once: One batch only; the exit code is 3 when it could not be kept, or not be deleted.
    """
    from tasks.consuming import queue_of
    from tasks.safety import require_safe

    with ends_when_told(), opened() as have:
        queue = queue_of(have.settings)
        require_safe(have)
        if once:
            _once(have, queue)
        else:
            _for_ever(have, queue)


def _once(have: Services, queue: Queue) -> None:
    from tasks.consuming import consume

    consumed = consume(have, queue)
    _log(have, consumed.words or "no messages")
    if consumed.left:
        raise Outside("; ".join(consumed.left), code="not-deleted")


def _for_ever(have: Services, queue: Queue) -> NoReturn:
    """A trouble is told once and tried again after a pause; the same one is not told each time."""
    from tasks.consuming import consume, pauses

    told, pause = "", pauses()
    while True:
        try:
            consumed = consume(have, queue)
        except RunbooksError as error:
            if (trouble := f"trouble: {error.code}: {error.detail}") != told:
                _log(have, trouble)
            told = trouble
            time.sleep(next(pause))
            continue
        if consumed.words:
            _log(have, consumed.words)
        elif not have.settings.queue_wait_seconds:
            time.sleep(1)  # Who does not let the queue wait waits here.
        told, pause = "", pauses()


def _log(have: Services, words: str) -> None:
    say(f"{moment(have.now())}  {words}")
