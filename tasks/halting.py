"""The kill switch: while it is on, nothing leaves that changes anything, but for what closes an unsafe middle.

On and off are entries of a stream of their own, and the last one says which. Anyone may turn it on, signed or not; it
is off again only by an entry that is signed with our key and names the very entry it ends.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from runbooks import errors
from runbooks.case import HALT_STREAM
from runbooks.chain import Entry
from runbooks.model import Model
from runbooks.records import Halted, Resumed
from runbooks.steps.base import operation_id
from runbooks.telling.messages import note
from runbooks.timestamps import moment
from tasks.gateways.aws_session import is_closing
from tasks.services import Services


class Halt(Model):
    """That everything is halted: since when, by whom, and why."""

    by: str
    reason: str
    at: datetime
    number: int
    """Of its entry in the stream."""


_CUT_OFF = "entries of the kill switch are missing at its end"


def halted(have: Services) -> Halt | None:
    """The halt in force; None when changes may be made. Two indexed queries: it is asked before every change.

    Raises:
        LedgerError: the ledger does not say. Nothing may be changed then.
    """
    head, last = have.ledger.head(HALT_STREAM), have.ledger.last(HALT_STREAM)
    if head > (last.sequence if last else 0):
        return Halt(by="the ledger", reason=_CUT_OFF, at=last.at if last else have.now(), number=head)
    if last is None:
        return None
    match last.record():
        case Resumed() as resumed if _ends_it(have, last, resumed):
            return None
        case Halted(by=by, reason=reason):
            return Halt(by=by, reason=reason, at=last.at, number=last.sequence)
        case _:
            reason = "its last entry is no halt, and no resumption that verifies"
            return Halt(by="the ledger", reason=reason, at=last.at, number=last.sequence)


def words(halt: Halt) -> str:
    """The halt in one line, for whoever meets it."""
    return f"halted since {moment(halt.at)} by {halt.by}: {halt.reason}"


def require_running(have: Services) -> None:
    """To be called immediately before a changing call leaves. What closes an unsafe middle is let through.

    Raises:
        Halted: the kill switch is on.
    """
    if not is_closing() and (halt := halted(have)) is not None:
        raise errors.Halted(words(halt))


def halt(have: Services, by: str, reason: str) -> Halt:
    """Turn the kill switch on: no changing call leaves from now on. Works without a signing key, too."""
    record = Halted(by=by, reason=reason)
    # Stopping must not fail for want of a key; only what lets go has to prove itself.
    with suppress(errors.Unsafe, errors.InvalidSetting):
        record = have.signer.signed(HALT_STREAM, record)
    (entry,) = have.ledger.append(HALT_STREAM, record)
    return Halt(by=by, reason=reason, at=entry.at, number=entry.sequence)


def resume(have: Services, ending: Halt, by: str, reason: str) -> Halt | None:
    """End this halt; gives the one that is in force all the same, because somebody halted again meanwhile.

    Raises:
        Unsafe: there is no signing key.
    """
    record = Resumed(by=by, reason=reason, ends=ending.number)
    have.ledger.append(HALT_STREAM, have.signer.signed(HALT_STREAM, record))
    return halted(have)


def tell(have: Services, number: int, text: str) -> str | None:
    """Say it in the SOC's channel, as well as can be: gives what went wrong. Runs say it in their own threads."""
    if have.slack is None:
        return None
    message = note(text)
    try:
        have.slack.post(message.text, message.blocks, operation_id(HALT_STREAM, str(number)))
    except errors.Outside as error:
        return f"{error.code}: {error.detail}"
    return None


def _ends_it(have: Services, entry: Entry, resumed: Resumed) -> bool:
    """Whether it was signed, for the entry right before it: one that was written again elsewhere says nothing."""
    try:
        return resumed.ends == entry.sequence - 1 and have.signer.verifies(HALT_STREAM, resumed)
    except (errors.Unsafe, errors.InvalidSetting):
        return False
