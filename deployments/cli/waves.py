"""`runbooks waves`: how a response's waves stand, and holding the next one back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from deployments.cli.case_lookup import find_case
from deployments.cli.halt import reasoned
from deployments.cli.identity import As, login
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, say
from runbooks.errors import BadInput

if TYPE_CHECKING:
    from tasks.gateways.ledger import ResponseRow
    from tasks.services import Services

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
After = Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=1000))]

app = App(
    name="waves",
    help_epilogue="""\
Examples:

  runbooks waves i-0123456789abcdef0
  runbooks waves i-0123456789abcdef0 --pause --reason "a release is due"
  runbooks waves i-0123456789abcdef0 --resume --reason "it is out"
  runbooks waves i-0123456789abcdef0 --stop-after 2 --reason "the rest is replaced tomorrow"

A wave that has begun goes on to its end; to stop that too: runbooks halt.
""",
)


@app.default
def waves(
    case: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    pause: Flag = False,
    resume: Flag = False,
    stop_after: After = None,
    reason: str = "",
    by: As = None,
    as_json: Json = False,
) -> None:
    """Show the waves of the response that acts on a case; hold the next one back, or leave the last ones out.

    Args:
        case: A case, or its instance.
        pause: The next wave, be it the first, is not begun until it is resumed.
        resume: The waves go on.
        stop_after: The last wave that is begun, from 1; 0 for none.
        reason: Why, for everyone who meets it.
    """
    chosen = {"pause": pause, "resume": resume, "stop": stop_after is not None}
    says = [name for name, given in chosen.items() if given]
    if len(says) > 1:
        raise BadInput("give one of --pause, --resume and --stop-after", code="too-many-options")
    with opened(ledger_exists=True) as have:
        response = _acting(have, case)
        if says:
            from tasks.waves import steer

            last = None if stop_after is None else stop_after - 1
            steer(have, response, says[0], by or login(), reasoned(reason), last)
            say("A wave that has begun goes on to its end.")
        _show(have, response, as_json=as_json)


def _acting(have: Services, text: str) -> ResponseRow:
    case = find_case(have.ledger, text)
    response = have.ledger.response(case.response_id) if case.response_id else None
    if response is None:
        raise BadInput(f"no response acts on {case.id} now", code="no-waves")
    return response


def _show(have: Services, response: ResponseRow, *, as_json: bool) -> None:
    from runbooks.plan import Phase
    from runbooks.telling.wave_words import time_left, wave_states
    from runbooks.waves import paused
    from tasks.journal import read_history

    history = read_history(have.ledger, response.id)
    plan = history.plan(Phase.REMEDIATE)
    if plan is None or not plan.waves:
        raise BadInput(f"{response.id} has no plan with waves", code="no-waves")
    states, pause, left = list(wave_states(history, plan)), paused(history, plan, have.signer), None
    left = time_left(history, plan, have.now())
    if as_json:
        found = [{"wave": number, "cases": size, "state": state} for number, size, state in states]
        held = {"by": pause.by, "reason": pause.reason} if pause else None
        data({"response": response.id, "plan": plan.digest, "waves": found, "paused": held})
        return
    lines(*(f"wave {number}  {size:>4} cases  {state}" for number, size, state in states))
    if pause:
        lines(f"held back by {pause.by}: {pause.reason}")
    elif left:
        lines(f"about {max(1, round(left.total_seconds() / 60))} min to go, at the pace so far")
