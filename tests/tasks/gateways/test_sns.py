"""The certificates of SNS: whom they are believed from, and how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from cryptography.x509 import Certificate

from runbooks.errors import Outside
from tasks.gateways.sns import MOST_ASKED, MOST_KEPT, SnsGateway
from tests.deployments.receiver.sns_far_end import (
    CERTIFICATE_URL,
    ISSUER_URL,
    TOPIC,
    FarEnd,
    Issued,
    ToFarEnd,
    a_certificate,
    an_authority,
)
from tests.serving import serving

AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Sns:
    far: FarEnd
    url: str
    root: Issued
    own: Issued

    def gateway(self, *, own_root: bool = True) -> SnsGateway:
        return SnsGateway([self.root.certificate] if own_root else None, ToFarEnd(self.url))

    def at(self, before_its_end: timedelta) -> datetime:
        return self.own.certificate.not_valid_after_utc - before_its_end


@pytest.fixture
def sns() -> Iterator[Sns]:
    root = an_authority("Root")
    between = an_authority("Between", root)
    own = a_certificate(between)
    far = FarEnd({CERTIFICATE_URL: (200, own.pem), ISSUER_URL: (200, between.der)})
    with serving(far.app()) as url:
        yield Sns(far, url, root, own)


def read(gateway: SnsGateway, now: datetime, url: str = CERTIFICATE_URL) -> Certificate | None:
    return gateway.certificate(url, TOPIC, now)


def test_the_authorities_that_everyone_trusts_do_not_vouch_for_another(sns: Sns) -> None:
    now = sns.at(2 * AN_HOUR)
    assert read(sns.gateway(own_root=False), now) is None
    assert read(sns.gateway(), now) == sns.own.certificate


def test_a_certificate_is_fetched_once_in_an_hour(sns: Sns) -> None:
    gateway = sns.gateway()
    for before in (5 * AN_HOUR, 4.5 * AN_HOUR, 4 * AN_HOUR):
        assert read(gateway, sns.at(before)) == sns.own.certificate
    assert sns.far.asked == [CERTIFICATE_URL, ISSUER_URL]
    read(gateway, sns.at(3 * AN_HOUR))
    assert len(sns.far.asked) == 4


def test_a_known_certificate_serves_on_while_sns_cannot_be_asked_and_not_beyond_its_end(sns: Sns) -> None:
    gateway = sns.gateway()
    read(gateway, sns.at(3 * AN_HOUR))
    sns.far.pages[CERTIFICATE_URL] = (503, b"")
    assert read(gateway, sns.at(AN_HOUR)) == sns.own.certificate
    with pytest.raises(Outside):
        read(gateway, sns.at(-AN_HOUR))


def test_what_anyone_may_invent_displaces_nothing_that_was_believed(sns: Sns) -> None:
    gateway, now = sns.gateway(), sns.at(2 * AN_HOUR)
    read(gateway, now)
    for number in range(MOST_KEPT + 1):
        assert read(gateway, now, CERTIFICATE_URL.replace("0a", f"{number:02x}f", 1)) is None
    asked = len(sns.far.asked)
    assert (read(gateway, now), len(sns.far.asked)) == (sns.own.certificate, asked)


def test_sns_is_asked_so_often_in_a_minute_and_again_in_the_next(sns: Sns) -> None:
    gateway, now = sns.gateway(), sns.at(2 * AN_HOUR)
    for number in range(MOST_ASKED):
        read(gateway, now, CERTIFICATE_URL.replace("0a", f"{number:02x}f", 1))
    with pytest.raises(Outside) as refused:
        read(gateway, now)
    assert (refused.value.code, len(sns.far.asked)) == ("asked-too-often", MOST_ASKED)
    assert read(gateway, now + timedelta(minutes=1)) == sns.own.certificate


def test_a_token_is_not_in_what_is_said_of_a_trouble(sns: Sns) -> None:
    sns.far.pages[CERTIFICATE_URL] = (500, b"")
    with pytest.raises(Outside) as refused:
        sns.gateway().confirm(f"{CERTIFICATE_URL}?Token=2336412f37", sns.at(AN_HOUR))
    assert refused.value.detail == f"{CERTIFICATE_URL} answers 500"
