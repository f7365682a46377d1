"""How near a containment comes to what AWS allows, with the documented token buckets enforced.

    python -m benchmarks.throttle [INSTANCES [SCALE]]

Instances with two volumes and one interface each are snapshotted and isolated in one response, by the product's own
planner, executor, gateways, pacing and ledger, over HTTP; the sandbox throttles, in a process of its own. All times are
AWS's: sandbox seconds, which pass SCALE times as quickly as real ones, and so refill the buckets as much quicker; the
product is told so by its setting for raised quotas. SCALE is 2 by default, so that the buckets set the pace and not the
processor: 20 changes a second, of a thousand instances. Each answer takes 0.3 of AWS's seconds, so that it shows what
is sent one after the other.

`throttle_share` is the time in which the plan's calls can be made at all, beginning with full buckets, over the time
that it took from the assessed findings until everything was done and recorded; `isolated_share` is the same of the
swaps of groups alone. Up to a hundred instances nothing has to wait, and the shares say nothing. `throttled_percent`
are the requests that were refused. `bare` is a script of boto3 alone that knows the buckets, does both at once and
writes nothing down.

Prints a table, and then one JSON object.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from benchmarks.fleet import ACCOUNT, REGION, furnished, roomy_runbook
from benchmarks.response import ROLE_ARN, SIGNER, Response
from benchmarks.sandbox_apart import SandboxApart, sandbox_apart
from runbooks.finding import Finding
from runbooks.plan import Phase
from runbooks.request_rates import request_rate, seconds_for
from tasks.gateways.aws_session import AwsSessions
from tasks.gateways.ledger import Ledger
from tasks.gateways.pacing import SPARED, Pacing

INSTANCES, SCALE = 1_000, 2.0
LATENCY_SECONDS = 0.3
SIDE_BY_SIDE = 8
SNAPSHOTS, SWAPS = "ec2:CreateSnapshots", "ec2:ModifyNetworkInterfaceAttribute"
LOOK_SECONDS = 0.1
MOST_LOOKS = 1_200


@dataclass
class Work:
    """What a containment came to, in AWS's seconds."""

    seconds: float = 0.0
    isolated_after: float = 0.0
    requests: Counter[str] = field(default_factory=Counter[str])
    """Of those that have a documented rate."""
    throttled: int = 0

    def figures(self, least: Mapping[str, float]) -> dict[str, Any]:
        """What is printed of it; `least` is the time that the buckets allow, by operation."""
        return {
            "seconds": round(self.seconds, 1),
            "isolated_after_seconds": round(self.isolated_after, 1),
            "throttle_share": round(max(least.values()) / self.seconds, 3),
            "isolated_share": round(least[SWAPS] / self.isolated_after, 3),
            "requests": self.requests.total(),
            "throttled_percent": round(100 * self.throttled / self.requests.total(), 2),
        }


class Containment(Response):
    """A response that keeps to the pace of AWS, and waits in real time."""

    def __init__(self, *given: Any, scale: float) -> None:
        super().__init__(*given)
        guard, pacing = (lambda name: self._ledger.check(self._lease)), Pacing(scale)
        self._aws = AwsSessions(ROLE_ARN, session_name=self._row.id, guard=guard, pacing=pacing)

    def triage(self) -> None:
        self._triaged()

    def calls_planned(self) -> Counter[str]:
        plan = self._journal.history().plan(Phase.CONTAIN)
        return Counter(call for step in (plan.steps if plan else ()) for call in step.calls)

    def _until(self, done: Callable[[], bool]) -> None:
        for _ in range(MOST_LOOKS):
            if done():
                return
            time.sleep(LOOK_SECONDS)
        raise SystemExit("it does not end")


def measure(instances: int = INSTANCES, scale: float = SCALE) -> dict[str, Any]:
    """Both, over so many instances."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, sandbox_apart(pace=scale) as sandbox:
        planned, ours = _respond(sandbox, Path(folder, "ledger.db"), instances, scale)
        bare = _bare(sandbox, instances, scale)
    rates = {call: request_rate(*call.split(":")) for call in planned}
    least = {call: seconds_for(count, rate) for call, count in planned.items() if (rate := rates[call]) is not None}
    figures = ours.figures(least)
    return {
        "instances": instances,
        "scale": scale,
        "least_seconds": round(max(least.values()), 1),
        **figures,
        "real_seconds": round(ours.seconds / scale, 1),
        "by_operation": dict(ours.requests.most_common()),
        "bare": bare.figures(least),
    }


def _respond(sandbox: SandboxApart, database: Path, instances: int, scale: float) -> tuple[Counter[str], Work]:
    runbook, work = roomy_runbook(whole=False), Work()
    findings, bucket = furnished(sandbox, instances)
    ledger = Ledger.open(f"sqlite:///{database}", clock=sandbox.now, sign=SIGNER.signed)
    response = Containment(sandbox, ledger, runbook, findings, bucket, scale=scale)
    response.triage()
    with _timed(sandbox, scale, work):
        response.phase(Phase.CONTAIN)
    planned = response.calls_planned()
    ledger.close()
    return planned, work


def _bare(sandbox: SandboxApart, instances: int, scale: float) -> Work:
    work = Work()
    findings, _ = furnished(sandbox, instances)
    ec2, interfaces, group = _prepared(findings)
    with _timed(sandbox, scale, work), ThreadPoolExecutor(2) as both:
        swap = both.submit(
            _paced,
            lambda one: ec2.modify_network_interface_attribute(NetworkInterfaceId=one, Groups=[group]),
            interfaces,
            scale,
        )
        snapshot = both.submit(
            _paced,
            lambda one: ec2.create_snapshots(InstanceSpecification={"InstanceId": one}),
            [each.resource.id for each in findings],
            scale,
        )
        swap.result()
        snapshot.result()
    return work


def _prepared(findings: Sequence[Finding]) -> tuple[Any, list[str], str]:
    """A client, the interfaces to isolate, and the group to do it with."""
    given = boto3.client("sts", region_name=REGION).assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/bare", RoleSessionName="bare"
    )["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
    ec2: Any = session.client("ec2")
    wanted = {each.resource.id for each in findings}
    pages = ec2.get_paginator("describe_network_interfaces").paginate(PaginationConfig={"PageSize": 500})
    rows = [row for page in pages for row in page["NetworkInterfaces"]]
    rows = [row for row in rows if row.get("Attachment", {}).get("InstanceId") in wanted]
    group = ec2.create_security_group(GroupName="bare", Description="-", VpcId=rows[0]["VpcId"])["GroupId"]
    return ec2, [row["NetworkInterfaceId"] for row in rows], group


def _paced(call: Callable[[str], Any], items: Sequence[str], scale: float) -> None:
    """Each item's call at the moment when there is a token for it; both operations have the same rate."""
    rate = request_rate("ec2", "CreateSnapshots")
    assert rate is not None  # it is documented
    at_once, began = rate.capacity * (1 - SPARED), time.monotonic()

    def in_time(number: int) -> None:
        due = began + max(0.0, number - at_once) / (rate.per_second * scale)
        time.sleep(max(0.0, due - time.monotonic()))
        call(items[number])

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _ in pool.map(in_time, range(len(items))):
            pass


@contextmanager
def _timed(sandbox: SandboxApart, scale: float, work: Work) -> Iterator[None]:
    """Enforce the rates from here on, with full buckets, and count what they are asked for."""
    sandbox.enforce(1, LATENCY_SECONDS / scale)
    began_at, began = sandbox.now(), time.perf_counter()
    yield
    work.seconds = (time.perf_counter() - began) * scale
    seen = sandbox.throttling()
    work.requests, work.throttled = Counter(seen["requests"]), sum(seen["throttled"].values())
    swaps = [each["at"] for each in sandbox.calls() if each["operation"] == SWAPS.partition(":")[2]]
    work.isolated_after = (datetime.fromisoformat(max(swaps)) - began_at).total_seconds()
    sandbox.enforce(0)


def main(instances: int = INSTANCES, scale: float = SCALE) -> None:
    measured = measure(instances, scale)
    sys.stdout.write(f"containing {instances} instances takes {measured['least_seconds']} s at the least:\n")
    sys.stdout.write(
        f"{'':8} {'seconds':>8} {'share':>6} {'isolated':>9} {'share':>6} {'requests':>9} {'throttled':>9}\n"
    )
    for name, each in (("ours", measured), ("bare", measured["bare"])):
        sys.stdout.write(
            f"{name:8} {each['seconds']:8} {each['throttle_share']:6} {each['isolated_after_seconds']:9} "
            f"{each['isolated_share']:6} {each['requests']:9} {each['throttled_percent']:8}%\n"
        )
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else INSTANCES, float(given[1]) if len(given) > 1 else SCALE)
