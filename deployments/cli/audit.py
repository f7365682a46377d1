"""`runbooks audit`: the record itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from deployments.cli.case_lookup import find_case
from deployments.cli.entry_text import EntryText, dated
from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.opening import opened
from deployments.cli.output import Json, data, lines, say
from runbooks.case import case_stream, response_stream
from runbooks.telling.words import counted

if TYPE_CHECKING:
    from runbooks.chain import Entry
    from tasks.gateways.ledger import CaseRow, Ledger

app = App(
    name="audit",
    help_epilogue="""\
Examples:

  runbooks audit show i-0123456789abcdef0
  runbooks audit show case-0123456789ab --json
  runbooks audit verify
  runbooks audit rebuild
""",
)


@app.command
def show(case: str, /, *, as_json: Json = False) -> None:
    """Every entry of a case and of its responses, in order of time.

    Args:
        case: The case's id or the beginning of it, the id of its resource, or the ARN of one of its findings.
    """
    with opened(ledger_exists=True) as have:
        entries = _entries(have.ledger, find_case(have.ledger, case))
        if as_json:
            data(entries)
            return
        text = EntryText(entries)
        lines(*(dated(entry, text.words(entry)) for entry in entries))


@app.command
def verify(*, as_json: Json = False) -> int:
    """Recompute every hash of every stream. The exit code is 1 when an entry is not as it was written."""
    with opened(ledger_exists=True) as have:
        found = have.ledger.verify()
        if as_json:
            data({"ok": found.ok, **found.model_dump(mode="json")})
        else:
            verdict = "ok" if found.ok else "NOT as written"
            lines(
                f"{found.entries} entries in {counted(found.streams, 'stream')}: {verdict}", *map(str, found.problems)
            )
        return DONE if found.ok else ANSWER_IS_NO


@app.command
def rebuild(*, as_json: Json = False) -> None:
    """Make the tables of cases, findings, responses and approvals anew from the entries."""
    with opened(ledger_exists=True) as have:
        read = have.ledger.rebuild()
        if as_json:
            data({"entries": read})
        else:
            lines(f"made anew from {read} entries")
        say("The entries were not touched. Next: runbooks audit verify")


def _entries(ledger: Ledger, case: CaseRow) -> list[Entry]:
    """Sorted by time; what was written at one time keeps the order of its stream."""
    responses = [response.id for response in ledger.responses() if case.id in response.cases]
    streams = [case_stream(case.id), *map(response_stream, responses)]
    return sorted((entry for stream in streams for entry in ledger.entries(stream)), key=lambda entry: entry.at)
