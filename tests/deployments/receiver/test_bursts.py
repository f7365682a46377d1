"""A burst at the receiver: a handful of transactions, and an answer for each delivery that holds whatever dies."""

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
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from deployments.receiver import create_app
from runbooks.errors import BadInput
from tasks.gateways.ledger import Ledger, Receipt
from tasks.gateways.ledger.inbox import Incoming
from tests.deployments.receiver.commits import Door, commits_of, keys
from tests.serving import serving

KEY = "a-key-of-32-characters-for-tests"
EVENT = json.loads((Path(__file__).parents[2] / "events" / "ec2_package_event.json").read_bytes())
POSTS = 100


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
