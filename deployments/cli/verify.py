"""`runbooks verify`: Inspector looks again, and the case is judged."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.identity import As
from deployments.cli.on_demand import Wait, respond_on_demand
from deployments.cli.output import Json

app = App(
    name="verify",
    help_epilogue="""\
Examples:

  runbooks verify i-0123456789abcdef0
  runbooks verify case-0123456789ab --no-wait

The exit code is 0 when the case is fixed, 1 when it is not or cannot be told.
Ctrl-C stops following, and nothing else.
""",
)


@app.default
def verify(case: str, /, *, wait: Wait = True, as_name: As = None, as_json: Json = False) -> int:
    """Hurry Inspector's next look at the case's resource, and judge what it then says. Changes nothing.

    Args:
        case: The case's id or the beginning of it, the id of its resource, or the ARN of one of its findings.
    """
    return respond_on_demand("verify", case, name=as_name, wait=wait, as_json=as_json)
