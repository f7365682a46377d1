"""A signed statement that an image or SBOM has passed: in-toto, in an envelope that other tools can verify, too.

The statement is in-toto's Statement v1 with the predicate "Simple Verification Result" (svr/v0.2): it names what passed
by its SHA-256, the gate by the SHA-256 of its rules, and the judgement by its own. It is kept short: KMS signs no more
than 4096 bytes. The envelope is DSSE v1; what is signed begins with `DSSEv1`, so that no checkpoint, which the same key
signs, can be taken for a statement.

There is one only of what passed, and it says what was known then. So it counts for nothing by itself: whoever verifies
it names what must have passed, by which rules, and how old that may be (`Demand`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, Field, ValidationError

from runbooks.chain import canonical
from runbooks.checkpoint import CheckpointSigner, key_id
from runbooks.errors import BadInput, Refused
from runbooks.gating.definition import Gate
from runbooks.gating.judgement import Judgement, Outcome, Ruling
from runbooks.gating.subject import Subject
from runbooks.model import Model
from runbooks.telling.words import duration

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/svr/v0.2"
VERIFIER = "urn:remediation-runbooks:gate:v1"
PASSED = "REMEDIATION_RUNBOOKS_GATE_PASSED"
MAX_BYTES = 64 * 1024
CLOCKS_DIFFER = timedelta(minutes=5)
"""By so much at most between the hosts that sign and that verify."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Stated(Model):
    """What a statement says, once its signature has been verified."""

    name: str
    digest: Sha256
    """Of the image's manifest or the SBOM's file, without `sha256:`."""
    gate: str
    gate_digest: Sha256
    at: AwareDatetime
    judgement: Sha256
    accepted: int
    """Vulnerabilities that passed as accepted risks."""
    key_id: str


class Demand(NamedTuple):
    """What a statement must say for whoever verifies it."""

    digest: str
    """sha256:... of what is about to be deployed."""
    gate: Gate
    """The rules that it must have passed: those, in this version, and no others."""
    max_age: timedelta

    @classmethod
    def of(cls, digest: str, gate: Gate, max_age: timedelta | None = None) -> Demand:
        """With the age that the gate's runbook allows where no other is named."""
        return cls(digest, gate, timedelta(hours=gate.statement_hours) if max_age is None else max_age)


def make_statement(judgement: Judgement, signer: CheckpointSigner) -> bytes:
    """The envelope with the signed statement, as JSON.

    Raises:
        BadInput: (not-passed) It has not passed, or it is not known what has.
    """
    digest = _hexadecimal(judgement.subject)
    if judgement.ruling is not Ruling.PASSED or digest is None:
        raise BadInput(f"{judgement.subject} has not passed: nothing is stated about it", code="not-passed")
    predicate: dict[str, Any] = {
        "verifier": {
            "id": VERIFIER,
            "policies": [{"name": judgement.gate, "digest": {"sha256": judgement.gate_digest}}],
        },
        "timeCreated": _time(judgement.at),
        "properties": [PASSED],
        "acceptedRisks": len(judgement.of(Outcome.ACCEPTED)),
        "judgement": {"digest": {"sha256": judgement.digest}},
    }
    if judgement.scanned_at is not None:
        predicate["scannedAt"] = _time(judgement.scanned_at)
    payload = canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": judgement.subject.name, "digest": {"sha256": digest}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )
    signature = {"keyid": key_id(signer.public_key), "sig": _encoded(signer.sign(_to_be_signed(payload)))}
    envelope = {"payloadType": PAYLOAD_TYPE, "payload": _encoded(payload), "signatures": [signature]}
    return json.dumps(envelope, indent=2).encode() + b"\n"


def verify_statement(content: bytes, trusted: Sequence[bytes], demand: Demand, now: datetime) -> Stated:
    """What the statement says, if it is what is demanded.

    Args:
        trusted: the public keys that it may be signed with.

    Raises:
        BadInput: (malformed-statement) It is no statement of the gate.
        Refused: (statement-not-trusted, statement-of-another-digest, statement-of-another-gate,
            statement-of-other-rules, statement-from-the-future, statement-too-old) It does not hold.
    """
    payload, signatures = _opened(content)
    signer = next((key for key in trusted if any(_is_signed(payload, each, key) for each in signatures)), None)
    if signer is None:
        raise Refused("it is signed with no key that is trusted here", code="statement-not-trusted")
    stated = _read(payload, key_id(signer))
    _require(stated, demand, now)
    return stated


def _require(stated: Stated, demand: Demand, now: datetime) -> None:
    gate, age = demand.gate, now - stated.at
    if f"sha256:{stated.digest}" != demand.digest:
        code, why = "statement-of-another-digest", f"it is about sha256:{stated.digest}, and not about {demand.digest}"
    elif stated.gate != gate.name:
        code, why = "statement-of-another-gate", f"it is of the gate {stated.gate!r}, and not of {gate.name!r}"
    elif stated.gate_digest != gate.digest:
        rules = f"{stated.gate_digest[:12]}, and those of {gate.name} here are {gate.digest[:12]}"
        code, why = "statement-of-other-rules", f"the rules that it passed are {rules}: gate it again"
    elif age < -CLOCKS_DIFFER:
        code, why = "statement-from-the-future", f"it says {_time(stated.at)}, which is still to come"
    elif age > demand.max_age:
        limit = f"{duration(age)} old, and may be {duration(demand.max_age)}"
        code, why = "statement-too-old", f"it is {limit}: gate it again, by what is known today"
    else:
        return
    raise Refused(why, code=code)


def _opened(content: bytes) -> tuple[bytes, list[bytes]]:
    """Payload and signatures."""
    try:
        envelope = json.loads(content[: MAX_BYTES + 1])
        payload = _decoded(envelope["payload"])
        signatures = [_decoded(each["sig"]) for each in envelope["signatures"]]
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise _malformed(f"its payload type is not {PAYLOAD_TYPE}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _malformed("it is no envelope of a signed statement") from error
    return payload, signatures


def _read(payload: bytes, by: str) -> Stated:
    try:
        statement: Any = json.loads(payload)
        predicate, (subject,) = statement["predicate"], statement["subject"]
        (policy,) = predicate["verifier"]["policies"]
        if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise _malformed("it is a statement about something else")
        if predicate["verifier"]["id"] != VERIFIER or PASSED not in predicate["properties"]:
            raise _malformed("it does not say that the gate was passed")
        return Stated(
            name=subject["name"],
            digest=subject["digest"]["sha256"],
            gate=policy["name"],
            gate_digest=policy["digest"]["sha256"],
            at=datetime.fromisoformat(predicate["timeCreated"]),
            judgement=predicate["judgement"]["digest"]["sha256"],
            accepted=predicate["acceptedRisks"],
            key_id=by,
        )
    except (ValidationError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise _malformed("it is signed, and says something else than that the gate was passed") from error


def _to_be_signed(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _is_signed(payload: bytes, signature: bytes, public_key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _to_be_signed(payload))
    except InvalidSignature:
        return False
    return True


def _hexadecimal(subject: Subject) -> str | None:
    return subject.digest.removeprefix("sha256:") if subject.digest else None


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decoded(text: object) -> bytes:
    """DSSE allows either alphabet of base64."""
    if not isinstance(text, str):
        raise TypeError("it is no text")
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _malformed(what: str) -> BadInput:
    return BadInput(f"this is no statement of the gate: {what}", code="malformed-statement")
