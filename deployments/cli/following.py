"""Following a response in the ledger until it ends. Who stops following stops nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deployments.cli.entry_text import EntryText, dated
from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.output import say
from runbooks.case import response_stream
from runbooks.errors import NotFound
from runbooks.model import Model

if TYPE_CHECKING:
    from tasks.gateways.ledger import ResponseRow
    from tasks.services import Services

GOOD = ("fixed", "released", "nothing-to-do")
LOOK_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 20.0


class Ended(Model):
    """How a response ended."""

    response: str
    purpose: str
    cases: tuple[str, ...]
    result: str
    reason: str

    def __str__(self) -> str:
        return f"{self.response}: {self.result}: {self.reason}"

    @property
    def exit_code(self) -> int:
        return DONE if self.result in GOOD else ANSWER_IS_NO


def follow(have: Services, response: str) -> Ended:
    """Tell each new entry of the response on standard error, until it has ended.

    Raises:
        KeyboardInterrupt: the person has seen enough; the response goes on.
        NotFound: there is no such response.
    """
    try:
        return _follow(have, response)
    except KeyboardInterrupt:
        say(f"No longer following. {response} goes on; see: runbooks cases list")
        raise


def _follow(have: Services, response: str) -> Ended:
    text, told, since, warned = EntryText(), 0, time.monotonic(), False
    while True:
        row = have.ledger.response(response)
        if row is None:
            raise NotFound(f"there is no response {response}", code="no-such-response")
        for entry in have.ledger.entries(response_stream(response))[told:]:
            text.learn(entry)
            say(dated(entry, text.words(entry), stream=False) + _form(have, entry.body))
            told += 1
        if row.status == "ended":
            return _ended(have, row)
        if row.attempt == 0 and not warned and time.monotonic() - since > PATIENCE_SECONDS:
            say("Nothing has taken it up yet: is `runbooks sweep` running?")
            warned = True
        time.sleep(LOOK_EVERY_SECONDS)


def _ended(have: Services, row: ResponseRow) -> Ended:
    from tasks.journal import read_history

    ended = read_history(have.ledger, row.id).ended
    return Ended(
        response=row.id,
        purpose=row.purpose,
        cases=row.cases,
        result=row.result or "",
        reason=ended.reason if ended else "",
    )


def _form(have: Services, body: dict[str, Any]) -> str:
    """Where a question is answered."""
    if body.get("kind") != "approval-asked" or not have.settings.console:
        return ""
    return f"\n  answer it at {run_url(have, str(body['flow_run']))}"


def run_url(have: Services, flow_run: str) -> str:
    """The page of a flow run in the Prefect UI; empty where its address is not known."""
    return f"{have.settings.console}/runs/flow-run/{flow_run}" if have.settings.console else ""
