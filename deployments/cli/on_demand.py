"""A response that a person starts for one case: to have it looked at again, or to end its containment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from deployments.cli.case_lookup import find_case
from deployments.cli.exits import DONE
from deployments.cli.following import follow
from deployments.cli.identity import started_by
from deployments.cli.opening import opened
from deployments.cli.output import data, lines, say

if TYPE_CHECKING:
    from runbooks.records import Purpose

Wait = Annotated[bool, Parameter(show_default=False, help="Follow it until it ends; --no-wait only starts it.")]


def respond_on_demand(purpose: Purpose, text: str, *, name: str | None, wait: bool, as_json: bool) -> int:
    """Open a response of this purpose for the case that is meant, and follow it; the sweep starts its run."""
    from tasks.run import open_response
    from tasks.safety import require_safe

    with opened(ledger_exists=True) as have:
        require_safe(have, runs=False)
        case = find_case(have.ledger, text)
        response = open_response(purpose, case.id, started_by=started_by(name))
        say(f"{response}: {purpose} {case.key}; the sweep starts its run")
        if wait:
            ended = follow(have, response)
            if as_json:
                data(ended)
            else:
                lines(str(ended))
            return ended.exit_code
        if as_json:
            data({"response": response, "case": case.id, "purpose": purpose})
        else:
            lines(response)
        say(f"Next: runbooks cases show {case.id}")
        return DONE
