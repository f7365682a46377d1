"""`runbooks worker`: what runs the flows."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import App, Parameter

POLL_SECONDS = "0.25"

app = App(
    name="worker",
    help_epilogue="""\
Examples:

  PREFECT_API_URL=http://127.0.0.1:4200/api runbooks worker
  runbooks worker --pool remediation-runbooks --limit 20

Each flow run has a process of its own. It is forked from one that has
imported everything, and so starts seconds sooner than with Prefect's worker
for the same pool, which may be used instead, or beside it:

  prefect worker start --pool remediation-runbooks --type process
""",
)


@app.default
def worker(
    *,
    pool: str = "remediation-runbooks",
    limit: int | None = None,
    healthcheck: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> None:
    """Run the flows that Prefect gives to a work pool, until it is stopped.

    Args:
        pool: The work pool, of type process.
        limit: How many flow runs there may be at once. Without it, any number.
        healthcheck: Serve /health, where PREFECT_WORKER_WEBSERVER_HOST and _PORT say.
    """
    # Prefect's default is every ten seconds; its settings are read when it is imported.
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", POLL_SECONDS)
    from deployments.worker.forking import Template

    template = Template(dict(os.environ))
    template.start()  # It imports while this process does.
    from deployments.worker.warm import serve

    serve(template, pool, limit=limit, healthcheck=healthcheck)
