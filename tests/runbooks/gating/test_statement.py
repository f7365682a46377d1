"""A statement is about one digest, is signed as DSSE says, and cannot be made of anything but what has passed."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runbooks.chain import canonical
from runbooks.checkpoint import key_id
from runbooks.errors import BadInput, Refused
from runbooks.gating import Gate, Judgement
from runbooks.gating.statement import Demand, Stated, make_statement, verify_statement
from tests.runbooks.gating.gated import DIGEST, NOW, URI, a_gate, a_vulnerability, an_accepted_risk, judged


class Key:
    """An Ed25519 key that remembers what it signed."""

    def __init__(self) -> None:
        self.key, self.signed = Ed25519PrivateKey.generate(), list[bytes]()

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        self.signed.append(message)
        return self.key.sign(message)


@pytest.fixture
def key() -> Key:
    return Key()


RULES = a_gate(accepted=(an_accepted_risk(),))
HOUR = timedelta(hours=1)


def passed() -> Judgement:
    return judged(a_vulnerability(), gate=RULES, scanned_at=NOW)


def verified(
    envelope: bytes,
    *keys: Key,
    digest: str = DIGEST,
    rules: Gate = RULES,
    max_age: timedelta | None = None,
    age: timedelta = HOUR,
) -> Stated:
    """As whoever deploys verifies it, an hour after the judgement."""
    demand = Demand.of(digest, rules, max_age)
    return verify_statement(envelope, [key.public_key for key in keys], demand, NOW + age)


def payload_of(envelope: bytes) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(envelope)["payload"]))


def signed_by(key: Key, payload: object, kind: str = "application/vnd.in-toto+json") -> bytes:
    """An envelope around whatever this is, with a signature that is good."""
    body = canonical(payload) if isinstance(payload, dict) else json.dumps(payload).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    signature = {"keyid": "any", "sig": base64.b64encode(key.sign(message)).decode()}
    envelope = {"payloadType": kind, "payload": base64.b64encode(body).decode(), "signatures": [signature]}
    return json.dumps(envelope).encode()


def test_the_statement_names_the_digest_the_rules_and_the_judgement(key: Key) -> None:
    judgement = passed()

    assert payload_of(make_statement(judgement, key)) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": URI, "digest": {"sha256": DIGEST.removeprefix("sha256:")}}],
        "predicateType": "https://in-toto.io/attestation/svr/v0.2",
        "predicate": {
            "verifier": {
                "id": "urn:remediation-runbooks:gate:v1",
                "policies": [{"name": "test", "digest": {"sha256": judgement.gate_digest}}],
            },
            "timeCreated": "2026-03-02T12:00:00Z",
            "properties": ["REMEDIATION_RUNBOOKS_GATE_PASSED"],
            "acceptedRisks": 1,
            "judgement": {"digest": {"sha256": judgement.digest}},
            "scannedAt": "2026-03-02T12:00:00Z",
        },
    }


def test_what_is_signed_is_the_encoding_of_dsse_and_short_enough_for_kms(key: Key) -> None:
    many = [a_vulnerability(id=f"CVE-2026-{n}", severity="LOW") for n in range(500)]
    envelope = make_statement(judged(*many), key)

    (message,) = key.signed
    body = base64.b64decode(json.loads(envelope)["payload"])
    assert message == b"DSSEv1 28 application/vnd.in-toto+json " + str(len(body)).encode() + b" " + body
    assert len(message) < 4096


def test_a_statement_is_verified_with_the_key_that_signed_it_and_with_no_other(key: Key) -> None:
    judgement = passed()
    envelope = make_statement(judgement, key)

    assert verified(envelope, Key(), key).model_dump() == {
        "name": URI,
        "digest": DIGEST.removeprefix("sha256:"),
        "gate": "test",
        "gate_digest": judgement.gate_digest,
        "at": NOW,
        "judgement": judgement.digest,
        "accepted": 1,
        "key_id": key_id(key.public_key),
    }
    for keys in ((Key(),), ()):
        assert why_not(envelope, *keys) == "statement-not-trusted"


def why_not(envelope: bytes, *keys: Key, **demanded: Any) -> str:
    with pytest.raises(Refused) as refused:
        verified(envelope, *keys, **demanded)
    return refused.value.code


def test_a_statement_holds_for_its_digest_alone(key: Key) -> None:
    envelope = make_statement(passed(), key)
    assert why_not(envelope, key, digest=f"sha256:{'00' * 32}") == "statement-of-another-digest"
    assert why_not(envelope, key, digest=DIGEST.removeprefix("sha256:")) == "statement-of-another-digest"


def test_a_statement_holds_for_the_rules_that_were_passed_and_no_others(key: Key) -> None:
    envelope = make_statement(passed(), key)
    another = RULES.model_copy(update={"name": "lax"})
    assert why_not(envelope, key, rules=another) == "statement-of-another-gate"
    # Of the same name and the same version: what counts is what they say.
    assert why_not(envelope, key, rules=a_gate()) == "statement-of-other-rules"
    assert why_not(envelope, key, rules=RULES.model_copy(update={"version": 2})) == "statement-of-other-rules"


@pytest.mark.parametrize(
    ("demanded", "code"),
    [
        ({"age": timedelta(hours=24)}, None),
        ({"age": timedelta(hours=24, seconds=1)}, "statement-too-old"),
        ({"age": HOUR, "max_age": HOUR}, None),
        ({"age": HOUR + timedelta(seconds=1), "max_age": HOUR}, "statement-too-old"),
        ({"age": timedelta(days=9), "max_age": timedelta(days=10)}, None),
        ({"age": timedelta(minutes=-5)}, None),
        ({"age": timedelta(minutes=-6)}, "statement-from-the-future"),
        ({"age": timedelta(days=-400), "max_age": timedelta(days=365)}, "statement-from-the-future"),
    ],
)
def test_a_statement_holds_for_as_long_as_the_rules_or_the_demand_say(
    key: Key, demanded: dict[str, Any], code: str | None
) -> None:
    envelope = make_statement(passed(), key)
    if code is None:
        assert verified(envelope, key, **demanded).at == NOW
    else:
        assert why_not(envelope, key, **demanded) == code


def test_the_rules_say_how_old_a_statement_may_be(key: Key) -> None:
    rules = a_gate(statement_hours=2)
    envelope = make_statement(judged(gate=rules), key)
    assert verified(envelope, key, rules=rules, age=2 * HOUR).gate_digest == rules.digest
    assert why_not(envelope, key, rules=rules, age=3 * HOUR) == "statement-too-old"


def test_a_changed_statement_is_signed_by_nobody(key: Key) -> None:
    envelope = json.loads(make_statement(passed(), key))
    forged = payload_of(json.dumps(envelope).encode())
    forged["subject"][0]["digest"]["sha256"] = "00" * 32
    envelope["payload"] = base64.b64encode(canonical(forged)).decode()

    assert why_not(json.dumps(envelope).encode(), key, digest=f"sha256:{'00' * 32}") == "statement-not-trusted"


@pytest.mark.parametrize(
    "judgement",
    [
        judged(a_vulnerability()),
        judged(unknown=("something",)),
        judged(gate=a_gate(cannot_tell="pass"), unknown=("something",)),
        judged(blocked_by="case-0123456789ab"),
    ],
    ids=["refused", "cannot-tell", "let-pass-unjudged", "blocked"],
)
def test_nothing_is_stated_of_what_has_not_passed(judgement: Judgement, key: Key) -> None:
    with pytest.raises(BadInput) as refused:
        make_statement(judgement, key)
    assert (refused.value.code, key.signed) == ("not-passed", [])


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/provenance/v1"},
        {"subject": []},
        {"predicate": {}},
    ],
)
def test_what_this_key_signed_about_something_else_is_no_passed_gate(change: dict[str, Any], key: Key) -> None:
    payload = payload_of(make_statement(passed(), key)) | change
    with pytest.raises(BadInput) as refused:
        verified(signed_by(key, payload), key)
    assert refused.value.code == "malformed-statement"


@pytest.mark.parametrize(("member", "value"), [("properties", []), ("verifier", {"id": "urn:x", "policies": [{}]})])
def test_what_does_not_say_passed_is_no_passed_gate(member: str, value: object, key: Key) -> None:
    payload = payload_of(make_statement(passed(), key))
    payload["predicate"][member] = value
    with pytest.raises(BadInput):
        verified(signed_by(key, payload), key)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"payload": 1}', b"\xff", b'{"payload": "!", "payloadType": "x", "signatures": []}'],
)
def test_what_is_no_envelope_is_bad_input(content: bytes, key: Key) -> None:
    with pytest.raises(BadInput) as refused:
        verified(content, key)
    assert refused.value.code == "malformed-statement"


def test_an_envelope_of_another_type_is_bad_input_though_it_is_signed(key: Key) -> None:
    envelope = signed_by(key, payload_of(make_statement(passed(), key)), "application/json")
    with pytest.raises(BadInput):
        verified(envelope, key)
