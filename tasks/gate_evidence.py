"""What is left of a judgement of the gate: an entry in the ledger, and a signed statement of what has passed."""

from __future__ import annotations

from runbooks.gating import Judgement, Outcome, Weighed, gate_stream
from runbooks.gating.statement import make_statement
from runbooks.records import GateJudged
from tasks.anchors import checkpoint_signer
from tasks.services import Services
from tasks.settings import Settings


def record(have: Services, judgement: Judgement, by: str) -> str:
    """Writes the judgement into the ledger, signed. The stream it is in.

    Raises:
        Unsafe: there is no signing key.
        BadInput: (no-digest) What was judged has no digest.
        LedgerError: it cannot be written.
    """
    stream = gate_stream(judgement.subject)
    have.ledger.append(stream, have.sign(stream, _as_record(judgement, by)))
    return stream


def state(chosen: Settings, judgement: Judgement) -> bytes:
    """The signed statement that it has passed, under the key of the checkpoints.

    Raises:
        BadInput: (not-passed) It has not.
        Unsafe, InvalidSetting: there is no key.
        Outside: KMS did not sign.
    """
    return make_statement(judgement, checkpoint_signer(chosen))


def is_recorded(have: Services, judgement: Judgement) -> bool:
    """Whether this scan was judged by these rules already: EventBridge delivers at least once, and to two accounts."""
    stream, this = gate_stream(judgement.subject), (judgement.scanned_at, judgement.gate_digest)
    records = (entry.record() for entry in have.ledger.entries_of(stream, "gate-judged"))
    return judgement.scanned_at is not None and any(
        isinstance(each, GateJudged)
        and (each.scanned_at, each.gate_digest) == this
        and have.signer.verifies(stream, each)
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
        refused=tuple(map(_in_short, judgement.of(Outcome.REFUSED))),
        accepted=tuple(f"{_in_short(each)}: {each.reason}" for each in judgement.of(Outcome.ACCEPTED)),
        tolerated=len(judgement.of(Outcome.TOLERATED)),
        blocked_by=judgement.blocked_by,
        scanned_at=judgement.scanned_at,
        judgement=judgement.digest,
        by=by,
    )


def _in_short(each: Weighed) -> str:
    found = each.vulnerability
    return f"{found.id} in {found.package} {found.installed}".rstrip()
