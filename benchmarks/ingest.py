"""What durability costs the receiver: its events per second over those of a door that keeps nothing; and what a kill.

    python -m benchmarks.ingest [--seconds 2] [--events 10000] [--duplicates 2]

The receiver runs in a process of its own, as it is deployed, on SQLite and on PostgreSQL (a private server, with
fsync). So do two doors of the same stack: one that checks the key, reads the body and answers; and one that looks
through the event besides, as the receiver does, to know its id and whether it can be read. Load comes from this
process, to each in turns. Prints a table, and then one JSON object. For each store:

- `ingest_ratio`: our events per second over those of the door that does nothing, the median of the rounds;
  `ingest_processor_ratio`, the same by processor time, which others on the machine disturb less; `unkept_ratio`, those
  of the door that reads and does not keep. `events_per_second` and `processor_us_per_event` of all three.
- `ingest_p50_ms`, `ingest_p99_ms` of all three at half of our events per second, from when each event was due.
- `burst`: distinct events, each so often, shuffled; the receiver is killed when half is acknowledged, and started
  again; what was not answered 202 is sent again. How many are in the inbox then, how many of them were lost, and how
  many cases they became when the inbox was drained; `wrong_cases` of them have not exactly the findings sent for them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import pwd
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import create_engine, select

from benchmarks.measured_on import measured_on
from benchmarks.posting import CONNECTIONS, KEY, Burst, bodies, flood, instance_of, pace
from deployments.processes import free_port
from runbooks.catalog import Catalog
from tasks.gateways.ledger import Ledger
from tasks.gateways.ledger.tables import inbox
from tasks.intake import drain
from tests.postgres import postgres_bin

ROUNDS = 3
DOORS = ("does-nothing", "reads")
"""What the receiver is compared with."""
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest")
    parser.add_argument("--seconds", type=float, default=2, help="of each round")
    parser.add_argument("--events", type=int, default=10_000, help="distinct ones of the burst")
    parser.add_argument("--duplicates", type=int, default=2, help="how often each of them is sent")
    parser.add_argument("--serve", nargs=2, metavar=("LEDGER", "PORT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        _serve(chosen.serve[0], int(chosen.serve[1]))
        return
    measured = measure(chosen.seconds, chosen.events, chosen.duplicates)
    for store, figures in measured.items():
        for name, value in figures.items():
            sys.stdout.write(f"{store:12} {name:24} {value}\n")
    on = {**measured_on("uvicorn", "starlette", "fastapi", "sqlalchemy"), "connections": CONNECTIONS, "rounds": ROUNDS}
    sys.stdout.write(json.dumps({**measured, "measured_on": on}) + "\n")


def measure(seconds: float = 2, events: int = 10_000, duplicates: int = 2) -> dict[str, dict[str, Any]]:
    """The figures of each store; see the module."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name, ExitStack() as running:
        urls = {
            "sqlite": f"sqlite:///{name}/ledger.db",
            "postgresql": running.enter_context(_postgres(Path(name, "postgres"))),
        }
        doors = {door: running.enter_context(_receiver(door, Path(name, f"{door}.log"))) for door in DOORS}
        figures: dict[str, dict[str, Any]] = {}
        for store, url in urls.items():
            with _receiver(url, Path(name, f"{store}.log")) as ours:
                burst = _burst(ours, events, duplicates)
                figures[store] = {**_compared({"receiver": ours, **doors}, seconds), "burst": burst}
    return figures


def _compared(all_of_them: dict[str, Receiver], seconds: float) -> dict[str, Any]:
    ours = all_of_them["receiver"]
    events = bodies(f"{ours.port}")
    for each in all_of_them.values():
        flood(each.port, events, 0.5)  # what comes first meets cold caches
    rounds = [{name: _flooded(each, events, seconds) for name, each in all_of_them.items()} for _ in range(ROUNDS)]
    rates = {name: statistics.median(each[name].rate for each in rounds) for name in all_of_them}
    spent = {name: statistics.median(each[name].processor for each in rounds) for name in all_of_them}
    waited = {name: pace(each.port, events, rates["receiver"] / 2, 2 * seconds) for name, each in all_of_them.items()}
    return {
        "ingest_ratio": _median_ratio(rounds, "receiver"),
        "ingest_processor_ratio": round(spent["does-nothing"] / spent["receiver"], 2),
        "unkept_ratio": _median_ratio(rounds, "reads"),
        "events_per_second": {name: round(rate) for name, rate in rates.items()},
        "processor_us_per_event": {name: round(each * 1e6) for name, each in spent.items()},
        "ingest_p50_ms": {name: round(1000 * each[len(each) // 2], 1) for name, each in waited.items()},
        "ingest_p99_ms": {name: round(1000 * each[len(each) * 99 // 100], 1) for name, each in waited.items()},
    }


def _median_ratio(rounds: list[dict[str, _Flood]], name: str) -> float:
    return round(statistics.median(each[name].rate / each["does-nothing"].rate for each in rounds), 2)


@dataclass(frozen=True)
class _Flood:
    rate: float
    processor: float
    """Seconds of the receiver's process, for each event."""


def _flooded(receiver: Receiver, events: Iterator[bytes], seconds: float) -> _Flood:
    before = receiver.processor_seconds
    rate = flood(receiver.port, events, seconds)
    return _Flood(rate, (receiver.processor_seconds - before) / (rate * seconds))


def _burst(ours: Receiver, events: int, duplicates: int) -> dict[str, int]:
    distinct = list(itertools.islice(bodies("burst"), events))
    sent = distinct * duplicates
    random.Random(7).shuffle(sent)  # noqa: S311 - a shuffle, the same each time
    burst = Burst(ours.port, sent)

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(burst.send())
            await burst.half_way.wait()
            ours.end(signal.SIGKILL)
            await asyncio.to_thread(ours.start)

    began = time.perf_counter()
    asyncio.run(run())
    seconds = time.perf_counter() - began
    kept, cases = _kept(ours.ledger), _cases(ours.ledger)
    expected = {instance: set[str]() for instance in map(instance_of, range(events))}
    for number in range(events):
        expected[instance_of(number)].add(f"burst-{number}")
    lost = {f"event/burst-{number}" for number in range(events)} - set(kept)
    return {
        "distinct": events,
        "acknowledged": burst.acknowledged,
        "sent_again": burst.repeated,
        "in_inbox": len(kept),
        "lost": len(lost),
        "cases": len(cases),
        "wrong_cases": sum(cases.get(each) != expected.get(each) for each in cases.keys() | expected.keys()),
        "seconds": round(seconds),
    }


def _kept(ledger: str) -> list[str]:
    """The keys of the burst's events that are in the inbox."""
    engine = create_engine(ledger)
    with engine.connect() as connection:
        found = list(connection.scalars(select(inbox.c.key).where(inbox.c.key.startswith("event/burst-"))))
    engine.dispose()
    return found


def _cases(ledger: str) -> dict[str, set[str]]:
    """Instance -> the findings of its case, by the ends of their names, when all that came in has been taken up."""
    opened = Ledger.open(ledger)
    while drain(opened, Catalog.read()).deliveries:
        pass
    rows = {case.id: case.key.resource_id for case in opened.cases()}
    found = {
        rows[case]: {each.arn.rpartition("/")[2] for each in findings}
        for case, findings in opened.findings_of(rows).items()
    }
    opened.close()
    return found if len(found) == len(rows) else {**found, "more cases than instances": set()}


# --- what is measured ------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A receiver in a process of its own, which can be killed and started again in the same place."""

    ledger: str
    """Its address; or which of the doors that keep nothing."""
    log: Path
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        command = (sys.executable, "-m", "benchmarks.ingest", "--serve", self.ledger, str(self.port))
        with self.log.open("ab") as log:
            self._process = psutil.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        _until(lambda: self._process.net_connections("tcp"), self._process, self.log)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(how)
        self._process.wait(timeout=30)

    @property
    def processor_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


@contextmanager
def _receiver(ledger: str, log: Path) -> Iterator[Receiver]:
    receiver = Receiver(ledger, log)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.end()


def _serve(ledger: str, port: int) -> None:
    """In the receiver's process: it, as it is deployed; or the same with one of the doors that keep nothing."""
    from fastapi import FastAPI, Response

    from deployments.receiver.application import LEDGER_SECONDS, listen, serve
    from deployments.receiver.exchange import answer
    from deployments.receiver.webhook import Accepted, webhook
    from runbooks.delivery_key import delivery_key

    async def keep(body: bytes) -> Response:
        known_by = delivery_key(body) if ledger == "reads" else "nothing"
        return answer(202, Accepted(delivery=known_by, duplicate=False))

    if ledger in DOORS:
        app = FastAPI()
        app.router.routes.append(webhook(keep, KEY, "x-api-key", 10))
        listen(app, "127.0.0.1", port)
    else:
        serve(Ledger.open(ledger, wait_seconds=LEDGER_SECONDS), KEY, port=port)


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """The address of a database of a server of its own, on a Unix socket, durable as it is by default."""
    programs = postgres_bin()
    if programs is None:
        raise SystemExit("PostgreSQL's server programs were not found: install postgresql")
    user = _unprivileged()
    folder.mkdir()
    folder.parent.chmod(0o755)
    if user:
        shutil.chown(folder, user)
    initdb = (programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8")
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, user=user)
    options = ("-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}")
    command = (programs / "postgres", "-D", folder / "data", *options)
    with (folder / "log").open("wb") as log:
        server = psutil.Popen(command, cwd=folder, user=user, stdout=log, stderr=log)
    try:
        _until(lambda: _answers(folder), server, folder / "log")
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(timeout=30)


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    users = {entry.pw_name for entry in pwd.getpwall()}
    return None if os.geteuid() else "postgres" if "postgres" in users else "nobody"


def _answers(folder: Path) -> bool:
    try:
        psycopg.connect(f"host={folder} user=postgres dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _until(condition: Callable[[], Any], process: psutil.Popen, log: Path) -> None:
    limit = time.monotonic() + 60
    while not condition():
        if process.poll() is not None or time.monotonic() > limit:
            raise SystemExit(f"what is to be measured did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
