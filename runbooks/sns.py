"""Messages of Amazon SNS over HTTPS: what they say, and whether it was SNS that said it.

SNS signs some members of a message, by name and value, with the key of a certificate that lies at one of its own
addresses (SNS Developer Guide, "Verifying the signatures of Amazon SNS messages"). Taken are only signatures of version
2 (SHA256withRSA), of the topics that are named, from certificates whose chain ends at a root that is trusted, and only
for an hour.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import (
    AuthorityInformationAccess,
    Certificate,
    DNSName,
    ExtensionNotFound,
    UniformResourceIdentifier,
)
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from runbooks import strict_json, timestamps
from runbooks.errors import MalformedPayload
from runbooks.model import Model

FRESH = timedelta(hours=1)
"""SNS tries again for an hour at most (SNS Developer Guide, "Creating an HTTP/S delivery policy")."""
EARLY = timedelta(minutes=5)
"""How far its clock may be before ours."""

NOTIFICATION, SUBSCRIPTION, UNSUBSCRIPTION = "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"

_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed of each type, in its order. Only a Subject may be missing."""
_PEM = re.compile(r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem", re.ASCII)
_ISSUER = re.compile(r"http://crt\.[a-z0-9]{1,20}\.amazontrust\.com/[a-z0-9]{1,20}\.cer", re.ASCII)
"""Where Amazon's authorities put their own certificates. Not over TLS, and no need: the chain vouches for them."""


class Refusal(StrEnum):
    """Why a message is not believed. Stable: recorded and counted by."""

    OTHER_TOPIC = "other-topic"
    OLD_SIGNATURE = "old-signature-version"
    OTHER_ADDRESS = "other-certificate-address"
    STALE = "stale-message"
    UNTRUSTED = "untrusted-certificate"
    WRONG_SIGNATURE = "wrong-signature"


class SnsMessage(Model):
    """A message as it arrived; nothing of it is true before it was verified."""

    type: str
    id: str
    topic: str
    at: datetime
    version: str
    signature: bytes
    certificate_url: str
    signed: str
    """The text whose signature it has."""
    subscribe_url: str = ""
    token: str = ""


class Topic(NamedTuple):
    """What an ARN says of the topic."""

    region: str
    suffix: str
    """Of the hosts of its partition."""

    @property
    def host(self) -> str:
        """Where SNS is."""
        return f"sns.{self.region}.{self.suffix}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of SNS's certificates there (aws-sdk-java-v2, sns-message-manager, names by region)."""
        if self.suffix.endswith(".cn"):
            return (f"sns-{self.region}.{self.suffix}",)
        if self.region.startswith("us-gov-"):
            return (f"sns-us-gov-west-1.{self.suffix}",)
        return (f"sns.{self.suffix}", f"sns-signing.{self.region}.{self.suffix}")


def read_message(body: bytes) -> SnsMessage:
    """The message in the body of a request.

    Raises:
        MalformedPayload: it is not one of SNS's; `code` is `malformed-sns-message` where it is JSON.
    """
    members = strict_json.members_of(strict_json.loads(body))
    kind = _text(members, "Type")
    if kind not in _SIGNED:
        raise _malformed("$.Type is none of " + ", ".join(_SIGNED))
    names = [name for name in _SIGNED[kind] if name != "Subject" or members.get(name) is not None]
    try:
        at = timestamps.read(_text(members, "Timestamp"))
        signature = base64.b64decode(_text(members, "Signature"), validate=True)
    except (ValueError, binascii.Error):
        raise _malformed("$.Timestamp is no time, or $.Signature no base64") from None
    return SnsMessage(
        type=kind,
        id=_text(members, "MessageId"),
        topic=_text(members, "TopicArn"),
        at=at,
        version=_text(members, "SignatureVersion"),
        signature=signature,
        certificate_url=_text(members, "SigningCertURL"),
        signed="".join(f"{name}\n{_text(members, name)}\n" for name in names),
        subscribe_url=_text(members, "SubscribeURL") if kind != NOTIFICATION else "",
        token=_text(members, "Token") if kind != NOTIFICATION else "",
    )


def topic_of(arn: str) -> Topic:
    """The topic of an ARN that the settings have checked."""
    _, partition, _, region, *_ = arn.split(":")
    return Topic(region, "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com")


def refusal(message: SnsMessage, topics: Collection[str], now: datetime) -> Refusal | None:
    """Why the message is not even worth fetching its certificate; None where it is."""
    if message.topic not in topics:
        return Refusal.OTHER_TOPIC
    if message.version != "2":
        return Refusal.OLD_SIGNATURE
    if not _leads_to_a_certificate(message.certificate_url, topic_of(message.topic)):
        return Refusal.OTHER_ADDRESS
    return None if -EARLY <= now - message.at <= FRESH else Refusal.STALE


def confirms(message: SnsMessage) -> bool:
    """Whether the address in a confirmation does nothing but confirm this subscription to this topic."""
    start = f"https://{topic_of(message.topic).host}/?"
    asked = {"Action": "ConfirmSubscription", "TopicArn": message.topic, "Token": message.token}
    parts = urlsplit(message.subscribe_url)
    given = parse_qsl(parts.query)
    return message.subscribe_url.startswith(start) and len(given) == len(asked) and dict(given) == asked


def is_trusted(leaf: Certificate, others: Sequence[Certificate], roots: Store, arn: str, now: datetime) -> bool:
    """Whether the certificate is one of SNS's where the topic is, valid now, and its chain ends at one of the roots.

    Args:
        others: certificates that may stand between it and a root; none of them is believed for being here.
    """
    policy = PolicyBuilder().store(roots).time(now)
    for name in topic_of(arn).names:
        try:
            policy.build_server_verifier(DNSName(name)).verify(leaf, list(others))
        except VerificationError:
            continue
        return True
    return False


def issuer_urls(certificate: Certificate) -> Iterator[str]:
    """Where Amazon has put the certificate of the authority that issued this one: SNS gives its own alone."""
    try:
        told = certificate.extensions.get_extension_for_class(AuthorityInformationAccess).value
    except (ExtensionNotFound, ValueError):
        return
    for each in told:
        if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
            place = each.access_location
            if isinstance(place, UniformResourceIdentifier) and _ISSUER.fullmatch(place.value):
                yield place.value


def is_signed(message: SnsMessage, certificate: Certificate) -> bool:
    """Whether the message has the signature of the certificate's key."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(message.signature, message.signed.encode(), PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _leads_to_a_certificate(url: str, topic: Topic) -> bool:
    host = f"https://{topic.host}"
    return url.startswith(f"{host}/") and _PEM.fullmatch(url.removeprefix(host)) is not None


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise _malformed(f"$.{name} is missing or is not a text")
    return value


def _malformed(what: str) -> MalformedPayload:
    return MalformedPayload(
        f"{what}: subscribe this address to a topic without raw message delivery", code="malformed-sns-message"
    )
