"""How many AWS calls a response makes, and how long it takes beside a bare script that does the same work.

    python -m benchmarks.calls [INSTANCES [ROUNDS]]

Instances with two volumes and one interface each are contained, patched, verified and released in one response, by
the product's own planners, executor and gateways with their ledger, over HTTP, the sandbox in a process of its own.
Every request that the sandbox records is counted: `calls_per_instance`; `plan_minimum`, the mutating calls that the
plans name; `calls_ratio`, all calls over that. `cut_down` is one snapshot, one group swap and the patch alone:
`calls_per_instance` from the findings on, and `acting_per_instance` from the approved plans on. `asked_one_by_one` are
the calls for what AWS tells of one instance at a time only, for each instance: no batch makes them fewer. `time_ratio`
is the response over boto3 alone, batched, that makes the same changes and the same one-by-one reads one after the
other, without a plan or a ledger; `bare_calls_per_instance` are its calls; `processor_ratio` is the same of processor
seconds, the sandbox's apart.

Why nothing is asked in bulk there. Installed packages: GetInventory takes many nodes at a time, and refuses
`AWS:Application` as what to tell of them ("Supported type names are: AWS:InstanceInformation, AWS:PatchSummary": open
issue 640 of github.com/aws/aws-sdk); filtered by AWS:Application it names the nodes that have a version, and not when
that was seen, which is no evidence for a verdict. Attributes: DescribeInstances does not tell termination protection
and what a shutdown does; a plan shows what they are before it changes them, and whoever changes them looks first, once
to contain and once to release. GetLaunchTemplateData tells both in one call, and the instance's user data with them,
which nothing here is allowed to read.

Prints a table, and then one JSON object. The sandbox's clock is moved on while something is waited for.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.calls_bare import bare
from benchmarks.fleet import ACCOUNT, REGION, furnished, roomy_runbook
from benchmarks.response import LOOK_SECONDS, SIGNER, Response
from benchmarks.sandbox_apart import SandboxApart, sandbox_apart
from runbooks.definition import Runbook
from runbooks.plan import Phase
from tasks.gateways.ledger import Ledger

INSTANCES = 200
ONE_BY_ONE = ("ec2:DescribeInstanceAttribute", "ssm:ListInventoryEntries")


def measure(instances: int = INSTANCES, rounds: int = 1) -> dict[str, Any]:
    """Both kinds of work over so many instances; times are medians of the rounds, counts those of the last."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, sandbox_apart(pace=0.0) as sandbox:
        whole, alone = list[Work](), list[Work]()
        for number in range(rounds):
            whole.append(_respond(sandbox, Path(folder, f"whole-{number}.db"), instances, roomy_runbook(whole=True)))
            alone.append(_bare(sandbox, instances))
        part = _respond(
            sandbox, Path(folder, "part.db"), instances, roomy_runbook(whole=False), Phase.CONTAIN, Phase.REMEDIATE
        )
    last, seconds = whole[-1], statistics.median(each.seconds for each in whole)
    bare_seconds = statistics.median(each.seconds for each in alone)
    processor = [statistics.median(each.processor_seconds for each in some) for some in (whole, alone)]
    one_by_one = sum(last.counted[name] for name in ONE_BY_ONE)
    return {
        "instances": instances,
        "calls_per_instance": round(last.calls / instances, 3),
        "plan_minimum": last.minimum,
        "calls_ratio": round(last.calls / last.minimum, 3),
        "asked_one_by_one": round(one_by_one / instances, 3),
        "calls_ratio_without_those": round((last.calls - one_by_one) / last.minimum, 3),
        "seconds": round(seconds, 2),
        "bare_seconds": round(bare_seconds, 2),
        "bare_calls_per_instance": round(alone[-1].calls / instances, 3),
        "time_ratio": round(seconds / bare_seconds, 2),
        "processor_ratio": round(processor[0] / processor[1], 2),
        "by_operation": dict(last.counted.most_common()),
        "cut_down": {
            "calls_per_instance": round(part.calls / instances, 3),
            "acting_per_instance": round(part.acting / instances, 3),
            "plan_minimum": part.minimum,
            "by_operation": dict(part.counted.most_common()),
        },
    }


@dataclass
class Work:
    """What a response came to."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    """Of this process: the sandbox has its own."""
    minimum: int = 0
    acting: int = 0
    """Calls from the approved plans on."""
    counted: Counter[str] = field(default_factory=Counter[str])

    @property
    def calls(self) -> int:
        return self.counted.total()


def _respond(sandbox: SandboxApart, database: Path, instances: int, runbook: Runbook, *phases: Phase) -> Work:
    work = Work()
    findings, bucket = furnished(sandbox, instances)
    ledger = Ledger.open(f"sqlite:///{database}", clock=sandbox.now, sign=SIGNER.signed)
    response = Response(sandbox, ledger, runbook, findings, bucket)
    with _timed(sandbox, work):
        for phase in phases or (Phase.CONTAIN, Phase.REMEDIATE, Phase.VERIFY, Phase.RELEASE):
            response.phase(phase)
    ledger.close()
    work.minimum, work.acting = response.minimum, response.acting
    return work


def _bare(sandbox: SandboxApart, instances: int) -> Work:
    work = Work()
    findings, bucket = furnished(sandbox, instances)
    with _timed(sandbox, work):
        bare(REGION, f"arn:aws:iam::{ACCOUNT}:role/bare", findings, bucket, lambda: sandbox.advance(LOOK_SECONDS))
    return work


@contextmanager
def _timed(sandbox: SandboxApart, work: Work) -> Iterator[None]:
    began, processor = time.perf_counter(), time.process_time()
    yield
    work.seconds, work.processor_seconds = time.perf_counter() - began, time.process_time() - processor
    calls = sandbox.calls()
    work.counted = Counter(f"{call['service']}:{call['operation']}" for call in calls)


def main(instances: int = INSTANCES, rounds: int = 3) -> None:
    measured = measure(instances, rounds)
    for title, counted in (("all", measured["by_operation"]), ("cut down", measured["cut_down"]["by_operation"])):
        sys.stdout.write(f"{title}:\n")
        for name, count in counted.items():
            sys.stdout.write(f"  {count:6} {count / instances:6.3f} an instance  {name}\n")
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
