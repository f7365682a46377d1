"""`runbooks resume`: let changes be made again."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.halt import announce, reasoned
from deployments.cli.identity import As, login
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, say

app = App(
    name="resume",
    help_epilogue="""\
Examples:

  runbooks resume --reason "the runbook is mended"

It needs the signing key. What waits goes on from where it stood, and looks at
the world first; approvals that expired meanwhile are gone. The exit code is 1
when everything is still halted.
""",
)


@app.default
def resume(*, reason: str = "", by: As = None, as_json: Json = False) -> int:
    """Let changes be made again, after a halt.

    Args:
        reason: Why it is safe again.
    """
    from tasks import halting

    with opened(ledger_exists=True) as have:
        before = halting.halted(have)
        if before is None:
            say("Nothing is halted.")
            return DONE
        who, why = by or login(), reasoned(reason)
        still = halting.resume(have, before, who, why)
        words = f"resumed by {who}: {why}" if still is None else halting.words(still)
        if as_json:
            data({"halted": still is not None, "by": who, "reason": why, "ended": before})
        else:
            lines(words)
        if still is not None:
            say("Somebody halted again meanwhile: look, then resume once more.")
            return ANSWER_IS_NO
        announce(have, before.number + 1, f"▶️ Changes are made again: {words}")
        return DONE
