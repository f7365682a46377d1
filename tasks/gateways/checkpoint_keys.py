"""The keys that checkpoints are signed with: one of our own, or one that KMS holds and nobody can take out."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from runbooks.errors import InvalidSetting, Outside
from tasks.gateways.aws_errors import reads


class OwnKey:
    """An Ed25519 key in the memory of this process.

    Args:
        seed: its 32 bytes (RFC 8032).
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class KmsKey:
    """An Ed25519 key in KMS: key spec ECC_NIST_EDWARDS25519, usage SIGN_VERIFY.

    KMS signs with ED25519_SHA_512, which is plain Ed25519 over the message itself: message type RAW, up to 4096 bytes
    (KMS API reference, Sign). A signature is verified here before it is believed.

    Args:
        client: of KMS, in the key's region.
        key: the key's ARN.
    """

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key

    @property
    def public_key(self) -> bytes:
        """The public key.

        Raises:
            InvalidSetting: the key is no Ed25519 key.
            Throttled, AccessDenied, Outside: KMS did not say.
        """
        return self._public_key

    @cached_property
    def _public_key(self) -> bytes:
        with reads():
            told = self._client.get_public_key(KeyId=self._key)["PublicKey"]
        try:
            public = load_der_public_key(told)
        except (ValueError, UnsupportedAlgorithm):
            public = None
        if not isinstance(public, Ed25519PublicKey):
            raise InvalidSetting(f"{self._key} is no Ed25519 key; make one of key spec ECC_NIST_EDWARDS25519")
        return public.public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature.

        Raises:
            Throttled, AccessDenied, Outside: KMS did not sign, or not this.
        """
        with reads():  # asked twice, it signs twice the same
            signature = self._client.sign(
                KeyId=self._key, Message=message, MessageType="RAW", SigningAlgorithm="ED25519_SHA_512"
            )["Signature"]
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature as error:
            raise Outside(f"{self._key}: what KMS answered is no signature of this", code="bad-signature") from error
        return signature
