"""`runbooks release`: end the containment of a case."""

from __future__ import annotations

from cyclopts import App

from deployments.cli.identity import As
from deployments.cli.on_demand import Wait, respond_on_demand
from deployments.cli.output import Json

app = App(
    name="release",
    help_epilogue="""\
Examples:

  runbooks release i-0123456789abcdef0
  runbooks release case-0123456789ab --no-wait

The exit code is 0 when everything is as it was before, 1 otherwise.
Ctrl-C stops following, and nothing else.
""",
)


@app.default
def release(case: str, /, *, wait: Wait = True, as_name: As = None, as_json: Json = False) -> int:
    """Put back what containing the case changed. A person is asked before anything is changed.

    Of an open port, or a function that is not contained: what remedied it, which is open or vulnerable again then.

    Args:
        case: The case's id or the beginning of it, or the id of its resource.
    """
    return respond_on_demand("release", case, name=as_name, wait=wait, as_json=as_json)
