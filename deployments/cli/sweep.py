"""`runbooks sweep`: what keeps every response moving."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from deployments.cli.opening import opened
from deployments.cli.output import say
from runbooks.errors import InvalidSetting, Outside, RunbooksError
from runbooks.telling.words import moment

if TYPE_CHECKING:
    from tasks.services import Services
    from tasks.sweep import Swept

app = App(
    name="sweep",
    help_epilogue="""\
Examples:

  runbooks sweep
  runbooks sweep --once

One is enough; a second does no harm. It starts runs on the Prefect server that
PREFECT_API_URL names.
""",
)


@app.default
def sweep(*, once: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> None:
    """Drain the inbox, start and restart runs, expire approvals, look again; every few seconds, until it is stopped.

    Args:
        once: One pass only; the exit code is 3 when it could not be made.
    """
    with _ends_when_told(), opened() as have:
        _require_prefect()
        asyncio.run(_once(have) if once else _for_ever(have))


def _require_prefect() -> None:
    """Without the address of a server Prefect would start a temporary one, which no worker knows of."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise InvalidSetting("PREFECT_API_URL is not set: the sweep starts runs on the Prefect server there")


async def _once(have: Services) -> None:
    from tasks.sweep import sweep as pass_over

    swept = await pass_over(have)
    _log(have, _words(swept) or "nothing to do")
    if swept.troubles:
        raise Outside("; ".join(swept.troubles), code="sweep-trouble")


async def _for_ever(have: Services) -> NoReturn:
    """A trouble is told once and tried again; the same one is not told at every pass."""
    from tasks.sweep import sweep as pass_over

    last = ""
    while True:
        try:
            swept = await pass_over(have)
            words, trouble = _words(swept), "; ".join(swept.troubles)
        except RunbooksError as error:
            words = trouble = f"trouble: {error.code}: {error.detail}"
        if words and (words != last or not trouble):
            _log(have, words)
        last = words if trouble else ""
        await asyncio.sleep(have.settings.sweep_seconds)


def _words(swept: Swept) -> str:
    """One line of what a pass did; empty when it did nothing."""
    parts = {
        "deliveries": str(swept.deliveries or ""),
        "started": ", ".join(each for each in swept.started if each not in swept.restarted),
        "restarted": ", ".join(f"{response} ({why})" for response, why in swept.restarted.items()),
        "approval expired": ", ".join(swept.expired),
        "trouble": "; ".join(swept.troubles),
    }
    return "; ".join(f"{what}: {which}" for what, which in parts.items() if which)


def _log(have: Services, words: str) -> None:
    say(f"{moment(have.now())}  {words}")


@contextmanager
def _ends_when_told() -> Iterator[None]:
    """SIGTERM and SIGINT end it at once, as done: whatever it was about, the next sweep does again without harm."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, _leave) for number in numbers}
    try:
        yield
    except _Told:
        return
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Told(SystemExit):
    """It is to end. An event loop lets only this kind of exception through, whichever task is running."""


def _leave(_number: int, _frame: object) -> NoReturn:
    raise _Told
