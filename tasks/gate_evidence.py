"""What is left of a judgement of the gate: an entry in the ledger, and a signed statement of what has passed."""

from __future__ import annotations

from runbooks.chain import Entry
from runbooks.errors import Overtaken
from runbooks.gating import Judgement, Outcome, gate_stream
from runbooks.gating.statement import make_statement
from runbooks.records import GateJudged, GateWaiting
from tasks.anchors import checkpoint_signer
from tasks.services import Services
from tasks.settings import Settings

DELIVERY = "delivery:"
"""What `GateJudged.by` begins with where nobody has asked."""


def record(have: Services, judgement: Judgement, by: str) -> str:
    """Writes the judgement into the ledger, signed. The stream it is in.

    Raises:
        Unsafe: there is no signing key.
        BadInput: (no-digest) What was judged has no digest.
        LedgerError: it cannot be written.
    """
    stream = gate_stream(judgement.subject)
    while True:
        last = have.ledger.last(stream)
        try:
            append_judged(have, stream, last, judgement, by, *waiting_in(last))
        except Overtaken:
            continue
        return stream


def append_judged(
    have: Services, stream: str, last: Entry | None, judgement: Judgement, by: str, *after: GateWaiting
) -> None:
    """Writes the judgement, signed, right behind this last entry of its stream, and `after` behind it.

    Raises:
        Overtaken: the stream has another last entry by now; nothing was written.
        Unsafe, LedgerError: as `record`.
    """
    judged = have.sign(stream, _as_record(judgement, by))
    have.ledger.append_after({stream: last.sequence if last else 0}, {stream: [judged, *after]})


def waiting_in(last: Entry | None) -> tuple[GateWaiting, ...]:
    """Who waits, by the last entry of the stream: what somebody else asks for meanwhile does not end that."""
    record = last.record() if last else None
    return (record,) if isinstance(record, GateWaiting) else ()


def state(chosen: Settings, judgement: Judgement) -> bytes:
    """The signed statement that it has passed, under the key of the checkpoints.

    Raises:
        BadInput: (not-passed) It has not.
        Unsafe, InvalidSetting: there is no key.
        Outside: KMS did not sign.
    """
    return make_statement(judgement, checkpoint_signer(chosen))


def is_recorded(have: Services, judgement: Judgement) -> bool:
    """Whether this scan was judged by these rules already: EventBridge delivers at least once, and to two accounts.

    Where no scan is known, whether that was found out for a delivery: whoever asks by command may do so too early.

    Raises:
        Unsafe: there is no signing key.
    """
    verifies = have.signer.verifies
    stream, this = gate_stream(judgement.subject), (judgement.scanned_at, judgement.gate_digest)
    records = (entry.record() for entry in have.ledger.entries_of(stream, "gate-judged"))
    return any(
        isinstance(each, GateJudged)
        and (each.scanned_at, each.gate_digest) == this
        and (each.scanned_at is not None or each.by.startswith(DELIVERY))
        and verifies(stream, each)
        for each in records
    )


def _as_record(judgement: Judgement, by: str) -> GateJudged:
    subject = judgement.subject
    return GateJudged(
        name=subject.name,
        digest=subject.digest or "",
        tags=subject.tags,
        gate=judgement.gate,
        gate_version=judgement.gate_version,
        gate_digest=judgement.gate_digest,
        ruling=judgement.ruling.value,
        reasons=judgement.reasons,
        refused=tuple(str(each.vulnerability) for each in judgement.of(Outcome.REFUSED)),
        accepted=tuple(f"{each.vulnerability}: {each.reason}" for each in judgement.of(Outcome.ACCEPTED)),
        tolerated=len(judgement.of(Outcome.TOLERATED)),
        blocked_by=judgement.blocked_by,
        scanned_at=judgement.scanned_at,
        judgement=judgement.digest,
        by=by,
    )
