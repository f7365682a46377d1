"""A statement is about one digest, is signed as DSSE says, and cannot be made of anything but what has passed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from runbooks.chain import canonical
from runbooks.checkpoint import key_id
from runbooks.errors import BadInput
from runbooks.gating import Judgement
from runbooks.gating.statement import make_statement, verify_statement
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


def passed() -> Judgement:
    return judged(a_vulnerability(), gate=a_gate(accepted=(an_accepted_risk(),)), scanned_at=NOW)


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

    stated = verify_statement(envelope, key.public_key)
    assert stated is not None
    assert stated.model_dump() == {
        "name": URI,
        "digest": DIGEST.removeprefix("sha256:"),
        "gate": "test",
        "gate_digest": judgement.gate_digest,
        "at": NOW,
        "judgement": judgement.digest,
        "accepted": 1,
        "key_id": key_id(key.public_key),
    }
    assert verify_statement(envelope, Key().public_key) is None


def test_a_changed_statement_is_signed_by_nobody(key: Key) -> None:
    envelope = json.loads(make_statement(passed(), key))
    forged = payload_of(json.dumps(envelope).encode())
    forged["subject"][0]["digest"]["sha256"] = "00" * 32
    envelope["payload"] = base64.b64encode(canonical(forged)).decode()

    assert verify_statement(json.dumps(envelope).encode(), key.public_key) is None


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
        verify_statement(signed_by(key, payload), key.public_key)
    assert refused.value.code == "malformed-statement"


@pytest.mark.parametrize(("member", "value"), [("properties", []), ("verifier", {"id": "urn:x", "policies": [{}]})])
def test_what_does_not_say_passed_is_no_passed_gate(member: str, value: object, key: Key) -> None:
    payload = payload_of(make_statement(passed(), key))
    payload["predicate"][member] = value
    with pytest.raises(BadInput):
        verify_statement(signed_by(key, payload), key.public_key)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"payload": 1}', b"\xff", b'{"payload": "!", "payloadType": "x", "signatures": []}'],
)
def test_what_is_no_envelope_is_bad_input(content: bytes, key: Key) -> None:
    with pytest.raises(BadInput) as refused:
        verify_statement(content, key.public_key)
    assert refused.value.code == "malformed-statement"


def test_an_envelope_of_another_type_is_bad_input_though_it_is_signed(key: Key) -> None:
    envelope = signed_by(key, payload_of(make_statement(passed(), key)), "application/json")
    with pytest.raises(BadInput):
        verify_statement(envelope, key.public_key)
