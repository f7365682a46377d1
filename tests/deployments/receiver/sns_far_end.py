"""SNS at the network's far end: its certificate and the authorities behind it, and what it signs and serves."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOPIC = "arn:aws:sns:eu-west-1:210987654321:findings"
HOST = "sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"https://{HOST}/SimpleNotificationService-{'0a' * 16}.pem"
ISSUER_URL = "http://crt.r2m01.amazontrust.com/r2m01.cer"
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: RSAPrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def an_authority(name: str, by: Issued | None = None) -> Issued:
    return _issued(name, by, x509.BasicConstraints(ca=True, path_length=None), ())


def a_certificate(
    by: Issued, name: str = "sns.amazonaws.com", days: int = 30, issuer_url: str | None = ISSUER_URL
) -> Issued:
    """One of SNS's; with a negative number of days it is over."""
    further: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]
    if issuer_url is not None:
        place = x509.UniformResourceIdentifier(issuer_url)
        told = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        further.append((x509.AuthorityInformationAccess([told]), False))
    return _issued(name, by, x509.BasicConstraints(ca=False, path_length=None), further, days)


def _issued(
    name: str,
    by: Issued | None,
    constraints: x509.BasicConstraints,
    further: Any,
    days: int = 3650,
) -> Issued:
    key, now = generate_private_key(65537, 2048), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by or Issued(None, key)  # type: ignore[arg-type]
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=constraints.ca, crl_sign=constraints.ca, **usage),
            critical=True,
        )
    )
    for extension, critical in further:
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(signer.key, SHA256()), key)


@dataclass
class FarEnd:
    """What is at which address, and who asked."""

    pages: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    """By address, without its query."""
    asked: list[str] = field(default_factory=list[str])

    def app(self) -> Starlette:
        async def answer(request: Request) -> Response:
            asked = request.headers["x-asked"]
            self.asked.append(asked)
            status, content = self.pages.get(asked.partition("?")[0], (404, b""))
            headers = {"location": "http://127.0.0.1:9/"} if status == 302 else {}
            return Response(content, status, headers)

        return Starlette(routes=[Route("/{path:path}", answer)])


class ToFarEnd(httpx.BaseTransport):
    """A network on which every address is the far end's."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._carrier = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["x-asked"] = str(request.url)
        request.url = self._url.copy_with(raw_path=request.url.raw_path)
        return self._carrier.handle_request(request)

    def close(self) -> None:
        self._carrier.close()


def a_message(text: str, signer: Issued, **changes: str) -> dict[str, str]:
    """A notification, signed as SNS does; `changes` are made before it is signed."""
    return signed(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": text,
            "Timestamp": _now(),
            "SignatureVersion": "2",
            "SigningCertURL": CERTIFICATE_URL,
            "UnsubscribeURL": f"https://{HOST}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:1",
            **changes,
        },
        signer,
    )


def a_confirmation(signer: Issued, **changes: str) -> dict[str, str]:
    return signed(
        {
            "Type": "SubscriptionConfirmation",
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37",
            "TopicArn": TOPIC,
            "Message": "You have chosen to subscribe.\nTo confirm, visit the SubscribeURL.",
            "SubscribeURL": f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37",
            "Timestamp": _now(),
            "SignatureVersion": "2",
            "SigningCertURL": CERTIFICATE_URL,
            **changes,
        },
        signer,
    )


def signed(message: dict[str, str], signer: Issued) -> dict[str, str]:
    names = NOTIFICATION if message["Type"] == "Notification" else CONFIRMATION
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    algorithm = SHA256() if message["SignatureVersion"] == "2" else SHA1()
    signature = signer.key.sign(text.encode(), PKCS1v15(), algorithm)
    return message | {"Signature": base64.b64encode(signature).decode()}


def as_body(message: dict[str, str]) -> bytes:
    return json.dumps(message, indent=2).encode()


def ago(span: timedelta) -> str:
    return (datetime.now(UTC) - span).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now() -> str:
    return ago(timedelta(0))
