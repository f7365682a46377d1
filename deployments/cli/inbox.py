"""`runbooks inbox`: what was delivered, and what became of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, rows, say
from runbooks.errors import BadInput, NotFound
from runbooks.telling.words import moment

if TYPE_CHECKING:
    from tasks.gateways.ledger import Delivery

app = App(
    name="inbox",
    help_epilogue="""\
Examples:

  runbooks inbox list
  runbooks inbox list --state set-aside
  runbooks inbox show delivery-0123456789abcdef0123 > payload.json
""",
)


@app.command(name="list")
def list_deliveries(
    *,
    state: Literal["pending", "handled", "set-aside"] | None = None,
    limit: Annotated[PositiveInt, Parameter(name="--limit")] = 100,
    as_json: Json = False,
) -> None:
    """The newest deliveries, newest first, with the reason of what was set aside.

    Args:
        state: Only these.
        limit: At most so many.
    """
    with opened(ledger_exists=True) as have:
        deliveries = have.ledger.deliveries(state, limit)
    if as_json:
        data([each.model_dump(mode="json", exclude={"body"}) for each in deliveries])
        return
    header = ("ID", "RECEIVED", "SOURCE", "STATE", "CODE", "REASON")
    rows(
        header,
        (
            (each.id, moment(each.received_at), each.source, each.state, each.code or "", each.reason or "")
            for each in deliveries
        ),
    )


@app.command
def show(delivery: str, /, *, as_json: Json = False) -> None:
    """One delivery: its payload on standard output, byte for byte into a pipe, and what became of it.

    Args:
        delivery: Its id.
    """
    with opened(ledger_exists=True) as have:
        found = have.ledger.delivery(delivery) or have.ledger.delivery(f"delivery-{delivery}")
    if found is None:
        raise NotFound(f"there is no delivery {delivery}; see runbooks inbox list", code="no-such-delivery")
    if as_json:
        data(found.model_dump(mode="json", exclude={"body"}) | {"body": found.body.decode("utf-8", "backslashreplace")})
        return
    reason = f": {found.code}: {found.reason}" if found.code else ""
    say(f"{found.id} from {found.source} at {moment(found.received_at)}, {found.state}{reason}")
    if sys.stdout.isatty():
        lines(*_readable(found).splitlines())
    else:
        sys.stdout.buffer.write(found.body)


def _readable(delivery: Delivery) -> str:
    from runbooks import strict_json

    try:
        value: Any = strict_json.loads(delivery.body)
    except BadInput:
        return delivery.body.decode("utf-8", "backslashreplace")
    return json.dumps(value, indent=2)
