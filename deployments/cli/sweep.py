"""`runbooks sweep`: what keeps every response moving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from deployments.cli.opening import opened
from deployments.cli.output import say
from deployments.cli.serving import ends_when_told
from runbooks.errors import InvalidSetting, LedgerError, Outside, RunbooksError
from runbooks.timestamps import moment

if TYPE_CHECKING:
    from tasks.services import Services

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
    from tasks.safety import require_safe

    with ends_when_told(), opened() as have:
        _require_prefect()
        require_safe(have, around=True)
        asyncio.run(_once(have) if once else _for_ever(have))


def _require_prefect() -> None:
    """Without the address of a server Prefect would start a temporary one, which no worker knows of."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise InvalidSetting("PREFECT_API_URL is not set: the sweep starts runs on the Prefect server there")


async def _once(have: Services) -> None:
    from tasks.sweep import sweep as pass_over

    if state := _halt(have):
        _log(have, state)
    swept = await pass_over(have)
    _log(have, swept.words or "nothing to do")
    if swept.troubles:
        raise Outside("; ".join(swept.troubles), code="sweep-trouble")


async def _for_ever(have: Services) -> NoReturn:
    """A trouble is told once and tried again; the same one is not told at every pass, and neither is a halt."""
    from tasks.sweep import sweep as pass_over

    last = told = ""
    while True:
        if (state := _halt(have)) != told:
            _log(have, state or "not halted any more")
            told = state
        try:
            swept = await pass_over(have)
            words, trouble = swept.words, "; ".join(swept.troubles)
        except RunbooksError as error:
            words = trouble = f"trouble: {error.code}: {error.detail}"
        if words and (words != last or not trouble):
            _log(have, words)
        last = words if trouble else ""
        await asyncio.sleep(have.settings.sweep_seconds)


def _halt(have: Services) -> str:
    """The halt in force in words; empty where there is none, or the ledger cannot say: the pass will tell that."""
    from tasks import halting

    try:
        halt = halting.halted(have)
    except LedgerError:
        return ""
    return halting.words(halt) if halt else ""


def _log(have: Services, words: str) -> None:
    say(f"{moment(have.now())}  {words}")
