"""`runbooks inbox`: what was delivered, and what became of it; and asking for what was not."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.types import PositiveInt

from deployments.cli.identity import As, started_by
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, rows, say
from runbooks.errors import BadInput, InvalidSetting, NotFound, Outside
from runbooks.timestamps import moment

if TYPE_CHECKING:
    from runbooks.records import Reconciled
    from tasks.gateways.ledger import Delivery, Ledger

FURTHEST = timedelta(days=30)
"""How far back a person may ask."""

app = App(
    name="inbox",
    help_epilogue="""\
Examples:

  runbooks inbox list
  runbooks inbox list --state set-aside
  runbooks inbox show delivery-0123456789abcdef0123 > payload.json
  runbooks inbox replay delivery-0123456789abcdef0123
  runbooks inbox replay --code unknown-kind
  runbooks inbox pull
  runbooks inbox pull --since 2026-03-01
""",
)


@app.command(name="list")
def list_deliveries(
    *,
    state: Literal["pending", "handled", "set-aside"] | None = None,
    limit: Annotated[PositiveInt, Parameter(name="--limit")] = 100,
    as_json: Json = False,
) -> None:
    """The newest deliveries, newest first, with what became of each.

    Args:
        state: Only these.
        limit: At most so many.
    """
    with opened(ledger_exists=True) as have:
        deliveries = have.ledger.deliveries(state, limit)
    if as_json:
        data([each.model_dump(mode="json", exclude={"body"}) for each in deliveries])
        return
    header = ("ID", "RECEIVED", "SOURCE", "STATE", "CODE", "WHAT BECAME OF IT")
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
        found = _found(have.ledger, delivery)
    if as_json:
        data(found.model_dump(mode="json", exclude={"body"}) | {"body": found.body.decode("utf-8", "backslashreplace")})
        return
    became = ": ".join(filter(None, (found.state, found.code, found.reason)))
    say(f"{found.id} from {found.source} at {moment(found.received_at)}, {became}")
    if sys.stdout.isatty():
        lines(*_readable(found).splitlines())
    else:
        sys.stdout.buffer.write(found.body)


@app.command
def replay(
    delivery: str | None = None,
    /,
    *,
    code: str | None = None,
    kind: str | None = None,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Let the sweep decide once more about what was set aside: after an update, or with a new runbook.

    Nothing is done twice: what was taken before is no news, and what waits already is left as it is.

    Args:
        delivery: The id of one, also of one that was handled.
        code: All that are set aside with this code, such as no-runbook or unknown-kind.
        kind: All that are set aside in a part of this kind, such as inspector-finding.
    """
    if (delivery is None) == (code is None and kind is None):
        raise BadInput("name either one delivery, or --code, --kind or both", code="usage")
    with opened(ledger_exists=True) as have:
        ids = have.ledger.set_aside(code, kind) if delivery is None else (_found(have.ledger, delivery).id,)
        replayed = have.ledger.replay(ids, started_by(as_name))
    if as_json:
        data({"replayed": replayed})
    else:
        lines(*replayed)
    if not ids:
        say("Nothing is set aside under that; see runbooks inbox list --state set-aside")
        return
    before = len(ids) - len(replayed)
    say(f"Waiting again: {len(replayed)}" + (f"; waiting before: {before}" if before else ""))
    if replayed:
        say("Next: runbooks inbox list; the sweep decides about them once more")


@app.command
def pull(*, since: datetime | None = None, as_json: Json = False) -> None:
    """Ask Inspector now for findings that no delivery brought, and put what is news into the inbox.

    It goes on from where it was asked the last time, in each of RUNBOOKS_INSPECTOR_REGIONS. The exit code is 3 when it
    could not be asked in one of them.

    Args:
        since: Go back further, up to 30 days: a day, or a time in UTC.
    """
    from tasks.safety import require_safe
    from tasks.sweeping.reconciliation import pull as ask

    with opened() as have:
        now = have.now()
        begin = _checked(since, now)
        if not (have.settings.inspector_account and have.settings.regions):
            raise InvalidSetting("RUNBOOKS_INSPECTOR_ACCOUNT and RUNBOOKS_INSPECTOR_REGIONS say whom to ask; set both")
        require_safe(have)
        found: list[Reconciled] = []
        troubles: list[str] = []
        for region in have.settings.regions:
            try:
                found.append(ask(have, region, now, "pull", begin))
            except Outside as error:
                troubles.append(f"{region}: {error.code}: {error.detail}")
    _show_pulled(found, as_json=as_json)
    if troubles:
        raise Outside("; ".join(troubles), code="not-asked")


def _found(ledger: Ledger, delivery: str) -> Delivery:
    found = ledger.delivery(delivery) or ledger.delivery(f"delivery-{delivery}")
    if found is None:
        raise NotFound(f"there is no delivery {delivery}; see runbooks inbox list", code="no-such-delivery")
    return found


def _checked(since: datetime | None, now: datetime) -> datetime | None:
    if since is None:
        return None
    begin = since if since.tzinfo else since.replace(tzinfo=UTC)
    if not now - FURTHEST <= begin <= now:
        raise BadInput(f"--since {moment(begin)} is not within the last {FURTHEST.days} days", code="bad-since")
    return begin


def _show_pulled(found: Sequence[Reconciled], *, as_json: bool) -> None:
    if as_json:
        data([each.model_dump(mode="json", include={"account", "region", "listed", "missed"}) for each in found])
        return
    rows(
        ("ACCOUNT", "REGION", "LISTED", "NEW"),
        ((each.account, each.region, str(each.listed), str(each.missed)) for each in found),
    )
    if any(each.missed for each in found):
        say("Next: runbooks inbox list --state pending; the sweep does the rest")


def _readable(delivery: Delivery) -> str:
    from runbooks import strict_json

    try:
        value: Any = strict_json.loads(delivery.body)
    except BadInput:
        return delivery.body.decode("utf-8", "backslashreplace")
    return json.dumps(value, indent=2)
