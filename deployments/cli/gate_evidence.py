"""What the gate leaves of a judgement: a ledger entry, a signed statement; and verifying such a statement again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.cli.identity import started_by
from deployments.cli.opening import read_settings
from deployments.cli.output import lines
from deployments.cli.public_keys import read_public_key
from runbooks.errors import BadInput, InvalidSetting, NotFound, Unsafe

if TYPE_CHECKING:
    from runbooks.gating import Gate, Judgement
    from tasks.services import Services
    from tasks.settings import Settings


@dataclass(frozen=True)
class Left:
    """What evidence was left, and what was not."""

    recorded: str | None
    """The ledger stream it was written in."""
    statement: Path | None
    """The file of the signed statement."""
    missing: tuple[str, ...] = ()

    def words(self) -> Iterator[str]:
        if self.recorded:
            yield f"Recorded in the ledger: {self.recorded}"
        if self.statement:
            yield f"Signed statement: {self.statement}"
        yield from self.missing

    def as_json(self) -> dict[str, Any]:
        return {
            "recorded": self.recorded,
            "statement": str(self.statement) if self.statement else None,
            "missing": list(self.missing),
        }


def require_key(settings: Settings) -> None:
    """See that a statement can be signed, before anything is waited for.

    Raises:
        NotFound: (no-checkpoint-key) There is no key.
    """
    from tasks.anchors import own_public_key

    try:
        own_public_key(settings)
    except NotFound as error:
        raise NotFound(
            "there is no key to sign a statement with: give one in RUNBOOKS_CHECKPOINT_KMS_KEY, "
            "RUNBOOKS_CHECKPOINT_KEY or RUNBOOKS_CHECKPOINT_KEY_FILE",
            code=error.code,
        ) from error


def leave(have: Services | None, settings: Settings, judgement: Judgement, statement: Path | None) -> Left:
    """Leave what can be left. Without a ledger or a signing key the judgement stands all the same.

    Raises:
        LedgerError: there is a ledger, and it cannot be written: a judgement that should be in it is none without.
    """
    from tasks.gate_evidence import record, state

    recorded, missing = None, list[str]()
    if have is None:
        cases = ", so open cases were not looked at either" if judgement.subject.kind == "image" else ""
        missing.append(f"No evidence in a ledger: there is none here{cases}.")
    elif judgement.subject.digest is None:
        missing.append("No evidence in the ledger: the digest is not known.")
    else:
        try:
            recorded = record(have, judgement, started_by(None))
        except (InvalidSetting, Unsafe) as error:
            missing.append(f"No evidence in the ledger: {error.detail}")
    if statement is not None and judgement.ruling != "passed":
        missing.append("No statement was signed: there is one only of what has passed.")
    elif statement is not None:
        _write(statement, state(settings, judgement))
        return Left(recorded, statement, tuple(missing))
    return Left(recorded, None, tuple(missing))


def verify_file(file: Path, keys: Sequence[str], what: str, rules: Gate, max_age: timedelta | None) -> None:
    """Verify that what is named has passed by these rules, not too long ago, and say what the statement says.

    Raises:
        BadInput: it is no statement of the gate, or what it must be about is not named by digest.
        Refused: it does not hold; the code says in what.
    """
    from runbooks.gating.statement import MAX_BYTES, Demand, verify_statement
    from runbooks.telling.words import duration
    from runbooks.timestamps import moment
    from tasks.anchors import own_public_key

    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", code="unreadable") from error
    demand = Demand.of(_digest_of(what), rules, max_age)
    trusted = [read_public_key(key) for key in keys] or [own_public_key(read_settings())]
    now = datetime.now(UTC)
    stated = verify_statement(content, trusted, demand, now)
    lines(
        f"verified: {stated.name}@sha256:{stated.digest}",
        f"  passed the gate {stated.gate} (rules {stated.gate_digest[:12]}) at {moment(stated.at)}, "
        f"{duration(now - stated.at)} ago; it counts for {duration(demand.max_age)}",
        f"  with {stated.accepted} accepted as risks; judgement {stated.judgement}",
        f"  signed with key {stated.key_id}",
    )


def _digest_of(what: str) -> str:
    from runbooks.gating.subject import ImageName, is_digest

    if is_digest(what):
        return what
    if (file := Path(what)).is_file():
        return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    digest = ImageName.parse(what).digest
    if digest is None:
        raise BadInput(f"{what} names a tag, which may stand for another image by now: give the digest", code="usage")
    return digest


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; name a file that can be written", code="cannot-write") from error
