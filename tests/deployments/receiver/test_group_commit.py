"""Deliveries that come together are written together, and each is answered for by itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import event

from deployments.receiver import create_app
from deployments.receiver.group_commit import MOST_TOGETHER, GroupCommit
from runbooks.errors import BadInput, LedgerError
from tasks.gateways.ledger import Ledger, Receipt
from tasks.gateways.ledger.inbox import Incoming
from tests.serving import serving

KEY = "a-key-of-32-characters-for-tests"
EVENT = json.loads((Path(__file__).parents[2] / "events" / "ec2_package_event.json").read_bytes())
POSTS = 100


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(url)
    yield ledger
    ledger.close()


def commits_of(ledger: Ledger) -> list[Any]:
    """Grows by one with each transaction of the ledger."""
    commits: list[Any] = []
    event.listen(ledger._database.engine, "commit", commits.append)
    return commits


def keys(ledger: Ledger) -> list[str]:
    return sorted(delivery.key for delivery in ledger.deliveries(limit=10_000))


@dataclass
class Door:
    """In front of the ledger: what is to be written waits here until the door is opened."""

    ledger: Ledger
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list[int])

    def receive_all(self, batch: Sequence[Incoming]) -> Sequence[Receipt]:
        self.reached.set()
        assert self.opened.wait(60)
        self.batches.append(len(batch))
        return self.ledger.receive_all(batch)


# --- by itself -------------------------------------------------------------------------------------------------------


def test_what_comes_together_is_one_transaction(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> list[Receipt]:
        group = GroupCommit(ledger.receive_all)
        return await asyncio.gather(*(group.keep(f"key-{number}", "webhook", b"{}") for number in range(MOST_TOGETHER)))

    receipts = asyncio.run(run())
    assert len(commits) == 1
    assert [receipt.new for receipt in receipts] == [True] * MOST_TOGETHER
    assert keys(ledger) == sorted(f"key-{number}" for number in range(MOST_TOGETHER))


def test_more_than_a_transaction_holds_takes_the_next(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> None:
        group = GroupCommit(ledger.receive_all)
        await asyncio.gather(
            *(group.keep(f"key-{number}", "webhook", b"{}") for number in range(2 * MOST_TOGETHER + 1))
        )

    asyncio.run(run())
    assert (len(commits), len(keys(ledger))) == (3, 2 * MOST_TOGETHER + 1)


def test_those_who_come_while_others_are_let_in_are_written_with_them(ledger: Ledger) -> None:
    commits = commits_of(ledger)

    async def run() -> None:
        group = GroupCommit(ledger.receive_all)

        async def come(number: int) -> None:
            for _ in range(2 * number):
                await asyncio.sleep(0)
            await group.keep(f"key-{number}", "webhook", b"{}")

        await asyncio.gather(*map(come, range(20)))

    asyncio.run(run())
    assert (len(commits), len(keys(ledger))) == (1, 20)


def test_nobody_is_let_in_beyond_what_a_transaction_holds(ledger: Ledger) -> None:
    sizes: list[int] = []

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        sizes.append(len(batch))
        return ledger.receive_all(batch)

    async def run() -> None:
        group, coming = GroupCommit(write), list[asyncio.Task[Receipt]]()
        while not sizes:
            coming.append(asyncio.create_task(group.keep(f"key-{len(coming)}", "webhook", b"{}")))
            await asyncio.sleep(0)
        await asyncio.gather(*coming)

    asyncio.run(run())
    assert sizes[0] == MOST_TOGETHER


def test_each_gets_the_receipt_of_its_own_delivery(ledger: Ledger) -> None:
    async def run() -> list[Receipt]:
        group = GroupCommit(ledger.receive_all)
        return await asyncio.gather(*(group.keep(key, "webhook", b"{}") for key in ("b", "a", "b", "c", "a")))

    receipts = asyncio.run(run())
    assert [receipt.new for receipt in receipts] == [True, True, False, True, False]
    assert [receipt.id for receipt in receipts] == [
        ledger.receive(key, "", b"").id for key in ("b", "a", "b", "c", "a")
    ]


def test_a_batch_that_cannot_be_written_is_answered_for_by_none_of_it(ledger: Ledger) -> None:
    calls: list[int] = []

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        calls.append(len(batch))
        raise LedgerError("the disk is full")

    async def run() -> list[Receipt | BaseException]:
        group = GroupCommit(write)
        keeping = (group.keep(f"key-{number}", "webhook", b"{}") for number in range(5))
        return await asyncio.gather(*keeping, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [LedgerError] * 5
    assert calls == [5], "a ledger that cannot be written is not asked once more for each"


def test_after_a_batch_that_failed_the_next_one_is_written(ledger: Ledger) -> None:
    faults = [LedgerError("away"), None]

    def write(batch: Sequence[Incoming]) -> Sequence[Receipt]:
        if fault := faults.pop(0):
            raise fault
        return ledger.receive_all(batch)

    async def run() -> Receipt:
        group = GroupCommit(write)
        with pytest.raises(LedgerError):
            await group.keep("key", "webhook", b"{}")
        return await group.keep("key", "webhook", b"{}")

    assert asyncio.run(run()).new
    assert keys(ledger) == ["key"]


def test_one_that_cannot_be_kept_fails_alone(ledger: Ledger) -> None:
    async def run() -> list[Receipt | BaseException]:
        group = GroupCommit(ledger.receive_all)
        keeping = (group.keep(key, "webhook", b"{}") for key in ("a", "b", "half a pair: \ud800", "c"))
        return await asyncio.gather(*keeping, return_exceptions=True)

    outcomes = asyncio.run(run())
    assert [isinstance(outcome, Receipt) for outcome in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], UnicodeEncodeError)
    assert keys(ledger) == ["a", "b", "c"]


def test_when_too_many_wait_the_next_is_refused_at_once(ledger: Ledger) -> None:
    door = Door(ledger)

    async def run() -> None:
        group = GroupCommit(door.receive_all, most_waiting=2)
        taken = [asyncio.create_task(group.keep("0", "webhook", b"{}"))]
        await asyncio.to_thread(door.reached.wait)
        taken += [asyncio.create_task(group.keep(key, "webhook", b"{}")) for key in ("1", "2")]
        with pytest.raises(LedgerError) as refused:
            await asyncio.create_task(group.keep("3", "webhook", b"{}"))
        assert refused.value.code == "ledger-busy"
        door.opened.set()
        await asyncio.gather(*taken)

    asyncio.run(run())
    assert (keys(ledger), door.batches) == (["0", "1", "2"], [1, 2])


def test_one_who_goes_away_takes_nobody_with_him(ledger: Ledger) -> None:
    door = Door(ledger)

    async def run() -> Receipt:
        group = GroupCommit(door.receive_all)
        leaving = asyncio.create_task(group.keep("a", "webhook", b"{}"))
        staying = asyncio.create_task(group.keep("b", "webhook", b"{}"))
        await asyncio.to_thread(door.reached.wait)
        leaving.cancel()
        door.opened.set()
        return await staying

    assert asyncio.run(run()).new
    assert keys(ledger) == ["a", "b"]


# --- in the receiver -------------------------------------------------------------------------------------------------


def bodies(count: int) -> list[bytes]:
    return [json.dumps(EVENT | {"id": f"event-{number}"}).encode() for number in range(count)]


async def posted(
    base_url: str, contents: Sequence[bytes], answered: Callable[[httpx.Response], None] | None = None
) -> list[httpx.Response | BaseException]:
    """Everything at once, on a connection each."""
    limits = httpx.Limits(max_connections=len(contents))
    async with httpx.AsyncClient(base_url=base_url, timeout=60, limits=limits, trust_env=False) as client:

        async def post(content: bytes) -> httpx.Response:
            answer = await client.post("/webhooks/inspector", content=content, headers={"x-api-key": KEY})
            if answered is not None:
                answered(answer)
            return answer

        return await asyncio.gather(*map(post, contents), return_exceptions=True)


def statuses(answers: Sequence[httpx.Response | BaseException]) -> list[int | None]:
    return [answer.status_code if isinstance(answer, httpx.Response) else None for answer in answers]


def opening(app: Any, door: Door, after: int) -> Callable[..., Awaitable[None]]:
    """The application; the door is opened when so many bodies have been read."""
    read: list[None] = []

    async def opened(scope: Any, receive: Any, send: Any) -> None:
        async def counted() -> Any:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                read.append(None)
                if len(read) == after:
                    door.opened.set()
            return message

        await app(scope, counted, send)

    return opened


class Behind(Ledger):
    """A ledger with a door in front."""

    door: Door

    def receive_all(self, batch: Sequence[Incoming]) -> tuple[Receipt, ...]:
        return tuple(self.door.receive_all(batch))


@pytest.fixture
def behind(url: str, ledger: Ledger) -> Iterator[Behind]:
    behind = Behind.open(url)
    behind.door = Door(ledger)
    yield behind
    behind.close()


def test_a_burst_of_posts_takes_a_handful_of_transactions(behind: Behind, ledger: Ledger) -> None:
    commits = commits_of(ledger)
    with serving(opening(create_app(behind, KEY), behind.door, after=2 * POSTS)) as receiver:
        answers = asyncio.run(posted(receiver, bodies(2 * POSTS)))
    assert statuses(answers) == [202] * 2 * POSTS
    assert keys(ledger) == sorted(f"event/event-{number}" for number in range(2 * POSTS))
    # The first one, those that came while it was held, and those whose bodies had been read but not looked at.
    assert len(commits) <= 3


def test_a_burst_at_a_ledger_that_cannot_be_written_is_sent_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger, other = Ledger.open(url, wait_seconds=0.2), Ledger.open(url)
    with serving(create_app(ledger, KEY)) as receiver:
        with other._database.writing():
            refused = asyncio.run(posted(receiver, bodies(20)))
        nothing_kept = keys(ledger)
        again = asyncio.run(posted(receiver, bodies(20)))
    told = {(each.status_code, each.headers["retry-after"], each.json()["code"]) for each in responses(refused)}
    assert (told, nothing_kept) == ({(503, "5", "ledger")}, [])
    assert [(each.status_code, each.json()["duplicate"]) for each in responses(again)] == [(202, False)] * 20
    ledger.close()
    other.close()


def responses(answers: Sequence[httpx.Response | BaseException]) -> list[httpx.Response]:
    return [answer for answer in answers if isinstance(answer, httpx.Response)]


class Picky(Ledger):
    """A ledger that cannot hold one of the bodies."""

    poison: bytes

    def receive_all(self, batch: Sequence[Incoming]) -> tuple[Receipt, ...]:
        if any(body == self.poison for _, _, body in batch):
            raise BadInput("the database cannot hold this", code="not-recordable")
        return super().receive_all(batch)


def test_what_the_ledger_cannot_hold_is_set_aside_and_the_others_are_kept(url: str) -> None:
    ledger, sent = Picky.open(url), bodies(10)
    ledger.poison = sent[4]
    with serving(create_app(ledger, KEY)) as receiver:
        answers = responses(asyncio.run(posted(receiver, sent)))
    assert statuses(answers) == [202] * 4 + [400] + [202] * 5
    assert answers[4].json() == {"code": "not-recordable", "detail": "the database cannot hold this"}
    kept = {delivery.body: (delivery.state, delivery.code) for delivery in ledger.deliveries()}
    assert kept == dict.fromkeys(sent, ("pending", None)) | {sent[4]: ("set-aside", "not-recordable")}
    ledger.close()


def test_a_receiver_that_is_stopped_answers_what_it_has_begun(behind: Behind, ledger: Ledger) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = uvicorn.Server(uvicorn.Config(create_app(behind, KEY), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    answers: list[httpx.Response | BaseException] = []
    sender = threading.Thread(
        target=lambda: answers.extend(asyncio.run(posted(f"http://127.0.0.1:{address[1]}", bodies(1))))
    )
    sender.start()
    assert behind.door.reached.wait(60)
    server.should_exit = True
    while listens(address):
        pass
    behind.door.opened.set()
    sender.join()
    thread.join()
    assert (statuses(answers), keys(ledger)) == ([202], ["event/event-0"])


def listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


_SERVE = """
import sys
from deployments.receiver import serve
from tasks.gateways.ledger import Ledger
serve(Ledger.open(sys.argv[1]), sys.argv[2], port=int(sys.argv[3]))
"""


@pytest.mark.parametrize("killed_after", [POSTS // 4, POSTS])
def test_what_a_burst_was_told_survives_the_receivers_death(url: str, killed_after: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", _SERVE, url, KEY, str(port)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told: list[str] = []

    def answered(answer: httpx.Response) -> None:
        told.append(answer.json()["delivery"])
        if len(told) == killed_after:
            os.kill(process.pid, signal.SIGKILL)

    with process:
        assert any("Uvicorn running" in line for line in iter(process.stderr.readline, ""))
        asyncio.run(posted(f"http://127.0.0.1:{port}", bodies(POSTS), answered))
    assert process.returncode == -signal.SIGKILL
    ledger = Ledger.open(url)
    kept = {delivery.id for delivery in ledger.pending(limit=POSTS)}
    assert len(told) >= killed_after
    assert set(told) <= kept
    assert ledger.verify().ok
    ledger.close()
