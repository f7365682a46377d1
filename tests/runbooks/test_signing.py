"""A signature says that this system wrote this very record into this very stream."""

from __future__ import annotations

import base64

import pytest

from runbooks.errors import InvalidSetting
from runbooks.model import Model
from runbooks.records import ApproverRevoked, Decision, Halted, Resumed
from runbooks.signing import KEY_BYTES, Signer, read_key

SIGNER, OTHER = Signer(b"a" * KEY_BYTES), Signer(b"b" * KEY_BYTES)
DECISION = Decision(digest="d", attempt=1, answer="approved", approver="jane", channel="prefect")
SIGNED: Decision = SIGNER.signed("response/1", DECISION)


def test_what_was_signed_verifies_in_its_stream_and_under_its_key() -> None:
    assert SIGNER.verifies("response/1", SIGNED)
    assert not SIGNER.verifies("response/2", SIGNED)
    assert not OTHER.verifies("response/1", SIGNED)
    assert not SIGNER.verifies("response/1", DECISION)


def test_what_was_found_signed_is_gone_through_once_and_vouches_for_nothing_else() -> None:
    gone_through: list[object] = []

    class Counting(Signer):
        def sign(self, stream: str, record: Model) -> str:
            gone_through.append(record)
            return super().sign(stream, record)

    signer = Counting(b"a" * KEY_BYTES)
    same, forged = SIGNED.model_copy(), SIGNED.model_copy(update={"approver": "eve"})
    found = [signer.verifies("response/1", each) for each in (SIGNED, SIGNED, same, forged, forged, SIGNED)]
    assert found == [True, True, True, False, False, True]
    assert [id(each) for each in gone_through] == [id(each) for each in (SIGNED, same, forged, forged)]
    assert not signer.verifies("response/2", SIGNED)


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "e"},
        {"attempt": 2},
        {"answer": "rejected"},
        {"approver": "eve"},
        {"approvers": ("jane", "eve")},
        {"channel": "slack"},
        {"comment": "and more"},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é"},
    ],
)
def test_what_was_changed_does_not(changes: dict[str, object]) -> None:
    assert not SIGNER.verifies("response/1", SIGNED.model_copy(update=changes))


def test_a_record_of_another_kind_with_the_same_values_is_another() -> None:
    signed = SIGNER.signed("halt", Halted(by="jane", reason="now"))
    assert not SIGNER.verifies("halt", Resumed(by="jane", reason="now", signature=signed.signature))


def test_a_field_that_a_newer_version_adds_breaks_no_signature() -> None:
    class Newer(ApproverRevoked):
        why: str = ""

    old = SIGNER.signed("approvers/1", ApproverRevoked(name="jane", by="root"))
    assert SIGNER.verifies("approvers/1", Newer.model_validate(old.model_dump()))
    assert not SIGNER.verifies("approvers/1", Newer.model_validate(old.model_dump() | {"why": "left"}))


def test_what_is_not_signed_at_all_does_not_verify() -> None:
    class Plain(Model):
        name: str

    assert not SIGNER.verifies("s", Plain(name="jane"))


def test_a_secret_opens_with_its_own_key_alone() -> None:
    concealed = SIGNER.conceal("JBSWY3DPEHPK3PXP")
    assert "JBSWY3DPEHPK3PXP" not in concealed
    assert SIGNER.reveal(concealed) == "JBSWY3DPEHPK3PXP"
    for wrong in (concealed[:-2], "", "x"):
        with pytest.raises(InvalidSetting, match="does not open"):
            SIGNER.reveal(wrong)
    with pytest.raises(InvalidSetting, match="does not open"):
        OTHER.reveal(concealed)


@pytest.mark.parametrize("text", ["", "abc", base64.b64encode(b"x" * 31).decode(), "é" * 44])
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSetting, match="32 random bytes") as refused:
        read_key(text)
    assert text == "" or text not in str(refused.value)


def test_a_key_is_read_from_its_base64() -> None:
    assert read_key(base64.b64encode(b"k" * KEY_BYTES).decode() + "\n") == b"k" * KEY_BYTES
    with pytest.raises(InvalidSetting, match="needs 32"):
        Signer(b"short")
