"""Amazon SNS, as a subscriber needs it: the certificate that messages were signed with, and the confirmation.

Anyone may send a message that names a certificate. So only addresses that the caller has checked are asked, few of them
in a minute, and what they answer is bounded, never followed elsewhere, and believed for its chain alone.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import httpx
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import (
    Certificate,
    InvalidVersion,
    load_der_x509_certificate,
    load_pem_x509_certificates,
)
from cryptography.x509.verification import Store

from runbooks.errors import Outside
from runbooks.sns import is_trusted, issuer_urls

KEPT_FOR = timedelta(hours=1)
MOST_KEPT = 16
MOST_ASKED = 20
"""Questions in a minute: a flood of messages with invented certificates is not passed on."""
LARGEST_BYTES = 64 * 1024

_MINUTE = timedelta(minutes=1)
_TIMEOUT = httpx.Timeout(3.0, pool=5.0)
"""SNS waits 15 seconds for an answer (SNS Developer Guide, "HTTP/S endpoints"); there are up to three questions."""


@dataclass(frozen=True)
class _Known:
    certificate: Certificate | None
    """None of one that is not to be trusted."""
    at: datetime

    def is_valid(self, now: datetime) -> bool:
        one = self.certificate
        return one is None or one.not_valid_before_utc <= now <= one.not_valid_after_utc

    def is_fresh(self, now: datetime) -> bool:
        return now - self.at <= KEPT_FOR and self.is_valid(now)


_UNKNOWN = _Known(None, datetime.min.replace(tzinfo=UTC))


class SnsGateway:
    """Asks SNS. Safe to share between threads.

    Args:
        roots: the authorities to trust; none for those that certifi lists.
        transport: what carries the requests, where it is not the network.
    """

    def __init__(
        self, roots: Sequence[Certificate] | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._given = roots
        self._transport = transport
        self._known: dict[str, _Known] = {}
        self._asked: list[datetime] = []
        self._lock = threading.Lock()

    def certificate(self, url: str, topic: str, now: datetime) -> Certificate | None:
        """The certificate at the address, if it is SNS's where the topic is; None if it is not, or there is none.

        Raises:
            Outside: it cannot be told now.
        """
        if not (known := self._known.get(url, _UNKNOWN)).is_fresh(now):
            with self._lock:
                if not (known := self._known.get(url, _UNKNOWN)).is_fresh(now):
                    known = self._ask(url, topic, known, now)
        return known.certificate

    def confirm(self, url: str, now: datetime) -> None:
        """Confirm the subscription that the address is about.

        Raises:
            Outside: SNS does not say that it is confirmed.
        """
        with self._lock:
            if self._get(url, now) is None:
                raise Outside("SNS does not confirm the subscription", code="not-confirmed")

    def _ask(self, url: str, topic: str, known: _Known, now: datetime) -> _Known:
        try:
            found = _Known(self._fetch(url, topic, now), now)
        except Outside:
            if known.certificate is None or not known.is_valid(now):
                raise
            return known  # It was SNS's an hour ago, and is valid.
        if len(self._known) >= MOST_KEPT and url not in self._known:
            # Those that anyone may invent make room, and not those that were SNS's.
            del self._known[min(self._known, key=lambda each: self._known[each].certificate is not None)]
        self._known[url] = found
        return found

    def _fetch(self, url: str, topic: str, now: datetime) -> Certificate | None:
        content = self._get(url, now)
        leaf, *others = _read(content) or (None,)
        if leaf is None:
            return None
        if is_trusted(leaf, others, self._roots, topic, now):
            return leaf
        for issuer in issuer_urls(leaf):
            others += _read(self._get(issuer, now))
        return leaf if is_trusted(leaf, others, self._roots, topic, now) else None

    def _get(self, url: str, now: datetime) -> bytes | None:
        """What is there; None where it is refused or too large."""
        self._asked = [at for at in self._asked if now - at < _MINUTE]
        if len(self._asked) >= MOST_ASKED:
            raise Outside("SNS was asked too often in the last minute", code="asked-too-often")
        self._asked.append(now)
        place = url.partition("?")[0]  # What follows may be the token of a subscription.
        try:
            with (
                httpx.Client(timeout=_TIMEOUT, follow_redirects=False, transport=self._transport) as client,
                client.stream("GET", url) as answer,
            ):
                if answer.status_code >= 500 or answer.status_code == 429:
                    raise Outside(f"{place} answers {answer.status_code}", code="unreachable")
                return _bounded(answer) if answer.status_code == 200 else None
        except httpx.HTTPError as error:
            raise Outside(f"{place} cannot be read: {error}", code="unreachable") from error

    @cached_property
    def _roots(self) -> Store:
        return Store(list(self._given if self._given is not None else _public_roots()))


def _public_roots() -> list[Certificate]:
    """Those that certifi lists; one that cryptography is about to refuse takes no other with it."""
    import certifi

    listed = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", certifi.contents(), re.DOTALL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [root for pem in listed for root in _read(pem.encode())]


def _bounded(answer: httpx.Response) -> bytes | None:
    content = bytearray()
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) > LARGEST_BYTES:
            return None
    return bytes(content)


def _read(content: bytes | None) -> list[Certificate]:
    """The certificates in it; none of what is none."""
    if content is None:
        return []
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return load_pem_x509_certificates(content)
        return [load_der_x509_certificate(content)]
    except (ValueError, InvalidVersion):
        return []
