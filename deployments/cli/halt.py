"""`runbooks halt`: stop every change at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from deployments.cli.identity import As, login
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, say
from runbooks.errors import BadInput

if TYPE_CHECKING:
    from tasks.services import Services

Status = Annotated[bool, Parameter(negative="", show_default=False)]

app = App(
    name="halt",
    help_epilogue="""\
Examples:

  runbooks halt --reason "wrong group quarantined, see INC-4711"
  runbooks halt --status
  runbooks resume --reason "the runbook is mended"

From the next call on nothing is changed any more, in AWS and by any run; an
interface that is on its way through an open group still reaches its quarantine.
People are told all the same, in Slack and Jira.
""",
)


@app.default
def halt(*, reason: str = "", by: As = None, status: Status = False, as_json: Json = False) -> None:
    """Stop every change at once, over all responses, until `runbooks resume`.

    Args:
        reason: Why, for everyone who meets it.
        status: Only say whether everything is halted.
    """
    from tasks import halting

    if status:
        _show(as_json=as_json)
        return
    with opened() as have:
        made = halting.halt(have, by or login(), reasoned(reason))
        if as_json:
            data(made)
        else:
            lines(halting.words(made))
        announce(have, made.number, f"⛔ Everything is {halting.words(made)}. Nothing is changed until it is resumed.")
        say('Next: runbooks cases list; then runbooks resume --reason "..."')


def reasoned(reason: str) -> str:
    """The reason given.

    Raises:
        BadInput: there is none.
    """
    if not reason.strip():
        raise BadInput('say why: --reason "..."', code="no-reason")
    return reason.strip()


def announce(have: Services, number: int, text: str) -> None:
    """Tell the SOC's channel; where that fails, the one who typed the command does it."""
    from tasks import halting

    if trouble := halting.tell(have, number, text):
        say(f"Slack was not told ({trouble}): tell your colleagues yourself")


def warn_if_halted(have: Services) -> None:
    """A banner for commands that show what is going on: nothing is, while everything is halted."""
    from tasks import halting

    if (made := halting.halted(have)) is not None:
        say(f"⛔ {halting.words(made)}; nothing is changed until: runbooks resume")


def _show(*, as_json: bool) -> None:
    from tasks import halting

    with opened(ledger_exists=True) as have:
        made = halting.halted(have)
        if as_json:
            data({"halted": made is not None, "halt": made})
        else:
            lines(halting.words(made) if made else "not halted: what is approved is carried out")
