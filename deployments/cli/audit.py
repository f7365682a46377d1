"""`runbooks audit`: the record itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.cli.case_lookup import find_case
from deployments.cli.entry_text import EntryText, dated
from deployments.cli.exits import ANSWER_IS_NO, DONE
from deployments.cli.opening import opened, read_settings
from deployments.cli.output import Json, data, lines, say
from deployments.cli.public_keys import PublicKeys, read_public_key
from runbooks.case import case_stream, response_stream
from runbooks.errors import BadInput
from runbooks.telling.words import counted

if TYPE_CHECKING:
    from runbooks.chain import Entry
    from tasks.gateways.ledger import CaseRow, Ledger, Verification

_LATE = timedelta(hours=1)
"""After this long without a checkpoint the record is not safe, and nobody anchors it."""

app = App(
    name="audit",
    help_epilogue="""\
Examples:

  runbooks audit show i-0123456789abcdef0
  runbooks audit show case-0123456789ab --json
  runbooks audit verify
  runbooks audit verify --anchor s3://company-audit/runbooks --public-key checkpoint.pem
  runbooks audit export i-0123456789abcdef0 --to bundle.json
  runbooks audit public-key > checkpoint.pem
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
def verify(*, anchor: str | None = None, public_key: PublicKeys = (), as_json: Json = False) -> int:
    """Look at every entry, and compare every checkpoint. The exit code is 1 when something is not as it was written.

    Args:
        anchor: Where the checkpoints are, instead of RUNBOOKS_ANCHOR: a folder, or s3://bucket/prefix.
        public_key: A key that checkpoints may be signed with, instead of this installation's own: a PEM file or 64
            hexadecimal digits. May be given more than once.
    """
    from tasks.auditing import verify as verify_ledger

    keys = tuple(map(read_public_key, public_key))
    with opened(ledger_exists=True) as have:
        found = verify_ledger(have, anchor, keys)
        late = _is_late(found, have.now())
        good = found.ok and not late
        if as_json:
            data({"ok": good, "unanchored": found.entries - found.anchored, **found.model_dump(mode="json")})
        else:
            verdict = "ok" if found.ok else "NOT as written"
            lines(
                f"{found.entries} entries in {counted(found.streams, 'stream')}: {verdict}",
                *_anchoring(found, late=late),
                *map(str, (*found.problems, *found.checkpoint_problems)),
            )
        return DONE if good else ANSWER_IS_NO


@app.command
def export(case: str, /, *, to: Path | None = None) -> None:
    """A case's record with the proofs that it is whole, for someone elsewhere to check with verify_bundle.py.

    Args:
        case: The case's id or the beginning of it, the id of its resource, or the ARN of one of its findings.
        to: The file to write, instead of standard output.
    """
    from tasks.auditing import export as export_bundle

    with opened(ledger_exists=True) as have:
        bundle = export_bundle(have, find_case(have.ledger, case).id)
    if to is None:
        print(bundle.content.decode(), end="")
    else:
        try:
            to.write_bytes(bundle.content)
        except OSError as error:
            raise BadInput(f"{to}: {error.strerror}; name a file that can be written", code="cannot-write") from error
    at = f"{bundle.checkpoint.at:%Y-%m-%d %H:%M:%S} UTC"
    say(f"{_of_entries(bundle.entries)} up to checkpoint {bundle.checkpoint.size} of {at}")
    if bundle.left_out:
        say(f"{bundle.left_out} written since then are not in it: export again after the next checkpoint")


@app.command(name="public-key")
def public_key() -> None:
    """The public key of the checkpoints, as PEM: give it to the auditor now, not with a bundle."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from tasks.anchors import own_public_key

    key = Ed25519PublicKey.from_public_bytes(own_public_key(read_settings()))
    print(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), end="")


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


def _anchoring(found: Verification, *, late: bool) -> list[str]:
    """How far the checkpoints reach. What lies behind them the database's owner can still rewrite unseen."""
    if found.anchored_at is None:
        told = ["no checkpoint: whoever owns the database can rewrite all of it unseen"] if found.entries else []
    else:
        last = f"{_of_entries(found.anchored)} at {found.anchored_at:%Y-%m-%d %H:%M:%S} UTC"
        told = [f"checkpoints that agree: {found.checkpoints}, the last over {last}"]
        if behind := found.entries - found.anchored:
            since = (found.unanchored_since or "")[:19].replace("T", " ")
            told.append(f"{_of_entries(behind)} since {since} UTC not anchored yet")
    return [*told, "NOT anchored for more than an hour: is the sweep running?"] if late else told


def _of_entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _is_late(found: Verification, now: datetime) -> bool:
    """Whether an entry has waited for its checkpoint for longer than any sweep lets it."""
    if found.unanchored_since is None:
        return False
    try:
        return now - datetime.fromisoformat(found.unanchored_since) > _LATE
    except (TypeError, ValueError):
        return True


def _entries(ledger: Ledger, case: CaseRow) -> list[Entry]:
    """Sorted by time; what was written at one time keeps the order of its stream."""
    responses = [response.id for response in ledger.responses() if case.id in response.cases]
    streams = [case_stream(case.id), *map(response_stream, responses)]
    return sorted((entry for stream in streams for entry in ledger.entries(stream)), key=lambda entry: entry.at)
