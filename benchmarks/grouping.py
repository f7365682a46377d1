"""How long a burst takes from the inbox to responses: 10,000 findings over 1,000 instances, once and five times over.

    python -m benchmarks.grouping

Each size runs in a process of its own, so that its peak of memory is its own; the clock is moved over the pause in
which a burst settles. Prints a table, and then one JSON object: `group_10k_seconds` and `group_10k_peak_mb` for the
10,000 findings, `group_50k_seconds` and `group_50k_peak_mb` with every delivery five times, shuffled;
`group_growth_ratio`, how much more of the processor 10,000 findings take than ten times 1,000; `sweep_idle_seconds`,
one more pass with nothing to do; `responses`, what it came to.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runbooks.catalog import Catalog
from runbooks.finding import Finding, Resource, VulnerablePackage
from runbooks.grouping import QUIET_SHARE
from runbooks.inspector import to_detail
from runbooks.signing import Signer
from tasks.gateways.ledger import Ledger
from tasks.intake import drain

FINDINGS_PER_INSTANCE = 10
FLEETS = 4
"""Instances of a fleet have the same vulnerable packages."""
AT = datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC)
ACCOUNT, REGION = "210987654321", "eu-west-1"
GROUPING_SECONDS = 40
SIZES = {"1k": (100, 1), "10k": (1_000, 1), "50k": (1_000, 5)}
"""Instances, and how often each of their findings is delivered."""


def main() -> None:
    measured = {name: _in_a_process(name) for name in SIZES}
    for name, each in measured.items():
        spent = f"{each['seconds']:6.1f} s ({each['processor_seconds']:.1f} s of processor)"
        line = f"{name:>4}: {spent}, {each['peak_mb']:4.0f} MiB at most, {each['responses']} responses"
        sys.stdout.write(f"{line} over {each['cases']} cases; an idle pass {each['idle_seconds'] * 1000:.0f} ms\n")
    small, large, many = measured["1k"], measured["10k"], measured["50k"]
    figures = {
        "group_10k_seconds": round(large["seconds"], 2),
        "group_10k_peak_mb": round(large["peak_mb"]),
        "group_50k_seconds": round(many["seconds"], 2),
        "group_50k_peak_mb": round(many["peak_mb"]),
        "group_growth_ratio": round(large["processor_seconds"] / (10 * small["processor_seconds"]), 2),
        "group_10k_processor_seconds": round(large["processor_seconds"], 2),
        "sweep_idle_seconds": round(large["idle_seconds"], 4),
        "responses": large["responses"],
    }
    sys.stdout.write(json.dumps(figures) + "\n")


@dataclass
class Clock:
    """The time, which can be moved on: the pause in which a burst settles is not waited for."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def measure(instances: int, times: int) -> dict[str, float]:
    """Fill an inbox, then time it from there to the responses."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        signer = Signer(bytes(range(32)))
        clock, catalog = Clock(), Catalog.read()
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", clock=clock, sign=signer.signed)
        _fill(ledger, instances, times)
        began, processor, taken = time.perf_counter(), time.process_time(), 0
        while deliveries := drain(ledger, catalog, grouping_seconds=GROUPING_SECONDS).deliveries:
            taken += deliveries
        clock.ahead += timedelta(seconds=GROUPING_SECONDS / QUIET_SHARE)
        drain(ledger, catalog, grouping_seconds=GROUPING_SECONDS)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        began = time.perf_counter()
        drain(ledger, catalog, grouping_seconds=GROUPING_SECONDS)
        idle = time.perf_counter() - began
        responses = ledger.responses()
        covered = sorted(case for row in responses for case in row.cases)
        if covered != sorted(row.id for row in ledger.cases("open")) or len(covered) != instances:
            raise SystemExit(f"{len(covered)} cases are in responses, of {instances}")
        ledger.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_mb": peak,
        "idle_seconds": idle,
        "deliveries": taken,
    }
    return {**found, "responses": len(responses), "cases": len(covered)}


def _in_a_process(name: str) -> dict[str, float]:
    command = (sys.executable, "-m", "benchmarks.grouping", name)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout)


def _fill(ledger: Ledger, instances: int, times: int) -> None:
    numbers = [number for number in range(instances * FINDINGS_PER_INSTANCE) for _ in range(times)]
    random.Random(7).shuffle(numbers)  # noqa: S311 - a shuffle, the same each time
    for start in range(0, len(numbers), 1_000):
        batch = numbers[start : start + 1_000]
        ledger.receive_all([(f"{start + place}", "webhook", _body(number)) for place, number in enumerate(batch)])


def _body(number: int) -> bytes:
    instance, package = divmod(number, FINDINGS_PER_INSTANCE)
    fleet = instance % FLEETS
    finding = Finding(
        arn=f"arn:aws:inspector2:{REGION}:{ACCOUNT}:finding/{number:032x}",
        type="PACKAGE_VULNERABILITY",
        status="ACTIVE",
        severity="CRITICAL",
        title=f"CVE-2026-{10_000 + package} - package-{fleet}-{package}",
        description="An attacker who can reach the service can make it run what they send. " * 5,
        resource=Resource(
            type="AWS_EC2_INSTANCE",
            id=f"i-{instance:017x}",
            account=ACCOUNT,
            region=REGION,
            tags={"Name": f"fleet-{fleet}-{instance}", "environment": "production"},
            details={"awsEc2Instance": {"imageId": "ami-00c0ffee00c0ffee0", "ipV4Addresses": ["10.0.1.23"]}},
        ),
        vulnerability_id=f"CVE-2026-{10_000 + package}",
        packages=(VulnerablePackage(name=f"package-{fleet}-{package}", version="1.0.0", fixed_in="1.0.1"),),
        inspector_score=9.1,
        first_observed_at=AT,
        last_observed_at=AT,
        updated_at=AT,
    )
    return json.dumps(to_detail(finding)).encode()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(*SIZES[sys.argv[1]])))
    else:
        main()
