"""SNS's door over real HTTP: what SNS signed for a topic of ours is kept, and nothing else is believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from deployments.receiver import create_app
from runbooks.case import SYSTEM_STREAM
from runbooks.records import SetAsideRecord
from tasks.gateways.ledger import Ledger
from tasks.gateways.sns import LARGEST_BYTES, MOST_ASKED, SnsGateway
from tasks.services import Services
from tasks.settings import Settings
from tests.deployments.receiver.sns_far_end import (
    CERTIFICATE_URL,
    HOST,
    ISSUER_URL,
    TOPIC,
    FarEnd,
    Issued,
    ToFarEnd,
    a_certificate,
    a_confirmation,
    a_message,
    ago,
    an_authority,
    as_body,
)
from tests.serving import serving

EVENTS = Path(__file__).parents[2] / "events"
EVENT = (EVENTS / "ec2_package_event.json").read_text()
EVENT_ID = json.loads(EVENT)["id"]
KEY = "a-key-of-32-characters-for-tests"


@dataclass(frozen=True)
class Pki:
    """Root, the authority between, and SNS's own."""

    root: Issued
    between: Issued
    sns: Issued


@dataclass(frozen=True)
class Door:
    client: httpx.Client
    ledger: Ledger
    far: FarEnd
    pki: Pki

    def send(self, message: dict[str, str] | bytes) -> httpx.Response:
        content = message if isinstance(message, bytes) else as_body(message)
        return self.client.post("/sns", content=content, headers={"content-type": "text/plain; charset=UTF-8"})

    @property
    def kept(self) -> list[tuple[str, str, str, str | None]]:
        """The inbox, oldest first."""
        return [(each.key, each.source, each.state, each.code) for each in reversed(self.ledger.deliveries())]

    @property
    def written(self) -> list[tuple[str | None, str]]:
        """What the system stream says: the delivery it is about, and the code."""
        records = [entry.record() for entry in self.ledger.entries(SYSTEM_STREAM)]
        return [(record.delivery, record.code) for record in records if isinstance(record, SetAsideRecord)]

    def refuses(self, message: dict[str, str] | bytes, code: str, status: int = 403) -> None:
        answer = self.send(message)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (self.kept, self.written) == ([], [(None, code)])


@pytest.fixture(scope="module")
def pki() -> Pki:
    root = an_authority("Root")
    between = an_authority("Between", root)
    return Pki(root, between, a_certificate(between))


@pytest.fixture(scope="module")
def network() -> Iterator[tuple[FarEnd, str]]:
    far = FarEnd()
    with serving(far.app()) as url:
        yield far, url


@pytest.fixture
def door(tmp_path: Path, empty_ledger: Path, pki: Pki, network: tuple[FarEnd, str]) -> Iterator[Door]:
    shutil.copy(empty_ledger, tmp_path)
    have = Services(Settings(home=tmp_path, sns_topics=f"{TOPIC}, {TOPIC}-2"))
    vars(have)["ledger"] = ledger = Ledger.open(have.settings.ledger, wait_seconds=0.2)
    far, url = network
    far.asked = []
    far.pages = {
        CERTIFICATE_URL: (200, pki.sns.pem),
        ISSUER_URL: (200, pki.between.der),
        f"https://{HOST}/": (200, b"<ConfirmSubscriptionResponse/>"),
    }
    gateway = SnsGateway([pki.root.certificate], ToFarEnd(url))
    with (
        serving(create_app(ledger, KEY, have=have, gateway=gateway)) as receiver,
        httpx.Client(base_url=receiver, timeout=20) as client,
    ):
        yield Door(client, ledger, far, pki)
    ledger.close()


def test_a_signed_notification_is_kept_whole_under_the_id_of_its_event(door: Door) -> None:
    body = as_body(a_message(EVENT, door.pki.sns))
    answer = door.send(body)
    (delivery,) = door.ledger.pending()
    assert (answer.status_code, answer.json()) == (200, {"delivery": delivery.id, "duplicate": False})
    assert (delivery.key, delivery.source, delivery.body) == (f"event/{EVENT_ID}", "sns", body)
    assert door.written == []
    assert door.far.asked == [CERTIFICATE_URL, ISSUER_URL]


def test_the_same_event_by_webhook_and_by_topic_is_one_delivery(door: Door) -> None:
    door.client.post("/webhooks/inspector", content=EVENT, headers={"x-api-key": KEY})
    assert door.send(a_message(EVENT, door.pki.sns)).json()["duplicate"] is True
    assert door.kept == [(f"event/{EVENT_ID}", "webhook", "pending", None)]


def test_a_notification_that_is_sent_again_is_the_same_delivery_and_its_certificate_is_known(door: Door) -> None:
    alone = a_message(json.dumps(json.loads(EVENT)["detail"]), door.pki.sns, Subject="a finding")
    answers = [door.send(alone).json()["duplicate"] for _ in range(3)]
    assert answers == [False, True, True]
    assert door.kept == [(f"sns/{alone['MessageId']}", "sns", "pending", None)]
    assert len(door.far.asked) == 2


def test_a_signed_notification_that_nobody_can_read_is_set_aside(door: Door) -> None:
    message = a_message("a word to all", door.pki.sns)
    answer = door.send(message)
    assert (answer.status_code, answer.json()["code"]) == (400, "not-json")
    assert door.kept == [(f"sns/{message['MessageId']}", "sns", "set-aside", "not-json")]


@pytest.mark.parametrize("topic", [f"{TOPIC}-3", TOPIC.replace("eu-west-1", "eu-north-1"), "arn", ""])
def test_a_message_of_another_topic_is_refused_and_its_certificate_not_fetched(door: Door, topic: str) -> None:
    door.refuses(a_message(EVENT, door.pki.sns, TopicArn=topic), "other-topic")
    assert door.far.asked == []


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace(HOST, f"{HOST}.evil.example"),
        CERTIFICATE_URL.replace(HOST, f"evil.example/{HOST}"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}@evil.example"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}:8443"),
        CERTIFICATE_URL.replace(HOST, "sns.eu-north-1.amazonaws.com"),
        CERTIFICATE_URL.replace(HOST, f"{HOST}.cn"),
        CERTIFICATE_URL.replace(HOST, HOST.replace(".", "x", 1)),
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace("/Simple", "/../Simple"),
        CERTIFICATE_URL + "?x",
        CERTIFICATE_URL + "\n",
        f"https://{HOST}/evil.pem",
        f"https://{HOST}/SimpleNotificationService-.pem",
    ],
)
def test_a_certificate_from_elsewhere_is_not_fetched(door: Door, url: str) -> None:
    door.refuses(a_message(EVENT, door.pki.sns, SigningCertURL=url), "other-certificate-address")
    assert door.far.asked == []


def test_a_message_that_was_changed_on_its_way_is_refused(door: Door) -> None:
    message = a_message(EVENT, door.pki.sns)
    door.refuses(message | {"Message": EVENT.replace("CRITICAL", "LOW")}, "wrong-signature")


@pytest.mark.parametrize("name", ["MessageId", "Timestamp", "TopicArn", "Subject"])
def test_everything_that_is_read_is_signed(door: Door, name: str) -> None:
    message = a_message(EVENT, door.pki.sns)
    changed = {"MessageId": "another", "Timestamp": ago(timedelta(minutes=5)), "TopicArn": f"{TOPIC}-2", "Subject": "x"}
    door.refuses(message | {name: changed[name]}, "wrong-signature")


def test_a_signature_by_another_key_is_refused(door: Door) -> None:
    other = a_certificate(door.pki.between)
    door.refuses(a_message(EVENT, other), "wrong-signature")


@pytest.mark.parametrize("version", ["1", "3", ""])
def test_only_signatures_of_version_2_are_taken(door: Door, version: str) -> None:
    door.refuses(a_message(EVENT, door.pki.sns, SignatureVersion=version), "old-signature-version")
    assert door.far.asked == []


def test_a_message_that_claims_version_2_for_a_signature_of_version_1_is_refused(door: Door) -> None:
    old = a_message(EVENT, door.pki.sns, SignatureVersion="1")
    door.refuses(old | {"SignatureVersion": "2"}, "wrong-signature")


@pytest.mark.parametrize("age", [timedelta(minutes=61), timedelta(days=300), -timedelta(minutes=6)])
def test_a_message_of_another_hour_is_refused(door: Door, age: timedelta) -> None:
    door.refuses(a_message(EVENT, door.pki.sns, Timestamp=ago(age)), "stale-message")
    assert door.far.asked == []


@pytest.mark.parametrize("age", [timedelta(minutes=59), -timedelta(minutes=4)])
def test_a_message_that_was_tried_for_an_hour_is_taken(door: Door, age: timedelta) -> None:
    assert door.send(a_message(EVENT, door.pki.sns, Timestamp=ago(age))).status_code == 200


def _expired(pki: Pki) -> Issued:
    return a_certificate(pki.between, days=-1)


def _of_another_host(pki: Pki) -> Issued:
    return a_certificate(pki.between, "sns.eu-west-1.amazonaws.com.evil.example")


def _of_another_region(pki: Pki) -> Issued:
    return a_certificate(pki.between, "sns-signing.af-south-1.amazonaws.com")


def _of_another_root(_: Pki) -> Issued:
    return a_certificate(an_authority("Between", an_authority("Root")))


def _of_itself(_: Pki) -> Issued:
    return an_authority("sns.amazonaws.com")


def _with_an_issuer_from_elsewhere(pki: Pki) -> Issued:
    return a_certificate(pki.between, issuer_url="http://crt.r2m01.amazontrust.com.evil.example/r2m01.cer")


@pytest.mark.parametrize(
    "made",
    [
        _expired,
        _of_another_host,
        _of_another_region,
        _of_another_root,
        _of_itself,
        _with_an_issuer_from_elsewhere,
    ],
)
def test_a_certificate_that_nobody_vouches_for_is_not_believed(door: Door, made: Callable[[Pki], Issued]) -> None:
    forged = made(door.pki)
    door.far.pages[CERTIFICATE_URL] = (200, forged.pem)
    door.refuses(a_message(EVENT, forged), "untrusted-certificate")
    assert set(door.far.asked) <= {CERTIFICATE_URL, ISSUER_URL}


@pytest.mark.parametrize(
    "page",
    [
        (404, b""),
        (302, b""),
        (200, b""),
        (200, b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"),
        (200, b"x" * (LARGEST_BYTES + 1)),
    ],
)
def test_what_is_no_certificate_is_not_believed_and_no_redirect_is_followed(
    door: Door, page: tuple[int, bytes]
) -> None:
    door.far.pages[CERTIFICATE_URL] = page
    door.refuses(a_message(EVENT, door.pki.sns), "untrusted-certificate")
    assert door.far.asked == [CERTIFICATE_URL]


def test_a_certificate_that_brings_its_chain_is_believed(door: Door) -> None:
    sns = a_certificate(door.pki.between, "sns-signing.eu-west-1.amazonaws.com", issuer_url=None)
    door.far.pages[CERTIFICATE_URL] = (200, sns.pem + door.pki.between.pem)
    assert door.send(a_message(EVENT, sns)).status_code == 200
    assert door.far.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize("url", [CERTIFICATE_URL, ISSUER_URL])
def test_a_certificate_that_cannot_be_fetched_now_is_our_fault_and_sent_again(door: Door, url: str) -> None:
    page, door.far.pages[url] = door.far.pages[url], (503, b"")
    message = a_message(EVENT, door.pki.sns)
    answer = door.send(message)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unreachable", "5")
    assert (door.kept, door.written) == ([], [])
    door.far.pages[url] = page
    assert door.send(message).status_code == 200


def test_a_flood_of_invented_certificates_is_not_passed_on_and_displaces_no_known_one(door: Door) -> None:
    assert door.send(a_message(EVENT, door.pki.sns)).status_code == 200
    invented = [CERTIFICATE_URL.replace("0a", f"{number:02x}", 1) for number in range(100, 140)]
    statuses = [door.send(a_message(EVENT, door.pki.sns, SigningCertURL=url)).status_code for url in invented]
    assert set(statuses) == {403, 503}
    assert len(door.far.asked) == MOST_ASKED
    assert door.send(a_message(EVENT, door.pki.sns)).json()["duplicate"] is True


def test_a_subscription_is_confirmed_once_signed_and_written_down(door: Door) -> None:
    message = a_confirmation(door.pki.sns)
    answer = door.send(message)
    assert (answer.status_code, answer.json()) == (200, {"code": "sns-subscribed"})
    assert door.far.asked == [CERTIFICATE_URL, ISSUER_URL, message["SubscribeURL"]]
    assert door.kept == [(f"sns/{message['MessageId']}", "sns", "set-aside", "sns-subscribed")]
    (delivery,) = door.ledger.deliveries()
    assert door.written == [(delivery.id, "sns-subscribed")]
    assert message["Token"].encode() not in delivery.body
    door.send(message)
    assert (len(door.kept), len(door.written)) == (1, 1)


def test_a_forged_confirmation_confirms_nothing(door: Door) -> None:
    message = a_confirmation(door.pki.sns)
    door.refuses(message | {"Token": "another"}, "wrong-signature")
    assert not any("Confirm" in url for url in door.far.asked)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}.evil.example/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37",
        f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}-2&Token=2336412f37",
        f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=another",
        f"https://{HOST}/?Action=DeleteTopic&TopicArn={TOPIC}&Token=2336412f37",
        f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37&Token=2336412f37",
    ],
)
def test_an_address_that_does_something_else_is_not_visited_though_it_is_signed(door: Door, url: str) -> None:
    answer = door.send(a_confirmation(door.pki.sns, SubscribeURL=url))
    assert (answer.status_code, answer.json()) == (200, {"code": "sns-not-subscribed"})
    assert door.far.asked == [CERTIFICATE_URL, ISSUER_URL]
    assert [each[2:] for each in door.kept] == [("set-aside", "sns-not-subscribed")]


def test_a_confirmation_that_sns_does_not_take_is_sent_again(door: Door) -> None:
    door.far.pages[f"https://{HOST}/"] = (403, b"")
    answer = door.send(a_confirmation(door.pki.sns))
    assert (answer.status_code, answer.json()["code"]) == (503, "not-confirmed")
    assert (door.kept, door.written) == ([], [])


def test_the_end_of_a_subscription_is_told_and_not_undone(door: Door) -> None:
    answer = door.send(a_confirmation(door.pki.sns, Type="UnsubscribeConfirmation"))
    assert (answer.status_code, answer.json()) == (200, {"code": "sns-unsubscribed"})
    assert door.far.asked == [CERTIFICATE_URL, ISSUER_URL]
    assert [each[2:] for each in door.kept] == [("set-aside", "sns-unsubscribed")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b"[]", "malformed-sns-message"),
        (EVENT.encode(), "malformed-sns-message"),
        (b'{"Type": "Notification"}', "malformed-sns-message"),
        (b'{"Type": "Notification", "Type": "Notification"}', "not-json"),
    ],
)
def test_what_is_no_message_is_refused_and_not_kept(door: Door, body: bytes, code: str) -> None:
    door.refuses(body, code, 400)


@pytest.mark.parametrize("name", ["Timestamp", "Signature"])
def test_a_member_that_cannot_be_read_is_refused(door: Door, name: str) -> None:
    door.refuses(a_message(EVENT, door.pki.sns) | {name: "\u00e9"}, "malformed-sns-message", 400)


def test_a_ledger_that_cannot_be_written_is_our_fault_and_sent_again(door: Door, tmp_path: Path) -> None:
    message = a_message(EVENT, door.pki.sns)
    holder = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with holder._database.writing():
        answer = door.send(message)
    holder.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger")
    assert door.send(message).json()["duplicate"] is False


def test_without_a_topic_there_is_no_such_door(tmp_path: Path, empty_ledger: Path) -> None:
    shutil.copy(empty_ledger, tmp_path)
    have = Services(Settings(home=tmp_path))
    with serving(create_app(have.ledger, KEY, have=have)) as url:
        assert httpx.post(f"{url}/sns", content=b"{}").status_code == 404
    have.ledger.close()
