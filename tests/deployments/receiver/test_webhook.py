"""The receiver over real HTTP: what it says 202 to is on disk, and nothing else is acted upon."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from deployments.receiver import create_app, main
from runbooks.catalog import Catalog
from runbooks.errors import InvalidSetting
from runbooks.strict_json import MAX_BYTES
from tasks.gateways.ledger import Ledger
from tasks.intake import drain
from tasks.settings import settings

KEY = "a-key-of-32-characters-for-tests"
EVENTS = Path(__file__).parents[2] / "events"
FINDING = (EVENTS / "ec2_package_event.json").read_bytes()
Sender = Callable[..., httpx.Response]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(url, wait_seconds=0.3)
    yield ledger
    ledger.close()


@contextmanager
def served(ledger: Ledger, api_key: str | Callable[[], str] = KEY, **options: Any) -> Iterator[httpx.Client]:
    """The receiver on a free port of loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(ledger, api_key, **options), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def client(ledger: Ledger) -> Iterator[httpx.Client]:
    with served(ledger) as client:
        yield client


def send(client: httpx.Client, content: Any, key: str | None = KEY, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json", **({"x-api-key": key} if key is not None else {}), **headers}
    return client.post("/webhooks/inspector", content=content, headers=sent)


def kept(ledger: Ledger) -> list[tuple[str, bytes]]:
    return [(delivery.state, delivery.body) for delivery in ledger.deliveries()]


def test_a_finding_is_kept_byte_by_byte_and_nothing_else_is_done(client: httpx.Client, ledger: Ledger) -> None:
    answer = send(client, FINDING)
    (delivery,) = ledger.pending()
    assert (answer.status_code, answer.json()) == (202, {"delivery": delivery.id, "duplicate": False})
    assert (delivery.body, delivery.source) == (FINDING, "webhook")
    assert delivery.key == f"event/{json.loads(FINDING)['id']}"
    assert (ledger.cases(), ledger.streams()) == ((), ())


def test_what_eventbridge_sends_again_is_the_same_delivery(client: httpx.Client, ledger: Ledger) -> None:
    first, second = send(client, FINDING), send(client, FINDING)
    assert second.json() == {"delivery": first.json()["delivery"], "duplicate": True}
    assert second.status_code == 202
    assert kept(ledger) == [("pending", FINDING)]


def test_the_same_finding_in_another_event_is_another_delivery(client: httpx.Client, ledger: Ledger) -> None:
    copy = json.dumps(json.loads(FINDING) | {"id": "another-event"}).encode()
    assert [send(client, body).json()["duplicate"] for body in (FINDING, copy)] == [False, False]
    assert kept(ledger) == [("pending", copy), ("pending", FINDING)]


def test_a_delivery_without_an_event_id_is_known_by_its_bytes(client: httpx.Client, ledger: Ledger) -> None:
    alone = json.dumps(json.loads(FINDING)["detail"]).encode()
    assert [send(client, body).json()["duplicate"] for body in (alone, alone, alone + b" ")] == [False, True, False]
    assert ledger.pending()[0].key == f"body/{hashlib.sha256(alone).hexdigest()}"


def test_an_event_id_that_is_too_long_to_be_one_is_not_taken_for_one(client: httpx.Client, ledger: Ledger) -> None:
    long = json.dumps(json.loads(FINDING) | {"id": "x" * 5000}).encode()
    assert send(client, long).status_code == 202
    assert ledger.pending()[0].key == f"body/{hashlib.sha256(long).hexdigest()}"


@pytest.mark.parametrize("name", ["scan_event", "security_hub_event", "azure_vm_event", "guardduty_event"])
def test_what_is_readable_is_kept_for_the_intake_to_decide(client: httpx.Client, ledger: Ledger, name: str) -> None:
    body = (EVENTS / f"{name}.json").read_bytes()
    assert send(client, body).status_code == 202
    assert kept(ledger) == [("pending", body)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not-json"),
        (b'{"detail": ', "not-json"),
        (b"\xff\xfe{}", "not-json"),
        (b'{"a": NaN}', "not-json"),
        (b'{"a": 1, "a": 2}', "not-json"),
        (b"[1]", "not-an-object"),
        (b"[" * 100_000, "malformed-event"),
        (b'{"detail-type": 7}', "malformed-event"),
        (b'{"source": "aws.inspector2", "detail-type": "Inspector2 Finding", "detail": {}}', "malformed-finding"),
    ],
)
def test_what_cannot_be_read_is_refused_and_kept_for_a_person(
    client: httpx.Client, ledger: Ledger, body: bytes, code: str
) -> None:
    answers = [send(client, body), send(client, body)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["code"] == code
    (delivery,) = ledger.deliveries()
    aside = (delivery.state, delivery.body, delivery.code, delivery.reason)
    assert aside == ("set-aside", body, code, answers[0].json()["detail"])
    assert len(ledger.entries("system")) == 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (json.loads(FINDING) | {"detail": {}}, "malformed-finding"),
        (json.loads(FINDING) | {"account": float("nan")}, "not-json"),
        (json.loads(FINDING) | {"account": "\x00"}, "malformed-event"),
        (json.loads(FINDING) | {"source": "somebody.else"}, "unsupported-source"),
    ],
)
def test_an_event_with_something_in_it_that_cannot_be_read_is_kept_and_set_aside_by_the_intake(
    client: httpx.Client, ledger: Ledger, event: dict[str, Any], code: str
) -> None:
    body = json.dumps(event).encode()
    assert send(client, body).status_code == 202
    assert kept(ledger) == [("pending", body)]
    drain(ledger, Catalog.read())
    (delivery,) = ledger.deliveries()
    assert (delivery.state, delivery.body, delivery.code, bool(delivery.reason)) == ("set-aside", body, code, True)
    assert len(ledger.entries("system")) == 1
    assert ledger.cases() == ()


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", "caf\u00e9"])
def test_without_the_key_nothing_is_read_or_written(client: httpx.Client, ledger: Ledger, key: str | None) -> None:
    headers = [] if key is None else [(b"x-api-key", key.encode())]
    answer = client.post("/webhooks/inspector", content=FINDING, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong-key")
    assert (kept(ledger), ledger.streams()) == ([], ())


def raw(client: httpx.Client, head: str, *parts: bytes) -> bytes:
    """Bytes as no HTTP client would send them; what comes back until the server closes."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=20) as connection:
        connection.sendall(f"POST /webhooks/inspector HTTP/1.1\r\nhost: here\r\n{head}\r\n\r\n".encode())
        for part in parts:
            connection.sendall(part)
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer


def test_the_key_is_asked_for_before_the_body_is_sent(client: httpx.Client) -> None:
    answer = raw(client, "content-length: 1000\r\nconnection: close")
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_key_that_changes_is_read_at_each_delivery(ledger: Ledger) -> None:
    keys = ["first"]
    with served(ledger, lambda: keys[-1]) as client:
        before = [send(client, FINDING, key).status_code for key in ("first", "second")]
        keys.append("second")
        after = [send(client, FINDING, key).status_code for key in ("first", "second")]
        keys.append("")
        empty = [send(client, FINDING, key).status_code for key in ("", "second")]
    assert (before, after, empty) == ([202, 401], [401, 202], [503, 503])


@pytest.mark.parametrize("key", ["", "caf\u00e9"])
def test_there_is_no_receiver_without_a_key(ledger: Ledger, key: str) -> None:
    with pytest.raises(InvalidSetting):
        create_app(ledger, key)


def an_event_of(size: int) -> bytes:
    body = json.dumps(json.loads(FINDING)).encode()
    return body + b" " * (size - len(body))


def test_the_largest_event_of_eventbridge_fits(client: httpx.Client, ledger: Ledger) -> None:
    assert send(client, an_event_of(MAX_BYTES)).status_code == 202
    assert kept(ledger) == [("pending", an_event_of(MAX_BYTES))]


@pytest.mark.parametrize("size", [MAX_BYTES + 1, 5 * MAX_BYTES])
def test_a_larger_body_is_refused_by_its_length(client: httpx.Client, ledger: Ledger, size: int) -> None:
    answer = send(client, an_event_of(size))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert kept(ledger) == []


def test_a_larger_body_is_refused_though_it_names_no_length(client: httpx.Client, ledger: Ledger) -> None:
    chunks = (an_event_of(MAX_BYTES), b" ")
    answer = send(client, iter(chunks))
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert kept(ledger) == []


def test_a_body_without_a_length_is_taken(client: httpx.Client, ledger: Ledger) -> None:
    assert send(client, iter((FINDING[:100], FINDING[100:]))).status_code == 202
    assert kept(ledger) == [("pending", FINDING)]


def test_a_length_beyond_all_bounds_is_refused_without_waiting_for_it(client: httpx.Client, ledger: Ledger) -> None:
    answer = raw(client, f"x-api-key: {KEY}\r\ncontent-length: 99999999999\r\nconnection: close")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert kept(ledger) == []


def test_more_than_was_announced_is_not_read(client: httpx.Client, ledger: Ledger) -> None:
    head = f"x-api-key: {KEY}\r\ncontent-length: {len(FINDING)}\r\nconnection: close"
    answer = raw(client, head, FINDING + b"{}")
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert kept(ledger) == [("pending", FINDING)]


def test_a_body_that_does_not_arrive_in_time_is_given_up(ledger: Ledger) -> None:
    with served(ledger, body_seconds=0.2) as client:
        answer = raw(client, f"x-api-key: {KEY}\r\ncontent-length: {len(FINDING)}", FINDING[:-1])
        others = send(client, FINDING)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"too-slow"' in answer
    assert (others.status_code, kept(ledger)) == (202, [("pending", FINDING)])


def test_a_sender_who_leaves_half_way_leaves_nothing(client: httpx.Client, ledger: Ledger) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address) as connection:
        head = f"POST /webhooks/inspector HTTP/1.1\r\nhost: h\r\nx-api-key: {KEY}\r\ncontent-length: {len(FINDING)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + FINDING[:-1])
    assert send(client, FINDING + b" ").status_code == 202
    assert kept(ledger) == [("pending", FINDING + b" ")]


def test_a_ledger_that_cannot_be_written_is_our_fault_and_sent_again(
    client: httpx.Client, ledger: Ledger, url: str
) -> None:
    holder = Ledger.open(url)
    with holder._database.writing():
        answers = [send(client, FINDING), send(client, b"{"), client.get("/healthz")]
    holder.close()
    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert [answer.json()["code"] for answer in answers] == ["ledger"] * 3
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert not any("ledger.db" in answer.text for answer in answers)
    assert kept(ledger) == []
    assert send(client, FINDING).json()["duplicate"] is False


def test_health_is_for_everyone_and_writes_nothing(client: httpx.Client, ledger: Ledger) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (kept(ledger), ledger.streams()) == ([], ())


def test_a_slow_sender_keeps_nobody_waiting(client: httpx.Client) -> None:
    address = (client.base_url.host, client.base_url.port or 0)
    slow = [socket.create_connection(address) for _ in range(50)]
    for connection in slow:
        connection.sendall(
            f"POST /webhooks/inspector HTTP/1.1\r\nhost: h\r\nx-api-key: {KEY}\r\ncontent-length: 9\r\n\r\n{{".encode()
        )
    assert send(client, FINDING).status_code == 202
    for connection in slow:
        connection.close()


def test_many_senders_at_once_are_each_kept_once(client: httpx.Client, ledger: Ledger) -> None:
    bodies = [json.dumps(json.loads(FINDING) | {"id": f"event-{number}"}).encode() for number in range(20)]
    statuses: list[int] = []

    def deliver(start: int) -> None:
        for body in bodies[start:] + bodies[:start]:
            # A busy ledger says 503, and EventBridge sends such a delivery again.
            answers = (send(client, body).status_code for _ in range(50))
            statuses.append(next(status for status in answers if status != 503))

    threads = [threading.Thread(target=deliver, args=(start,)) for start in (0, 5, 10, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [202] * 80
    assert sorted(delivery.body for delivery in ledger.pending()) == sorted(bodies)


def test_the_document_tells_every_answer(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    post = document["paths"]["/webhooks/inspector"]["post"]
    answers = {
        status: answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for status, answer in post["responses"].items()
    }
    assert answers == {"202": "Accepted", **dict.fromkeys(("400", "401", "408", "413", "503"), "Fault")}
    assert post["requestBody"]["required"] is True
    assert post["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
    (scheme,) = document["components"]["securitySchemes"].items()
    assert (scheme[1]["type"], scheme[1]["in"], scheme[1]["name"]) == ("apiKey", "header", "x-api-key")
    assert post["security"] == [{scheme[0]: []}]
    health = document["paths"]["/healthz"]["get"]
    assert set(health["responses"]) == {"200", "503"}
    assert "security" not in health
    assert set(document["paths"]) == {"/webhooks/inspector", "/healthz"}


def test_there_is_the_document_and_no_page_that_loads_scripts_from_elsewhere(client: httpx.Client) -> None:
    found = {path: client.get(path).status_code for path in ("/openapi.json", "/docs", "/redoc")}
    assert found == {"/openapi.json": 200, "/docs": 404, "/redoc": 404}


_SERVE = """
import sys
from deployments.receiver import serve
from tasks.gateways.ledger import Ledger
serve(Ledger.open(sys.argv[1]), sys.argv[2], port=int(sys.argv[3]))
"""


def test_what_was_accepted_survives_the_receivers_death(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", _SERVE, url, KEY, str(port)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert any("Uvicorn running" in line for line in iter(process.stderr.readline, ""))
        answer = send(client, FINDING)
        os.kill(process.pid, signal.SIGKILL)
    assert (answer.status_code, process.returncode) == (202, -signal.SIGKILL)
    ledger = Ledger.open(url)
    assert [(one.id, one.body) for one in ledger.pending()] == [(answer.json()["delivery"], FINDING)]
    assert ledger.verify().ok
    ledger.close()


def test_the_receiver_does_not_start_without_a_key() -> None:
    settings.cache_clear()
    with pytest.raises(InvalidSetting, match="RUNBOOKS_WEBHOOK_KEY"):
        main()
