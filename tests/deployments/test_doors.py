"""Every example comes in by every door, and becomes what docs/what-happens-to-each-kind.md says, once.

One receiver, one queue, one sandbox and one Prefect for all of them; each example gets an empty ledger for each door.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.receiver import create_app
from deployments.sandbox.furnish_image import ImageOptions, furnish_image
from deployments.sandbox.server import Sandbox
from runbooks.case import COVERAGE, NOTICES
from runbooks.catalog import Catalog
from runbooks.event import read_payload
from runbooks.finding import Finding, FindingStatus, FindingType, ResourceType
from runbooks.records import SetAsideRecord
from runbooks.steps.base import Role
from tasks.consuming import consume, queue_of
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import Delivery, Ledger
from tasks.gateways.queue import Queue
from tasks.gateways.sns import SnsGateway
from tasks.intake import drain
from tasks.settings import Settings
from tests.deployments.receiver.sns_far_end import (
    CERTIFICATE_URL,
    ISSUER_URL,
    TOPIC,
    FarEnd,
    Issued,
    ToFarEnd,
    a_certificate,
    a_message,
    an_authority,
    as_body,
)
from tests.kinds_page import EVENTS, fates
from tests.serving import serving
from tests.tasks.gateways.aws_world import ACCOUNT, REGION, ROLE_ARN
from tests.tasks.sweep_house import SweepHouse, prefect_api, sweep_house

KEY = "a-key-of-32-characters-for-tests"
SCANNED = f"sha256:{'5e' * 32}"
"""The image of the examples; the sandbox has one under a digest of its own."""
CATALOG = Catalog.read()
FATES = {name: sorted(parts) for name, parts in fates().items()}
DOORS = ("webhook", "sns", "sqs")


@dataclass
class Receiver:
    """The application that answers at the address: another one for each ledger."""

    app: ASGIApp | None = None
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@dataclass
class Doors:
    """All that an example passes on its way."""

    receiver: Receiver
    http: httpx.Client
    sandbox: Sandbox
    sqs: Any
    """The queue's sender."""
    queue: str
    taking: Queue
    sns: Issued
    gateway: SnsGateway
    empty: Path
    """A ledger to begin from: bringing one up takes longer than all that follows."""
    digest: str
    """Of an image that the sandbox's Inspector has scanned."""
    opened: int = field(default=0)

    @contextmanager
    def house(self) -> Iterator[SweepHouse]:
        """An empty ledger, which the receiver writes to."""
        self.opened += 1
        folder = self.empty.parent / str(self.opened)
        folder.mkdir()
        shutil.copy(self.empty, folder / "ledger.db")
        settings = {"queue_url": self.queue, "queue_wait_seconds": 0, "sns_topics": TOPIC, "coverage_gaps": "ticket"}
        with sweep_house(folder, role_arn=ROLE_ARN, **settings) as house:
            house.clock.now = self.sandbox.cloud.clock.now()
            vars(house)["catalog"] = CATALOG
            self.receiver.app = create_app(house.ledger, KEY, have=house, gateway=self.gateway)
            yield house

    def example(self, name: str) -> bytes:
        return EVENTS[name].read_bytes().replace(SCANNED.encode(), self.digest.encode())

    def deliver(self, house: SweepHouse, door: str, body: bytes) -> None:
        {"webhook": self._by_webhook, "sns": self._by_sns, "sqs": self._by_queue}[door](house, body)

    def _by_webhook(self, house: SweepHouse, body: bytes) -> None:
        headers = {"content-type": "application/json", "x-api-key": KEY}
        answer = self.http.post(f"{self.receiver.url}/webhooks/inspector", content=body, headers=headers)
        assert answer.status_code == 202, answer.text

    def _by_sns(self, house: SweepHouse, body: bytes) -> None:
        now = house.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        sent = a_message(body.decode(), self.sns, Timestamp=now)
        answer = self.http.post(f"{self.receiver.url}/sns", content=as_body(sent))
        assert answer.status_code == 200, answer.text

    def _by_queue(self, house: SweepHouse, body: bytes) -> None:
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body.decode())
        consumed = consume(house, self.taking)
        assert (consumed.taken, consumed.set_aside, consumed.left) == (1, 0, ())


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    Ledger.open(f"sqlite:///{folder}/ledger.db").close()
    root = an_authority("Root")
    between = an_authority("Between", root)
    sns = a_certificate(between)
    far, receiver = FarEnd({CERTIFICATE_URL: (200, sns.pem), ISSUER_URL: (200, between.der)}), Receiver()
    with (
        pytest.MonkeyPatch.context() as environment,
        Sandbox(pace=0.0) as sandbox,
        prefect_api(),
        serving(far.app()) as network,
        serving(receiver) as url,
        httpx.Client(timeout=60) as http,
    ):
        environment.setenv("AWS_ENDPOINT_URL", sandbox.url)
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        receiver.url = url
        options = {"account": ACCOUNT, "region": REGION, "repository": "checkout"}
        image = furnish_image(sandbox.cloud, ImageOptions.model_validate(options))
        client = AwsSessions(ROLE_ARN, session_name="sender").client("sqs", ACCOUNT, REGION, Role.READ)
        queue = client.create_queue(QueueName="findings")["QueueUrl"]
        taking = queue_of(Settings(queue_url=queue, role_arn=ROLE_ARN))
        yield Doors(
            receiver=receiver,
            http=http,
            sandbox=sandbox,
            sqs=client,
            queue=queue,
            taking=taking,
            sns=sns,
            gateway=SnsGateway([root.certificate], ToFarEnd(network)),
            empty=folder / "ledger.db",
            digest=image["digest"],
        )


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", EVENTS)
def test_an_example_becomes_the_same_by_every_door_and_twice_is_once(doors: Doors, name: str, door: str) -> None:
    body = doors.example(name)
    with doors.house() as house:
        doors.deliver(house, door, body)
        take_in(house)
        assert became(house) == FATES[name]
        before = written(house)

        for again in DOORS:
            doors.deliver(house, again, body)
        take_in(house)
        assert became(house) == FATES[name]
        assert written(house) == before
        # What has no event's id is known by its bytes, and SNS's message has others.
        assert len(house.ledger.deliveries()) == (1 if read_payload(body).event_id else 2)


@pytest.mark.parametrize("name", EVENTS)
def test_a_whole_sweep_takes_an_example_in(doors: Doors, name: str) -> None:
    with doors.house() as house:
        doors.deliver(house, "webhook", doors.example(name))
        swept = house.sweep()
        assert (swept.deliveries, swept.troubles) == (1, [])
        assert became(house) == FATES[name]
        assert bool(swept.started) == bool(house.ledger.cases())


@pytest.mark.parametrize("name", EVENTS)
def test_the_parser_alone_says_the_same(doors: Doors, name: str) -> None:
    assert parsed(doors.example(name)) == FATES[name]


def take_in(house: SweepHouse) -> None:
    """As the sweep does, with a gate that writes down no more than that it was asked."""

    def judge(arn: str, delivery: str) -> None:
        house.ledger.append_once(f"gate/{arn}", SetAsideRecord(delivery=None, code="judged", what=arn, reason=""))

    drain(house.ledger, CATALOG, gate=judge, gaps=True)


def became(house: SweepHouse) -> list[str]:
    """What the ledger says: cases by their runbooks, what is judged, asked about or told, or why it is set aside."""
    deliveries = house.ledger.deliveries()
    parts = list(dict.fromkeys(case.key.runbook for case in house.ledger.cases()))
    assert all(case.response_id for case in house.ledger.cases()), "every case is being responded to"
    parts += ["the gate judges it"] * bool(house.ledger.streams("gate/"))
    parts += ["Inspector is asked"] * bool(house.ledger.streams(COVERAGE))
    parts += dict.fromkeys(_set_aside(each) for each in deliveries if each.state == "set-aside")
    parts += ["people are told"] * len(house.ledger.streams(NOTICES))
    assert {each.state for each in deliveries} <= {"handled", "set-aside"}
    return sorted(parts)


def _set_aside(delivery: Delivery) -> str:
    kind = (delivery.reason or "").partition(": ")[0]
    return f"{delivery.code}: {kind}"


def written(house: SweepHouse) -> dict[str, int]:
    """Entries of everything but the record of the system itself, which counts deliveries."""
    return {stream: len(house.ledger.entries(stream)) for stream in house.ledger.streams() if "/" in stream}


def parsed(body: bytes) -> list[str]:
    """What the parser and the library say, before anything is written down."""
    delivery = read_payload(body)
    fates = [_fate(each) for each in delivery.findings]
    asides = [f"{each.code}: {each.kind}" for each in delivery.set_aside]
    parts = list(dict.fromkeys(runbook for runbook, _ in fates if runbook))
    parts += ["the gate judges it"] * bool(delivery.scanned) + ["Inspector is asked"] * bool(delivery.coverage)
    parts = parts or [*asides, *(aside for _, aside in fates)][:1]
    news = [each.news for each in delivery.set_aside] + [aside.startswith("unknown-kind") for _, aside in fates]
    return sorted(parts + ["people are told"] * any(news))


def _fate(finding: Finding) -> tuple[str, str]:
    """The runbook that acts upon it, or why none does."""
    runbook = CATALOG.covering(finding)
    if runbook is None:
        is_known = finding.type in list(FindingType) and finding.resource.type in list(ResourceType)
        return "", f"{'no-runbook' if is_known else 'unknown-kind'}: inspector-finding"
    return (runbook.name, "") if finding.status == FindingStatus.ACTIVE else ("", "nothing-open: inspector-finding")
