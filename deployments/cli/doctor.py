"""`runbooks doctor`: is it safe and able to run like this?"""

from __future__ import annotations

from dataclasses import asdict

from cyclopts import App

from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines

app = App(
    name="doctor",
    help_epilogue="""\
Examples:

  runbooks doctor
  runbooks doctor --json

What is marked `refuses` also keeps the receiver, the sweep and every flow run
from starting.
""",
)


@app.default
def doctor(*, as_json: Json = False) -> int:
    """Look at versions, logins, keys, approvers, ledger and clocks. The exit code is 1 when something refuses."""
    from tasks.safety import examine

    with opened() as have:
        checks = examine(have)
    refusing = [check for check in checks if check.refuses and not check.ok]
    if as_json:
        data({"ok": not refusing, "checks": [asdict(check) for check in checks]})
    else:
        lines(*(f"{_mark(check.ok, check.refuses)}  {check}" for check in checks))
    return ANSWER_IS_NO if refusing else DONE


def _mark(ok: bool, refuses: bool) -> str:
    return "ok     " if ok else "REFUSES" if refuses else "advice "
