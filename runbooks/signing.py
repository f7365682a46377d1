"""Signing what only this system may have written: a key that is not in the database, one purpose at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import deque
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runbooks.chain import canonical
from runbooks.errors import BadInput, InvalidSetting
from runbooks.model import Model

KEY_BYTES = 32
_REMEMBERED = 64
"""What one check of an authority asks about is a handful, a plan of thousands of steps among it, time and again."""


class Signer:
    """Signs records with HMAC-SHA256, and conceals small secrets, under keys derived from one.

    The stream a record belongs to is part of what is signed: a decision of one response says nothing in another.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InvalidSetting(f"the signing key has {len(key)} bytes, and needs {KEY_BYTES}")
        self._signing = _derived(key, b"remediation-runbooks/records")
        self._verified: deque[tuple[str, Model]] = deque(maxlen=_REMEMBERED)
        self._concealing = Fernet(base64.urlsafe_b64encode(_derived(key, b"remediation-runbooks/secrets")))

    def sign(self, stream: str, record: Model) -> str:
        """The signature of a record of this stream, over everything in it but its own `signature`."""
        return hmac.new(self._signing, _signed(stream, record), hashlib.sha256).hexdigest()

    def signed(self, stream: str, record: Any) -> Any:
        """The record with its signature filled in."""
        return record.model_copy(update={"signature": self.sign(stream, record)})

    def verifies(self, stream: str, record: Model) -> bool:
        """Whether this very record was signed for this very stream. The same object is gone through once."""
        if any(known is record and where == stream for where, known in tuple(self._verified)):
            return True
        given = str(getattr(record, "signature", "")).encode(errors="replace")
        try:
            was_signed = hmac.compare_digest(self.sign(stream, record).encode(), given)
        except BadInput:
            return False  # no canonical JSON, so nothing that was ever signed
        if was_signed:
            self._verified.append((stream, record))
        return was_signed

    def conceal(self, secret: str) -> str:
        """A secret such that the database does not know it."""
        return self._concealing.encrypt(secret.encode()).decode()

    def reveal(self, concealed: str) -> str:
        """What was concealed.

        Raises:
            InvalidSetting: it was concealed under another key, or tampered with.
        """
        try:
            return self._concealing.decrypt(concealed.encode()).decode()
        except InvalidToken:
            raise InvalidSetting("a concealed secret does not open with the signing key: is it another one?") from None


def read_key(text: str) -> bytes:
    """The key behind its base64.

    Raises:
        InvalidSetting: it is not base64 of 32 bytes.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidSetting(f"a key is {KEY_BYTES} random bytes in base64: openssl rand -base64 {KEY_BYTES}")
    return key


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def _signed(stream: str, record: Model) -> bytes:
    """Values that are the default ones are left out: a field that a newer version adds breaks no older signature."""
    values = record.model_dump(mode="json", exclude={"signature"}, exclude_defaults=True)
    return canonical({"stream": stream, "kind": getattr(record, "kind", ""), "record": values})
