"""The far end of the receiver's benchmark: events by the thousand, over connections that stay open."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

KEY = "a-key-of-32-characters-for-bench"
CONNECTIONS = 32
FIXTURE = Path(__file__).resolve().parents[1] / "tests" / "events" / "ec2_package_event.json"
SIZES = (4_000, 5_000, 6_000, 7_000, 8_000)
"""Bytes of a body, about as Inspector's events have them."""
PATIENCE = 60.0
"""Seconds that a receiver may be away."""
INSTANCES = 1_000
"""What the events are about, one after the other."""
_PLACE = "id-of-the-event"
_INSTANCE = "i-00000000000000000"


def bodies(prefix: str) -> Iterator[bytes]:
    """Events without end, each with an id and a finding of its own."""
    templates = itertools.cycle([_template(size) for size in SIZES])
    for number in itertools.count():
        named = next(templates).replace(_PLACE.encode(), f"{prefix}-{number}".encode())
        yield named.replace(_INSTANCE.encode(), instance_of(number).encode())


def instance_of(number: int) -> str:
    """The instance that the event of that number is about."""
    return f"i-{number % INSTANCES:017x}"


def flood(port: int, events: Iterator[bytes], seconds: float) -> float:
    """As many events as are taken in some seconds: how many, a second."""

    async def send() -> float:
        began, taken = time.perf_counter(), 0

        async def worker() -> None:
            nonlocal taken
            async with _connected(port) as post:
                while time.perf_counter() < began + seconds:
                    _require_taken(await post(next(events)))
                    taken += 1

        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        return taken / (time.perf_counter() - began)

    return asyncio.run(send())


def pace(port: int, events: Iterator[bytes], rate: float, seconds: float) -> list[float]:
    """Events at a rate a second: how many seconds after it was due each was answered, in order of length."""

    async def send() -> list[float]:
        began, latencies = time.perf_counter() + 0.1, list[float]()
        due = (began + number / rate for number in range(int(rate * seconds)))

        async def worker() -> None:
            async with _connected(port) as post:
                for moment in due:
                    await asyncio.sleep(moment - time.perf_counter())
                    _require_taken(await post(next(events)))
                    latencies.append(time.perf_counter() - moment)

        await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
        return sorted(latencies)

    return asyncio.run(send())


class Burst:
    """Every event until it is answered 202, whatever becomes of the receiver meanwhile."""

    def __init__(self, port: int, events: list[bytes]) -> None:
        self._port = port
        self._waiting = deque(events)
        self._half = len(events) // 2
        self.half_way = asyncio.Event()
        self.acknowledged = 0
        self.repeated = 0
        """How many had to be sent again."""

    async def send(self) -> None:
        """Until all are acknowledged.

        Raises:
            TimeoutError: There was no receiver for a minute.
        """
        await asyncio.gather(*(self._worker() for _ in range(CONNECTIONS)))

    async def _worker(self) -> None:
        away_since: float | None = None
        while self._waiting:
            try:
                async with _connected(self._port) as post:
                    away_since = None
                    await self._send_on(post)
            except (OSError, asyncio.IncompleteReadError):
                away_since = away_since or time.monotonic()
                if time.monotonic() > away_since + PATIENCE:
                    raise TimeoutError("the receiver does not come back") from None
                await asyncio.sleep(0.05)

    async def _send_on(self, post: _Post) -> None:
        while self._waiting:
            body, taken = self._waiting.popleft(), False
            try:
                taken = await post(body) == 202
            finally:
                if taken:
                    self.acknowledged += 1
                    if self.acknowledged >= self._half:
                        self.half_way.set()
                else:
                    self.repeated += 1
                    self._waiting.append(body)


class _Post:
    """One connection, HTTP spoken on it with as little as will do: the load has to leave the receiver a processor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def __call__(self, body: bytes) -> int:
        """The status of the answer."""
        head = f"POST /webhooks/inspector HTTP/1.1\r\nhost: bench\r\nx-api-key: {KEY}\r\ncontent-length: {len(body)}"
        self._writer.write(f"{head}\r\ncontent-type: application/json\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
        await self._reader.readexactly(length)
        return int(answer[9:12])


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Post]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield _Post(reader, writer)
    finally:
        writer.close()


def _require_taken(status: int) -> None:
    if status != 202:
        raise SystemExit(f"the receiver answered {status}")


def _template(size: int) -> bytes:
    """The fixture, filled up to a size with what makes real events long: half with text, half with references."""
    event = json.loads(FIXTURE.read_bytes()) | {"id": _PLACE}
    event["detail"]["findingArn"] = f"arn:aws:inspector2:eu-west-1:210987654321:finding/{_PLACE}"
    event["detail"]["resources"][0]["id"] = _INSTANCE
    references: list[str] = event["detail"]["packageVulnerabilityDetails"]["referenceUrls"]
    missing = size - len(json.dumps(event))
    event["detail"]["description"] += " and more" * max(0, missing // 18)
    while len(json.dumps(event)) < size:
        references.append(f"https://nvd.nist.gov/vuln/detail/CVE-2026-{10_000 + len(references)}")
    return json.dumps(event).encode()
